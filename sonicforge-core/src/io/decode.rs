//! The way in: probe, demux, decode, trim.
//!
//! Symphonia does the work; this file adds what a library needs around it: exact lengths (encoder delay and padding, MP4 edit
//! lists, Opus pre-skip), a check that a file holds what its header promises, and a wall that neither a panic nor an endless
//! stream of empty packets passes.

use std::fs::File;
use std::io::{Cursor, SeekFrom};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use symphonia::core::audio::conv::FromSample;
use symphonia::core::audio::sample::Sample;
use symphonia::core::audio::{Audio, AudioBuffer as Decoded, GenericAudioBufferRef};
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::CodecRegistry;
use symphonia::core::common::Limit;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known as formats;
use symphonia::core::formats::{FormatId, FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

use crate::audio::{AudioBuffer, Block, MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, check_format};
use crate::error::{Error, Result};
use crate::io::tags::Tags;
use crate::io::{mp4, rf64};
use crate::progress::{NoProgress, Progress, Step, check};

/// What a file says about itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FileInfo {
    /// Frames per second, in Hz.
    pub sample_rate: u32,
    /// How many channels there are.
    pub channels: usize,
    /// Length in frames after trimming; `None` when the file does not state it exactly.
    pub frames: Option<u64>,
    /// The container: `"wav"`, `"aiff"`, `"flac"`, `"mp3"`, `"ogg"`, `"m4a"`, `"aac"`.
    pub format: String,
    /// The codec: `"pcm_s16le"`, `"flac"`, `"mp3"`, `"vorbis"`, `"aac"`, `"alac"`, `"opus"` …
    pub codec: String,
    /// Bits per sample, of lossless codecs.
    pub bits_per_sample: Option<u32>,
}

/// Where the bytes are.
#[derive(Clone)]
enum Source {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

impl Source {
    fn name(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Bytes(bytes) => format!("audio of {} bytes", bytes.len()),
        }
    }

    fn io(&self, error: std::io::Error) -> Error {
        match self {
            Source::File(path) => Error::io("cannot read", path, error),
            Source::Bytes(_) => Error::io("cannot read", "", error),
        }
    }

    fn open(&self) -> Result<Box<dyn MediaSource>> {
        match self {
            Source::File(path) => {
                let file = File::open(path).map_err(|e| self.io(e))?;
                let kind = file.metadata().map_err(|e| self.io(e))?;
                if kind.is_dir() {
                    return Err(self.io(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
                }
                Ok(Box::new(file))
            }
            Source::Bytes(bytes) => Ok(Box::new(Cursor::new(Arc::clone(bytes)))),
        }
    }
}

/// Reads a file piece by piece, in bounded memory.
///
/// ```
/// use sonicforge_core::audio::AudioBuffer;
/// use sonicforge_core::io::{self, Container, Reader, WriteOptions};
/// # let sound = AudioBuffer::new(48_000, 2, 10_000)?;
/// # let bytes = io::write_bytes(&sound, &WriteOptions { container: Some(Container::Wav), ..Default::default() })?;
/// let mut reader = Reader::from_bytes(bytes)?;
/// let mut block = AudioBuffer::new(reader.info().sample_rate, reader.info().channels, 4_096)?;
/// let mut frames = 0;
/// loop {
///     let n = reader.read(&mut block.block())?;
///     if n == 0 {
///         break;
///     }
///     frames += n; // … frames 0..n of the block are new
/// }
/// assert_eq!(frames, 10_000);
/// # Ok::<(), sonicforge_core::error::Error>(())
/// ```
pub struct Reader {
    source: Source,
    info: FileInfo,
    /// Nothing for a file that is well formed and holds no sound.
    stream: Option<Stream>,
    tags: OnceLock<Tags>,
    failed: bool,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("source", &self.source.name()).field("info", &self.info).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens a file. The format is told by its content, not by its name.
    ///
    /// Errors when the file cannot be read, is no audio file that this build knows, is damaged, or lies outside 8–384 kHz or
    /// 1–8 channels.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::new(Source::File(path.as_ref().to_path_buf()))
    }

    /// Opens the bytes of a file; see [`Reader::open`].
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        Self::new(Source::Bytes(bytes.into().into()))
    }

    fn new(source: Source) -> Result<Self> {
        let (stream, info) = open(&source)?;
        Ok(Self { source, info, stream, tags: OnceLock::new(), failed: false })
    }

    /// What the file says about itself.
    pub fn info(&self) -> &FileInfo {
        &self.info
    }

    /// The text tags and pictures, read when first asked for. Tags that cannot be read are no tags.
    pub fn tags(&self) -> &Tags {
        self.tags.get_or_init(|| match &self.source {
            Source::File(path) => File::open(path).map(Tags::read).unwrap_or_default(),
            Source::Bytes(bytes) => Tags::read(Cursor::new(&bytes[..])),
        })
    }

    /// Fills the block with the next frames and says how many there were: fewer than the block has only at the end of the
    /// sound, 0 after it. What lies behind them in the block is left as it was.
    ///
    /// Errors when the block has another number of channels than the file, when the file is damaged, and when it ends before
    /// the length that its header states. After an error of the file, only [`Reader::rewind`] makes it readable again.
    pub fn read(&mut self, block: &mut Block<'_>) -> Result<usize> {
        if block.channels() != self.info.channels {
            return Err(Error::invalid(format!(
                "the block has {} channels, but {} has {}",
                block.channels(),
                self.source.name(),
                self.info.channels
            )));
        }
        if self.failed {
            return Err(Error::Format(format!("{} is damaged; rewind it to read its beginning", self.source.name())));
        }
        let (source, Some(stream), info) = (&self.source, &mut self.stream, &self.info) else {
            return Ok(0);
        };
        let result = guarded(source, || stream.read(source, info, block));
        self.failed = result.is_err();
        result
    }

    /// Goes back to the first frame. (It opens the file again.)
    pub fn rewind(&mut self) -> Result<()> {
        let (stream, info) = open(&self.source)?;
        if info != self.info {
            return Err(Error::Format(format!("{} was replaced while it was being read", self.source.name())));
        }
        self.stream = stream;
        self.failed = false;
        Ok(())
    }
}

fn open(source: &Source) -> Result<(Option<Stream>, FileInfo)> {
    match guarded(source, || Stream::open(source)) {
        Ok((stream, info)) => Ok((Some(stream), info)),
        Err(error) => match empty_flac(source) {
            Some(info) => Ok((None, info)),
            None => Err(error),
        },
    }
}

/// A FLAC file that ends after its metadata and states no length, which Symphonia takes for cut off.
fn empty_flac(source: &Source) -> Option<FileInfo> {
    let mut media = source.open().ok()?;
    let mut head = [0; 26];
    media.read_exact(&mut head).ok()?;
    let packed = u64::from_be_bytes(std::array::from_fn(|i| head[18 + i]));
    if !head.starts_with(b"fLaC") || head[4] & 0x7F != 0 || packed & 0xF_FFFF_FFFF != 0 {
        return None;
    }
    let length = media.byte_len()?;
    let mut position = 4;
    loop {
        let mut block = [0; 4];
        media.seek(SeekFrom::Start(position)).ok()?;
        media.read_exact(&mut block).ok()?;
        position += 4 + u64::from(u32::from_be_bytes([0, block[1], block[2], block[3]]));
        if block[0] & 0x80 != 0 {
            break;
        }
    }
    let (sample_rate, channels) = ((packed >> 44) as u32, (packed >> 41 & 7) as usize + 1);
    (position == length && check_format(sample_rate, channels).is_ok()).then(|| FileInfo {
        sample_rate,
        channels,
        frames: Some(0),
        format: "flac".into(),
        codec: "flac".into(),
        bits_per_sample: Some((packed >> 36 & 31) as u32 + 1),
    })
}

/// Runs guest code that reads hostile bytes: a panic in it is an error of the file.
fn guarded<T>(source: &Source, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::Format(format!("{} is damaged: its decoder gave up", source.name()))))
}

/// So many packets in a row may be empty.
const MAX_EMPTY_PACKETS: usize = 4_096;
/// More frames than this per byte of file no codec makes (FLAC silence in the largest blocks: 65 535 frames in 11 bytes).
const MAX_FRAMES_PER_BYTE: u64 = 8_192;
/// An MP3 cut out of a longer stream lacks what its first packets refer to; so many may fail before the first one decodes.
const MAX_FALSE_STARTS: usize = 3;

const LOSSY: [&str; 6] = ["mp1", "mp2", "mp3", "vorbis", "aac", "opus"];
/// The headers of lossy files are often a packet or two off.
const LOSSY_SLACK: u64 = 8_192;

struct Stream {
    format: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    /// Frames of the decoder's last buffer that have not been given out.
    pending: std::ops::Range<usize>,
    /// Frames still to be thrown away at the beginning.
    skip: u64,
    /// Frames still to come, when the container says where the sound ends.
    left: Option<u64>,
    /// Frames given out so far.
    given: u64,
    /// Bytes of the file, 0 when it is a pipe.
    length: u64,
    /// Frames that may be decoded before the stream is taken for endless.
    limit: u64,
    /// Linear gain that the codec's header asks for (Opus).
    gain: f32,
    /// Whether any packet decoded so far.
    started: bool,
    false_starts: usize,
    ended: bool,
    /// The format the first buffer had; it may not change.
    spec: (u32, usize),
    /// So many frames may be missing at the end.
    slack: u64,
}

impl Stream {
    fn open(source: &Source) -> Result<(Self, FileInfo)> {
        let mut media = source.open()?;
        let length = media.byte_len();
        if length == Some(0) {
            return Err(Error::Format(format!("{} is empty", source.name())));
        }
        let mut trim = mp4::Trim::default();
        let mut rf64 = None;
        if media.is_seekable() {
            trim = mp4::read_trim(&mut *media).unwrap_or_default();
            media.rewind().map_err(|e| source.io(e))?;
            if let Some(header) = rf64::probe(&mut *media).map_err(|e| source.io(e))? {
                rf64 = Some(header);
                media = Box::new(rf64::AsRiff::new(media, header));
            }
            media.rewind().map_err(|e| source.io(e))?;
        }
        let stream = MediaSourceStream::new(media, Default::default());
        // Tags are read apart from this; here they are only passed over.
        let meta =
            MetadataOptions::default().limit_visual_bytes(Limit::Maximum(1)).limit_tag_bytes(Limit::Maximum(4_096));
        let format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), meta)
            .map_err(|e| probe_error(source, e))?;
        let format_id = format.format_info().format;
        let track = format
            .default_track(TrackType::Audio)
            .ok_or_else(|| Error::Format(format!("{} has no sound that can be decoded", source.name())))?;
        let Some(CodecParameters::Audio(params)) = &track.codec_params else {
            return Err(Error::Unsupported(format!("the codec of {} is not known", source.name())));
        };
        let mut params = params.clone();
        let opus = params.codec == CODEC_ID_OPUS;
        let gain = if opus { take_opus_header(&mut params) } else { 1.0 };
        let options = AudioDecoderOptions::default();
        let mut decoder = codecs().make_audio_decoder(&params, &options).map_err(|e| match e {
            SymphoniaError::Unsupported(_) if opus && !cfg!(feature = "opus") => Error::Unsupported(format!(
                "{} is Opus, which this build does not decode (feature \"opus\")",
                source.name()
            )),
            e => codec_error(source, e),
        })?;
        decoder.reset();
        let codec = decoder.codec_info().short_name.to_string();

        let id = track.id;
        let mut frames = track.num_frames;
        let mut skip = 0;
        if format_id == formats::FORMAT_ID_ISOMP4 {
            let rate = params.sample_rate.unwrap_or_default();
            let cut = trim.in_frames(id, rate, frames);
            (skip, frames) = (cut.skip, cut.frames);
        } else if let Some(header) = rf64 {
            frames = header.frames;
        } else if format_id == formats::FORMAT_ID_ADTS || (is_mpeg(format_id) && track.delay.is_none()) {
            // Here the length is an estimate from the bit rate.
            frames = None;
        } else if opus {
            // Symphonia counts the pre-skip.
            skip = u64::from(track.delay.unwrap_or(0));
            frames = frames.map(|f| f.saturating_sub(skip));
        }
        let left = if skip > 0 || format_id == formats::FORMAT_ID_ISOMP4 { frames } else { None };

        let mut stream = Self {
            format,
            decoder,
            track: id,
            pending: 0..0,
            skip,
            left,
            given: 0,
            length: length.unwrap_or(0),
            limit: length.map_or(u64::MAX, |length| length.saturating_mul(MAX_FRAMES_PER_BYTE)),
            gain,
            started: false,
            false_starts: 0,
            ended: false,
            spec: (0, 0),
            slack: if LOSSY.contains(&codec.as_str()) { LOSSY_SLACK } else { 0 },
        };
        // The first buffer says what really comes out of the decoder.
        stream.more(source, frames)?;
        let (sample_rate, channels) = if stream.started {
            stream.spec
        } else {
            (params.sample_rate.unwrap_or(0), params.channels.as_ref().map_or(0, |c| c.count()))
        };
        if !(MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&sample_rate) {
            return Err(Error::Unsupported(format!(
                "{} has a sample rate of {sample_rate} Hz; expected {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz",
                source.name()
            )));
        }
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(Error::Unsupported(format!(
                "{} has {channels} channels; expected 1 to {MAX_CHANNELS}",
                source.name()
            )));
        }
        stream.spec = (sample_rate, channels);
        let info = FileInfo {
            sample_rate,
            channels,
            frames,
            format: format_name(format_id),
            bits_per_sample: bits_per_sample(&params, &codec),
            codec,
        };
        Ok((stream, info))
    }

    fn read(&mut self, source: &Source, info: &FileInfo, block: &mut Block<'_>) -> Result<usize> {
        let mut filled = 0;
        while filled < block.frames() {
            if self.pending.is_empty() && !self.more(source, info.frames)? {
                break;
            }
            let n = self.pending.len().min(block.frames() - filled);
            copy(&self.decoder.last_decoded(), self.pending.start, &mut block.range(filled, filled + n), self.gain);
            self.pending.start += n;
            self.given += n as u64;
            filled += n;
        }
        Ok(filled)
    }

    /// Decodes until there are frames to give out; `false` at the end.
    fn more(&mut self, source: &Source, expected: Option<u64>) -> Result<bool> {
        for _ in 0..MAX_EMPTY_PACKETS {
            if self.ended || self.left == Some(0) {
                return Ok(false);
            }
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return self.end(source, expected),
                Err(SymphoniaError::IoError(e)) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return self.end(source, expected);
                }
                Err(e) => return Err(codec_error(source, e)),
            };
            if packet.track_id != self.track {
                continue;
            }
            let decoded = match self.decoder.decode(&packet) {
                Ok(decoded) => decoded,
                Err(SymphoniaError::DecodeError(_)) if !self.started && self.false_starts < MAX_FALSE_STARTS => {
                    self.false_starts += 1;
                    continue;
                }
                Err(e) => return Err(codec_error(source, e)),
            };
            let frames = decoded.frames();
            if frames == 0 {
                continue;
            }
            let spec = (decoded.spec().rate(), decoded.num_planes());
            if self.spec != (0, 0) && spec != self.spec {
                return Err(Error::Unsupported(format!(
                    "{} changes from {} Hz and {} channels to {} Hz and {} channels on its way",
                    source.name(),
                    self.spec.0,
                    self.spec.1,
                    spec.0,
                    spec.1
                )));
            }
            self.spec = spec;
            self.started = true;
            self.limit = self
                .limit
                .checked_sub(frames as u64)
                .ok_or_else(|| Error::Format(format!("{} makes more sound than its bytes can hold", source.name())))?;
            let mut range = 0..frames;
            let skipped = self.skip.min(range.len() as u64);
            range.start += skipped as usize;
            self.skip -= skipped;
            if let Some(left) = &mut self.left {
                range.end = range.end.min(range.start.saturating_add(usize::try_from(*left).unwrap_or(usize::MAX)));
                *left -= range.len() as u64;
            }
            if !range.is_empty() {
                self.pending = range;
                return Ok(true);
            }
        }
        Err(Error::Format(format!("{} holds {MAX_EMPTY_PACKETS} packets in a row without sound", source.name())))
    }

    /// The packets are used up: fine when the promised frames have come.
    fn end(&mut self, source: &Source, expected: Option<u64>) -> Result<bool> {
        self.ended = true;
        match expected {
            Some(expected) if self.given + self.slack < expected => Err(Error::Format(format!(
                "{} ends after {} of {expected} frames; it is cut off or damaged",
                source.name(),
                self.given
            ))),
            _ => Ok(false),
        }
    }
}

/// The decoders of this build.
fn codecs() -> &'static CodecRegistry {
    static CODECS: OnceLock<CodecRegistry> = OnceLock::new();
    CODECS.get_or_init(|| {
        let mut registry = CodecRegistry::new();
        symphonia::default::register_enabled_codecs(&mut registry);
        #[cfg(feature = "opus")]
        registry.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
        registry
    })
}

/// Reads the output gain (Q7.8 dB, RFC 7845 §5.1) of an Opus header and clears the pre-skip in it, which the decoder would
/// trim from the first packet only, however long it is; [`Stream`] trims it instead.
fn take_opus_header(params: &mut AudioCodecParameters) -> f32 {
    let Some(header) = params.extra_data.as_deref_mut().filter(|h| h.len() >= 18 && h.starts_with(b"OpusHead")) else {
        return 1.0;
    };
    header[10] = 0;
    header[11] = 0;
    let q78 = i16::from_le_bytes([header[16], header[17]]);
    crate::units::db_to_gain(f64::from(q78) / 256.0) as f32
}

/// Copies decoded frames from `start` on into the whole block, as `f32` with full scale at 1.
fn copy(decoded: &GenericAudioBufferRef<'_>, start: usize, block: &mut Block<'_>, gain: f32) {
    fn planes<S: Sample>(decoded: &Decoded<S>, start: usize, block: &mut Block<'_>)
    where
        f32: FromSample<S>,
    {
        for c in 0..block.channels() {
            let y = block.channel_mut(c);
            let Some(x) = decoded.plane(c).and_then(|x| x.get(start..start + y.len())) else {
                y.fill(0.0);
                continue;
            };
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = f32::from_sample(x));
        }
    }
    match decoded {
        GenericAudioBufferRef::U8(d) => planes(d, start, block),
        GenericAudioBufferRef::U16(d) => planes(d, start, block),
        GenericAudioBufferRef::U24(d) => planes(d, start, block),
        GenericAudioBufferRef::U32(d) => planes(d, start, block),
        GenericAudioBufferRef::S8(d) => planes(d, start, block),
        GenericAudioBufferRef::S16(d) => planes(d, start, block),
        GenericAudioBufferRef::S24(d) => planes(d, start, block),
        GenericAudioBufferRef::S32(d) => planes(d, start, block),
        GenericAudioBufferRef::F32(d) => planes(d, start, block),
        GenericAudioBufferRef::F64(d) => planes(d, start, block),
    }
    if gain != 1.0 {
        for c in 0..block.channels() {
            block.channel_mut(c).iter_mut().for_each(|x| *x *= gain);
        }
    }
}

fn is_mpeg(id: FormatId) -> bool {
    [formats::FORMAT_ID_MP1, formats::FORMAT_ID_MP2, formats::FORMAT_ID_MP3].contains(&id)
}

fn format_name(id: FormatId) -> String {
    match id {
        formats::FORMAT_ID_WAVE => "wav",
        formats::FORMAT_ID_AIFF => "aiff",
        formats::FORMAT_ID_FLAC => "flac",
        formats::FORMAT_ID_OGG => "ogg",
        formats::FORMAT_ID_ISOMP4 => "m4a",
        formats::FORMAT_ID_ADTS => "aac",
        _ if is_mpeg(id) => "mp3",
        _ => "unknown",
    }
    .to_string()
}

/// Bits per sample of a lossless codec, from wherever they are stated.
fn bits_per_sample(params: &AudioCodecParameters, codec: &str) -> Option<u32> {
    match codec {
        _ if LOSSY.contains(&codec) => None,
        // ALACSpecificConfig: frame length (4 bytes), version (1), bit depth (1).
        "alac" => params.extra_data.as_ref().and_then(|cookie| cookie.get(5)).map(|bits| u32::from(*bits)),
        _ => params
            .bits_per_coded_sample
            .or(params.bits_per_sample)
            .or_else(|| codec.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()),
    }
}

fn probe_error(source: &Source, error: SymphoniaError) -> Error {
    match error {
        SymphoniaError::Unsupported(_) => Error::Format(format!(
            "{} is not an audio file that can be read here; expected WAV, AIFF, FLAC, MP3, Ogg, M4A or AAC",
            source.name()
        )),
        e => codec_error(source, e),
    }
}

fn codec_error(source: &Source, error: SymphoniaError) -> Error {
    match error {
        SymphoniaError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            Error::Format(format!("{} ends too early; it is cut off or damaged", source.name()))
        }
        // Symphonia's own complaints about bytes that cannot be carry no code of the system.
        SymphoniaError::IoError(e) if e.raw_os_error().is_none() => {
            Error::Format(format!("{} is damaged: {e}", source.name()))
        }
        SymphoniaError::IoError(e) => source.io(e),
        SymphoniaError::Unsupported(what) => Error::Unsupported(format!("{}: {what}", source.name())),
        SymphoniaError::ResetRequired => {
            Error::Unsupported(format!("{} holds several streams one after the other", source.name()))
        }
        e => Error::Format(format!("{} is damaged: {e}", source.name())),
    }
}

/// What a file says about itself; see [`Reader::open`].
pub fn info(path: impl AsRef<Path>) -> Result<FileInfo> {
    Ok(Reader::open(path)?.info)
}

/// Reads a whole file; see [`Reader::open`].
pub fn read(path: impl AsRef<Path>) -> Result<AudioBuffer> {
    read_with(path, &mut NoProgress)
}

/// As [`read`], with news of the stage `"read"`: a share of the whole where the file states its length, else 0 until the end.
pub fn read_with(path: impl AsRef<Path>, progress: &mut dyn Progress) -> Result<AudioBuffer> {
    read_all(Reader::open(path)?, progress)
}

/// Reads the bytes of a whole file; see [`Reader::open`].
pub fn read_bytes(bytes: impl Into<Vec<u8>>) -> Result<AudioBuffer> {
    read_bytes_with(bytes, &mut NoProgress)
}

/// As [`read_bytes`], with news as [`read_with`].
pub fn read_bytes_with(bytes: impl Into<Vec<u8>>, progress: &mut dyn Progress) -> Result<AudioBuffer> {
    read_all(Reader::from_bytes(bytes)?, progress)
}

/// So many samples a header may promise in any case, and so many per byte of the file.
const MODEST: u64 = 1 << 22;
const MODEST_PER_BYTE: u64 = 64;

/// Frames that are decoded between two pieces of news.
const CHUNK: usize = 1 << 16;

fn read_all(mut reader: Reader, progress: &mut dyn Progress) -> Result<AudioBuffer> {
    let FileInfo { sample_rate, channels, frames, .. } = reader.info;
    // A header may lie: it is trusted up to a modest size; then the buffer grows as the frames really come.
    let length = reader.stream.as_ref().map_or(0, |stream| stream.length);
    let modest = length.saturating_mul(MODEST_PER_BYTE).max(MODEST) / channels as u64;
    let mut capacity = frames.unwrap_or(0).clamp(1, modest) as usize;
    let mut buffer = AudioBuffer::new(sample_rate, channels, capacity)?;
    let mut filled = 0;
    loop {
        let end = (filled + CHUNK).min(capacity);
        filled += reader.read(&mut buffer.block_range(filled, end))?;
        let fraction = frames.map_or(0.0, |frames| filled as f64 / frames.max(1) as f64);
        check(progress, "reading", Step::new("read", fraction))?;
        if filled < end {
            break;
        }
        if filled < capacity {
            continue;
        }
        // Full. At the promised end there is nothing more to come, and nothing to grow for.
        let mut probe = AudioBuffer::new(sample_rate, channels, 1)?;
        if reader.read(&mut probe.block())? == 0 {
            break;
        }
        let promised = frames.map_or(0, |f| usize::try_from(f).unwrap_or(usize::MAX));
        let grown = capacity.saturating_mul(2);
        capacity = if promised > capacity { grown.min(promised) } else { grown };
        buffer = buffer.with_frames(capacity)?;
        for c in 0..channels {
            buffer.channel_mut(c)[filled] = probe.channel(c)[0];
        }
        filled += 1;
    }
    buffer.truncate(filled);
    check(progress, "reading", Step::new("read", 1.0))?;
    Ok(buffer)
}
