//! How much to trim from MP4: edit lists and Apple's `iTunSMPB`.
//!
//! Sources: ISO/IEC 14496-12 (boxes `mvhd`, `mdhd`, `elst`, `stts`); Apple, "QuickTime File Format", appendix G "Audio Priming –
//! Handling Encoder Delay in AAC" (the comment `iTunSMPB`: a flag, the delay, the padding and the length in hexadecimal).
//! Symphonia plays every sample of every packet.

use std::io::{Read, Result, SeekFrom};

use symphonia::core::io::MediaSource;

/// What the container says about the beginning and the end of its tracks.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Trim {
    movie_timescale: u32,
    fragmented: bool,
    tracks: Vec<TrackTrim>,
    /// Delay and length in frames, for the AAC track.
    apple: Option<(u64, u64)>,
}

#[derive(Debug, Default, Clone, PartialEq)]
struct TrackTrim {
    id: u32,
    timescale: u32,
    /// Sum of all packet durations, in ticks of the track's timescale.
    ticks: u64,
    /// Begin (ticks of the track) and length (ticks of the movie; 0: all) of the edits that show something.
    edits: Vec<(u64, u64)>,
}

/// Frames to throw away, and frames that are then left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cut {
    pub(crate) skip: u64,
    pub(crate) frames: Option<u64>,
}

impl Trim {
    /// The cut of track `id` at `rate` Hz. `stated` is the length of the untrimmed track as far as it is known elsewhere.
    pub(crate) fn in_frames(&self, id: u32, rate: u32, stated: Option<u64>) -> Cut {
        let track = self.tracks.iter().find(|t| t.id == id);
        if self.fragmented {
            // The packets lie in fragments that have not been read; their number is not known.
            let skip = track.map_or(0, |t| t.skip(rate));
            return Cut { skip, frames: None };
        }
        let Some(track) = track.filter(|t| t.timescale > 0 && rate > 0) else {
            return Cut { skip: 0, frames: stated };
        };
        let total = scale(track.ticks, rate, track.timescale);
        if let Some((skip, frames)) = self.apple
            && skip.saturating_add(frames) <= total
            && frames > 0
        {
            return Cut { skip, frames: Some(frames) };
        }
        let skip = track.skip(rate).min(total);
        let there = total - skip;
        let frames = match track.edits[..] {
            [(_, length)] if length > 0 && self.movie_timescale > 0 => {
                let shown = scale(length, rate, self.movie_timescale);
                // A movie's clock is often coarse (milliseconds): then the packet durations are the better witness.
                let grain = u64::from(rate / self.movie_timescale.max(1)) + 1;
                if there.abs_diff(shown) <= grain { there } else { there.min(shown) }
            }
            _ => there,
        };
        Cut { skip, frames: Some(frames) }
    }
}

impl TrackTrim {
    fn skip(&self, rate: u32) -> u64 {
        match self.edits[..] {
            [(begin, _)] if self.timescale > 0 => scale(begin, rate, self.timescale),
            // Several edits are a montage, not a trim; all of the track is played.
            _ => 0,
        }
    }
}

/// `ticks` of `from` Hz in ticks of `to` Hz, rounded.
fn scale(ticks: u64, to: u32, from: u32) -> u64 {
    let from = u128::from(from.max(1));
    u64::try_from((u128::from(ticks) * u128::from(to) + from / 2) / from).unwrap_or(u64::MAX)
}

/// More than this no `moov` box is worth.
const MAX_MOOV: u64 = 64 << 20;

/// Reads the trim of an MP4 file; the default for anything else.
pub(crate) fn read_trim(source: &mut dyn MediaSource) -> Result<Trim> {
    let length = source.byte_len().unwrap_or(0);
    let mut position = 0u64;
    let mut trim = Trim::default();
    for index in 0..1_024 {
        let mut head = [0; 16];
        source.seek(SeekFrom::Start(position))?;
        if position + 8 > length || source.read_exact(&mut head[..8]).is_err() {
            break;
        }
        let kind: [u8; 4] = std::array::from_fn(|i| head[4 + i]);
        if index == 0 && &kind != b"ftyp" {
            break;
        }
        let (begin, size) = match u32::from_be_bytes(std::array::from_fn(|i| head[i])) {
            0 => (8, length - position),
            1 => {
                if source.read_exact(&mut head[8..]).is_err() {
                    break;
                }
                (16, u64::from_be_bytes(std::array::from_fn(|i| head[8 + i])))
            }
            size => (8, u64::from(size)),
        };
        if size < begin {
            break;
        }
        if &kind == b"moov" {
            let size = (size - begin).min(length.saturating_sub(position + begin));
            if size <= MAX_MOOV {
                let mut moov = Vec::new();
                source.take(size).read_to_end(&mut moov)?;
                trim = parse_moov(&moov);
            }
            break;
        }
        position = match position.checked_add(size) {
            Some(position) => position,
            None => break,
        };
    }
    Ok(trim)
}

/// The boxes inside `bytes`.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = u32_at(bytes, 0)? as usize;
        let kind = bytes.get(4..8)?.try_into().ok()?;
        let size = if size == 0 { bytes.len() } else { size };
        let content = bytes.get(8..size)?;
        bytes = &bytes[size..];
        Some((kind, content))
    })
}

/// The content of the first box of this kind.
fn child<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|(k, _)| k == kind).map(|(_, content)| content)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn parse_moov(moov: &[u8]) -> Trim {
    let mut trim = Trim::default();
    for (kind, content) in boxes(moov) {
        match &kind {
            b"mvhd" => trim.movie_timescale = timescale(content).unwrap_or(0),
            b"mvex" => trim.fragmented = true,
            b"trak" => trim.tracks.extend(parse_trak(content)),
            b"udta" => trim.apple = trim.apple.or_else(|| find_apple(content)),
            _ => {}
        }
    }
    trim
}

/// `mvhd` and `mdhd` begin alike: version and flags, two times of 32 or 64 bits, the timescale.
fn timescale(header: &[u8]) -> Option<u32> {
    u32_at(header, if header.first()? == &1 { 20 } else { 12 })
}

fn parse_trak(trak: &[u8]) -> Option<TrackTrim> {
    let tkhd = child(trak, b"tkhd")?;
    let mdia = child(trak, b"mdia")?;
    let stts = child(child(child(mdia, b"minf")?, b"stbl")?, b"stts")?;
    let mut ticks = 0u64;
    for entry in stts.get(8..)?.chunks_exact(8).take(u32_at(stts, 4)? as usize) {
        ticks = ticks.saturating_add(u64::from(u32_at(entry, 0)?) * u64::from(u32_at(entry, 4)?));
    }
    Some(TrackTrim {
        id: u32_at(tkhd, if tkhd.first()? == &1 { 20 } else { 12 })?,
        timescale: timescale(child(mdia, b"mdhd")?)?,
        ticks,
        edits: child(trak, b"edts").and_then(|e| child(e, b"elst")).and_then(parse_edits).unwrap_or_default(),
    })
}

fn parse_edits(elst: &[u8]) -> Option<Vec<(u64, u64)>> {
    let long = elst.first()? == &1;
    let entries = elst.get(8..)?.chunks_exact(if long { 20 } else { 12 });
    let mut edits = Vec::new();
    for entry in entries.take(u32_at(elst, 4)? as usize) {
        let (length, begin) = if long {
            (u64_at(entry, 0)?, u64_at(entry, 8)? as i64)
        } else {
            (u64::from(u32_at(entry, 0)?), i64::from(u32_at(entry, 4)? as i32))
        };
        // A negative begin is an empty edit: silence before the sound, which players of music leave out.
        if let Ok(begin) = u64::try_from(begin) {
            edits.push((begin, length));
        }
    }
    Some(edits)
}

/// `udta/meta/ilst/----` with the name `iTunSMPB`.
fn find_apple(udta: &[u8]) -> Option<(u64, u64)> {
    let ilst = child(child(udta, b"meta")?.get(4..)?, b"ilst")?;
    for (_, item) in boxes(ilst).filter(|(kind, _)| kind == b"----") {
        if child(item, b"name").and_then(|n| n.get(4..)) == Some(b"iTunSMPB") {
            let text = std::str::from_utf8(child(item, b"data")?.get(8..)?).ok()?;
            let mut numbers = text.split_whitespace().map(|n| u64::from_str_radix(n, 16));
            let (delay, frames) = (numbers.nth(1)?.ok()?, numbers.nth(1)?.ok()?);
            return Some((delay, frames));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn boxed(kind: &[u8; 4], content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        [&(content.len() as u32 + 8).to_be_bytes()[..], kind, &content].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_be_bytes()).collect()
    }

    /// A file with one track (id 7, 44.1 kHz) of `packets` packets of 1 024 frames.
    fn file(movie_timescale: u32, packets: u32, elst: Option<&[u32]>, apple: Option<&str>) -> Trim {
        let edts = elst.map_or(Vec::new(), |entries| {
            boxed(b"edts", &[&boxed(b"elst", &[&words(&[0, entries.len() as u32 / 3]), &words(entries)])])
        });
        let udta = apple.map_or(Vec::new(), |text| {
            let item = boxed(
                b"----",
                &[
                    &boxed(b"mean", &[b"\0\0\0\0com.apple.iTunes"]),
                    &boxed(b"name", &[b"\0\0\0\0iTunSMPB"]),
                    &boxed(b"data", &[&words(&[1, 0]), text.as_bytes()]),
                ],
            );
            boxed(b"udta", &[&boxed(b"meta", &[&words(&[0]), &boxed(b"ilst", &[&item])])])
        });
        let stbl = boxed(b"stbl", &[&boxed(b"stts", &[&words(&[0, 1, packets, 1_024])])]);
        let mdia = boxed(b"mdia", &[&boxed(b"mdhd", &[&words(&[0, 0, 0, 44_100, 0])]), &boxed(b"minf", &[&stbl])]);
        let trak = boxed(b"trak", &[&boxed(b"tkhd", &[&words(&[0, 0, 0, 7, 0])]), &edts, &mdia]);
        let moov = boxed(b"moov", &[&boxed(b"mvhd", &[&words(&[0, 0, 0, movie_timescale, 0])]), &trak, &udta]);
        let bytes = [boxed(b"ftyp", &[b"M4A \0\0\0\0"]), boxed(b"mdat", &[&[0; 99]]), moov].concat();
        read_trim(&mut Cursor::new(bytes)).unwrap()
    }

    #[test]
    fn edit_lists() {
        let cut = |trim: Trim| {
            let cut = trim.in_frames(7, 44_100, None);
            (cut.skip, cut.frames)
        };
        assert_eq!(cut(file(44_100, 10, None, None)), (0, Some(10_240)));
        assert_eq!(cut(file(44_100, 10, Some(&[5_000, 2_112, 0x10000]), None)), (2_112, Some(5_000)));
        // A clock of milliseconds: 184 ms is not exact, so the packets decide …
        assert_eq!(cut(file(1_000, 10, Some(&[184, 2_112, 0x10000]), None)), (2_112, Some(8_128)));
        // … unless they are far longer.
        assert_eq!(cut(file(1_000, 10, Some(&[100, 2_112, 0x10000]), None)), (2_112, Some(4_410)));
        // A length of 0: to the end. An empty edit before it: silence, left out.
        assert_eq!(cut(file(1_000, 10, Some(&[0, 1_024, 0x10000]), None)), (1_024, Some(9_216)));
        assert_eq!(cut(file(1_000, 10, Some(&[50, u32::MAX, 0x10000, 0, 1_024, 0x10000]), None)), (1_024, Some(9_216)));
        // A montage is not cut.
        assert_eq!(cut(file(1_000, 10, Some(&[50, 0, 0x10000, 50, 4_096, 0x10000]), None)), (0, Some(10_240)));
        // Nonsense stays inside the track.
        assert_eq!(cut(file(1_000, 1, Some(&[u32::MAX, 0x7FFF_FFFF, 0x10000]), None)), (1_024, Some(0)));
        assert_eq!(cut(file(0, 0, Some(&[1, 1, 1]), None)), (0, Some(0)));
    }

    #[test]
    fn apple_comment() {
        let text = " 00000000 00000840 000001C0 0000000000001F40 00000000 00000000";
        let cut = file(1_000, 10, Some(&[0, 1_024, 0x10000]), Some(text)).in_frames(7, 44_100, None);
        assert_eq!(cut, Cut { skip: 0x840, frames: Some(0x1F40) });
        // Longer than the track, or no number: the edit list decides.
        for text in [" 0 840 0 FFFFFFFF", " 0 840", "x y z", ""] {
            let cut = file(1_000, 10, Some(&[0, 1_024, 0x10000]), Some(text)).in_frames(7, 44_100, None);
            assert_eq!(cut, Cut { skip: 1_024, frames: Some(9_216) });
        }
    }

    #[test]
    fn anything_else_is_not_cut() {
        for bytes in
            [&b""[..], b"RIFF", b"\0\0\0\x08ftyp", b"\0\0\0\x01ftyp\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", b"\0\0\0\0ftyp"]
        {
            assert_eq!(read_trim(&mut Cursor::new(bytes.to_vec())).unwrap(), Trim::default());
        }
    }
}
