//! Text tags and cover art, on their way from the input to the output.
//!
//! Sources: Xiph.Org, "Ogg Vorbis I format specification: comment field and header specification" (the names); RFC 9639 §8
//! (FLAC metadata blocks); id3.org, "ID3 tag version 2.4.0" (what WAV gets, in an `id3 ` chunk, beside a `LIST INFO` chunk for
//! older hosts). The crate lofty reads the tags of every format and writes the ID3.

use std::io::{BufReader, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use lofty::TextEncoding;
use lofty::config::{ParseOptions, ParsingMode};
use lofty::file::{AudioFile, FileType, TaggedFileExt};
use lofty::id3::v2::{ExtendedTextFrame, Frame, Id3v2Tag};
use lofty::ogg::OggPictureStorage;
use lofty::ogg::tag::VorbisComments;
use lofty::picture::PictureType;
use lofty::probe::Probe;
use lofty::tag::{ItemKey, ItemValue, TagExt, TagItem, TagType};

use crate::error::{Error, Result};

/// Text tags and pictures of a file.
///
/// Names are those of Vorbis comments, in lower case: `title`, `artist`, `album`, `albumartist`, `tracknumber`, `tracktotal`,
/// `discnumber`, `date`, `genre`, `composer`, `comment`, `isrc`, `bpm`, `lyrics` … A name may come more than once. Names are
/// compared without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    texts: Vec<(String, String)>,
    pictures: Vec<Picture>,
}

/// A picture, such as a cover.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Picture {
    /// What it shows, as ID3 and FLAC number it: 3 is the front cover, 4 the back cover, 0 anything else.
    pub kind: u8,
    /// Its MIME type, such as `image/jpeg`.
    pub mime_type: String,
    /// A description, mostly empty.
    pub description: String,
    /// The bytes of the picture file. Cheap to clone.
    pub data: Arc<[u8]>,
}

impl Picture {
    /// A front cover.
    pub fn front_cover(mime_type: impl Into<String>, data: impl Into<Arc<[u8]>>) -> Self {
        Self { kind: 3, mime_type: mime_type.into(), description: String::new(), data: data.into() }
    }
}

/// The tags of a file; see [`crate::io::Reader::tags`].
pub fn tags(path: impl AsRef<Path>) -> Result<Tags> {
    let path = path.as_ref();
    let file = std::fs::File::open(path).map_err(|e| Error::io("cannot read", path, e))?;
    Ok(Tags::read(file))
}

/// What describes the encoding of the old samples is left behind when new samples are written.
fn describes_the_encoding(name: &str) -> bool {
    ["encoder", "encodersettings", "encoder_options", "encoding", "itunsmpb", "itunnorm", "length"].contains(&name)
        || ["replaygain_", "r128_", "mp3gain_", "wavextensible_"].iter().any(|p| name.starts_with(p))
}

/// FLAC block lengths have 24 bits.
const MAX_BLOCK: usize = (1 << 24) - 1;
/// A picture larger than this is not carried along (it would not fit a FLAC block with its head).
const MAX_PICTURE: usize = MAX_BLOCK - 4_096;

impl Tags {
    /// No tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is neither text nor picture.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.pictures.is_empty()
    }

    /// The first text of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, text)| text.as_str())
    }

    /// All texts: name in lower case, text.
    pub fn texts(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// Replaces every text of this name. The name must be printable ASCII without `=`.
    pub fn set(&mut self, name: &str, text: impl Into<String>) -> Result<()> {
        if !is_name(name) {
            return Err(Error::invalid(format!(
                "\"{name}\" cannot name a tag; expected printable ASCII without \"=\""
            )));
        }
        self.remove(name);
        self.push(name, text);
        Ok(())
    }

    /// Removes every text of this name.
    pub fn remove(&mut self, name: &str) {
        self.texts.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// The pictures.
    pub fn pictures(&self) -> &[Picture] {
        &self.pictures
    }

    /// Adds a picture of at most 16 MiB.
    pub fn add_picture(&mut self, picture: Picture) -> Result<()> {
        if picture.data.len() > MAX_PICTURE {
            return Err(Error::invalid(format!(
                "the picture has {} bytes; expected at most {MAX_PICTURE}",
                picture.data.len()
            )));
        }
        self.pictures.push(picture);
        Ok(())
    }

    fn push(&mut self, name: &str, text: impl Into<String>) {
        let (name, text) = (name.to_ascii_lowercase(), text.into());
        let text = text.trim_end_matches('\0').to_string();
        if is_name(&name) && !text.is_empty() && !self.texts.iter().any(|(n, t)| *n == name && *t == text) {
            self.texts.push((name, text));
        }
    }

    fn take_picture(&mut self, picture: &lofty::picture::Picture) {
        let data = picture.data();
        if data.is_empty() || data.len() > MAX_PICTURE || self.pictures.iter().any(|p| *p.data == *data) {
            return;
        }
        self.pictures.push(Picture {
            kind: picture.pic_type().as_u8(),
            mime_type: picture.mime_type().map_or("image/", |m| m.as_str()).to_string(),
            description: picture.description().unwrap_or_default().to_string(),
            data: data.into(),
        });
    }

    /// The tags of a file, of whatever format. Whatever cannot be read is left out: damaged tags must not keep anybody from
    /// the sound.
    pub(crate) fn read(source: impl Read + Seek) -> Self {
        catch_unwind(AssertUnwindSafe(|| Self::try_read(source))).ok().flatten().unwrap_or_default()
    }

    fn try_read(source: impl Read + Seek) -> Option<Self> {
        let options = ParseOptions::new().read_properties(false).parsing_mode(ParsingMode::Relaxed);
        let probe = Probe::new(BufReader::new(source)).options(options).guess_file_type().ok()?;
        let mut tags = Self::default();
        match probe.file_type()? {
            // Vorbis comments are taken as they are, also those that no other format knows.
            FileType::Flac => {
                let file = lofty::flac::FlacFile::read_from(&mut probe.into_inner(), options).ok()?;
                file.vorbis_comments().into_iter().for_each(|c| tags.take_comments(c));
                file.pictures().iter().for_each(|(p, _)| tags.take_picture(p));
            }
            FileType::Vorbis => {
                tags.take_comments(
                    lofty::ogg::VorbisFile::read_from(&mut probe.into_inner(), options).ok()?.vorbis_comments(),
                );
            }
            FileType::Opus => {
                tags.take_comments(
                    lofty::ogg::OpusFile::read_from(&mut probe.into_inner(), options).ok()?.vorbis_comments(),
                );
            }
            kind => {
                let file = probe.read().ok()?;
                // The format's own tag first; others fill the gaps.
                let first = file.primary_tag();
                let others = file.tags().iter().filter(|t| first.is_none_or(|f| f.tag_type() != t.tag_type()));
                for tag in first.into_iter().chain(others) {
                    let known: Vec<String> = tags.texts.iter().map(|(n, _)| n.clone()).collect();
                    for item in tag.items() {
                        let text = item.value().text().or_else(|| item.value().locator());
                        let name = item.key().map_key(TagType::VorbisComments).map(str::to_ascii_lowercase);
                        if let (Some(name), Some(text)) = (name, text)
                            && !known.contains(&name)
                        {
                            tags.push(&name, text);
                        }
                    }
                    tag.pictures().iter().for_each(|p| tags.take_picture(p));
                }
                // MP4 knows covers only, and does not number them.
                if kind == FileType::Mp4 {
                    tags.pictures.iter_mut().for_each(|p| p.kind = 3);
                }
            }
        }
        Some(tags)
    }

    fn take_comments(&mut self, comments: &VorbisComments) {
        comments.items().for_each(|(name, text)| self.push(name, text));
        comments.pictures().iter().for_each(|(p, _)| self.take_picture(p));
    }

    /// The texts that a new file gets.
    fn carried(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(|(name, _)| !describes_the_encoding(name))
    }

    /// FLAC metadata blocks (comments and pictures) without their 4-byte heads: block type and content.
    pub(crate) fn to_flac_blocks(&self) -> Result<Vec<(u8, Vec<u8>)>> {
        let mut comments = Vec::new();
        put_text(&mut comments, concat!("SonicForge ", env!("CARGO_PKG_VERSION")), u32::to_le_bytes);
        let texts: Vec<_> = self.carried().collect();
        comments.extend((texts.len() as u32).to_le_bytes());
        for (name, text) in texts {
            put_text(&mut comments, &format!("{}={text}", name.to_ascii_uppercase()), u32::to_le_bytes);
        }
        if comments.len() > MAX_BLOCK {
            return Err(Error::invalid(format!(
                "the text tags have {} bytes; expected at most {MAX_BLOCK}",
                comments.len()
            )));
        }
        let mut blocks = vec![(4, comments)];
        for picture in &self.pictures {
            let mut block = Vec::with_capacity(picture.data.len() + 64);
            block.extend(u32::from(picture.kind).to_be_bytes());
            put_text(&mut block, &picture.mime_type, u32::to_be_bytes);
            put_text(&mut block, &picture.description, u32::to_be_bytes);
            // Width, height, depth and colours: 0 is "not stated".
            block.extend([0; 16]);
            block.extend((picture.data.len() as u32).to_be_bytes());
            block.extend(&*picture.data);
            if block.len() <= MAX_BLOCK {
                blocks.push((6, block));
            }
        }
        Ok(blocks)
    }

    /// RIFF chunks (`LIST INFO` and `id3 `) to follow the samples; nothing when there are no tags.
    pub(crate) fn to_riff_chunks(&self) -> Result<Vec<u8>> {
        const INFO: [(&str, &[u8; 4]); 9] = [
            ("title", b"INAM"),
            ("artist", b"IART"),
            ("album", b"IPRD"),
            ("date", b"ICRD"),
            ("genre", b"IGNR"),
            ("comment", b"ICMT"),
            ("tracknumber", b"ITRK"),
            ("copyright", b"ICOP"),
            ("isrc", b"ISRC"),
        ];
        let mut out = Vec::new();
        let mut info = b"INFO".to_vec();
        for (name, id) in INFO {
            if let Some(text) = self.get(name) {
                put_chunk(&mut info, id, &[text.as_bytes(), b"\0"].concat());
            }
        }
        if info.len() > 4 {
            put_chunk(&mut out, b"LIST", &info);
        }
        let id3 = self.to_id3()?;
        if !id3.is_empty() {
            put_chunk(&mut out, b"id3 ", &id3);
        }
        Ok(out)
    }

    fn to_id3(&self) -> Result<Vec<u8>> {
        let mut tag = lofty::tag::Tag::new(TagType::Id3v2);
        let mut unknown = Vec::new();
        for (name, text) in self.carried() {
            let item = ItemKey::from_key(TagType::VorbisComments, &name.to_ascii_uppercase())
                .map(|key| TagItem::new(key, ItemValue::Text(text.to_string())));
            if !item.is_some_and(|item| tag.push(item)) {
                unknown.push((name, text));
            }
        }
        for picture in &self.pictures {
            tag.push_picture(
                lofty::picture::Picture::unchecked(picture.data.to_vec())
                    .pic_type(PictureType::from_u8(picture.kind))
                    .mime_type(lofty::picture::MimeType::from_str(&picture.mime_type))
                    .description(picture.description.clone())
                    .build(),
            );
        }
        let mut id3 = Id3v2Tag::from(tag);
        for (name, text) in unknown {
            id3.insert(Frame::UserText(ExtendedTextFrame::new(
                TextEncoding::UTF8,
                name.to_ascii_uppercase(),
                text.to_string(),
            )));
        }
        // The conversion goes through hash maps: put the frames in order, so that the same tags are the same bytes.
        let mut frames: Vec<Frame<'static>> = id3.into_iter().collect();
        frames.sort_by_cached_key(|f| match f {
            Frame::Picture(_) => (f.id_str().to_string(), String::new()),
            other => (f.id_str().to_string(), format!("{other:?}")),
        });
        let mut id3 = Id3v2Tag::new();
        for frame in frames {
            id3.insert(frame);
        }
        let mut bytes = Vec::new();
        if !id3.is_empty() {
            id3.dump_to(&mut bytes, lofty::config::WriteOptions::default())
                .map_err(|e| Error::invalid(format!("the tags cannot be written: {e}")))?;
        }
        Ok(bytes)
    }
}

/// Whether this can name a Vorbis comment.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| (0x20..=0x7D).contains(&b) && b != b'=')
}

fn put_text(out: &mut Vec<u8>, text: &str, length: impl Fn(u32) -> [u8; 4]) {
    out.extend(length(text.len() as u32));
    out.extend(text.as_bytes());
}

/// A RIFF chunk, padded to an even length.
fn put_chunk(out: &mut Vec<u8>, id: &[u8; 4], content: &[u8]) {
    out.extend(id);
    out.extend((content.len() as u32).to_le_bytes());
    out.extend(content);
    if content.len() % 2 == 1 {
        out.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_tags_are_the_same_bytes() {
        let mut tags = Tags::new();
        for (i, name) in
            ["title", "artist", "album", "genre", "date", "comment", "mood", "radio_slot"].iter().enumerate()
        {
            tags.set(name, format!("{i}")).unwrap();
        }
        let first = tags.to_id3().unwrap();
        assert!(!first.is_empty());
        for _ in 0..20 {
            assert!(tags.to_id3().unwrap() == first);
        }
    }
}
