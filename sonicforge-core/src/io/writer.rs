//! The way out: quantize, encode, write beside the target, sync, rename.
//!
//! A reader of the target sees the old file or the whole new one, never a part: the rename is atomic (POSIX `rename`), and the
//! bytes are synced before it. Whatever fails or is dropped before the rename leaves nothing behind.

use std::fs;
use std::io::{BufWriter, Cursor, Seek, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::audio::{AudioBuffer, Block, check_format};
use crate::dsp::dither::{Dither, Quantizer};
use crate::error::{Error, Result};
use crate::io::flac::FlacEncoder;
use crate::io::tags::Tags;
use crate::io::wav::WavEncoder;
use crate::progress::{NoProgress, Progress, Step, check};

/// The file formats that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Container {
    /// RIFF WAVE; `WAVE_FORMAT_EXTENSIBLE` above two channels, RF64 above 4 GiB.
    Wav,
    /// FLAC; integers only.
    Flac,
}

impl Container {
    /// The format that the extension of `path` names (`.wav`, `.wave`, `.flac`, in any case).
    pub fn for_path(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        extension.parse().map_err(|_| {
            Error::invalid(format!(
                "cannot tell the format of {} from its name; expected .wav or .flac, or name the container",
                path.display()
            ))
        })
    }
}

impl FromStr for Container {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s.to_ascii_lowercase().as_str() {
            "wav" | "wave" => Ok(Container::Wav),
            "flac" => Ok(Container::Flac),
            _ => Err(Error::invalid(format!("container is \"{s}\"; expected \"wav\" or \"flac\""))),
        }
    }
}

/// How a sample is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SampleFormat {
    /// 16-bit integers.
    Int16,
    /// 24-bit integers.
    #[default]
    Int24,
    /// 32-bit floating point (WAV only); values above full scale survive.
    Float32,
}

impl SampleFormat {
    /// Bits per sample.
    pub fn bits(self) -> u32 {
        match self {
            SampleFormat::Int16 => 16,
            SampleFormat::Int24 => 24,
            SampleFormat::Float32 => 32,
        }
    }
}

impl FromStr for SampleFormat {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        match s.to_ascii_lowercase().as_str() {
            "int16" | "16" => Ok(SampleFormat::Int16),
            "int24" | "24" => Ok(SampleFormat::Int24),
            "float32" | "32f" => Ok(SampleFormat::Float32),
            _ => Err(Error::invalid(format!("sample format is \"{s}\"; expected \"int16\", \"int24\" or \"float32\""))),
        }
    }
}

/// What a file is to be like.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// The file format; `None`: by the extension of the path.
    pub container: Option<Container>,
    /// The sample format; 24-bit integers by default.
    pub sample_format: SampleFormat,
    /// What is done when bits are dropped (always, when integers are written: the source is 32-bit float); TPDF by default.
    /// [`Dither::None`] writes samples that already lie on the grid without any change.
    pub dither: Dither,
    /// The seed of the dither: the same seed writes the same bytes.
    pub seed: u64,
    /// Text tags and pictures.
    pub tags: Tags,
}

impl WriteOptions {
    /// The defaults for this sample format.
    pub fn new(sample_format: SampleFormat) -> Self {
        Self { sample_format, ..Self::default() }
    }
}

/// A place that bytes can be written to and gone back in.
pub(crate) trait Sink: Write + Seek + Send {}
impl<T: Write + Seek + Send> Sink for T {}

enum Encoder<S: Sink> {
    Wav(WavEncoder<S>),
    Flac(Box<FlacEncoder<S>>),
}

/// Quantizer and encoder: all of the way out but the file.
struct Pipeline<S: Sink> {
    encoder: Encoder<S>,
    quantizer: Option<Quantizer>,
    channels: usize,
}

impl<S: Sink> Pipeline<S> {
    fn new(sink: S, container: Container, sample_rate: u32, channels: usize, options: &WriteOptions) -> Result<Self> {
        check_format(sample_rate, channels)?;
        let format = options.sample_format;
        let quantizer = match format {
            SampleFormat::Float32 => None,
            _ => Some(Quantizer::new(format.bits(), options.dither, options.seed, sample_rate, channels)?),
        };
        let encoder = match container {
            Container::Wav => Encoder::Wav(WavEncoder::new(sink, sample_rate, channels, format, &options.tags)?),
            Container::Flac => {
                Encoder::Flac(Box::new(FlacEncoder::new(sink, sample_rate, channels, format, &options.tags)?))
            }
        };
        Ok(Self { encoder, quantizer, channels })
    }

    fn write(&mut self, block: &mut Block<'_>) -> Result<()> {
        if block.channels() != self.channels {
            return Err(Error::invalid(format!(
                "the block has {} channels, but the file has {}",
                block.channels(),
                self.channels
            )));
        }
        match &mut self.quantizer {
            Some(quantizer) => quantizer.process(block),
            None => (0..block.channels()).for_each(|c| make_finite(block.channel_mut(c))),
        }
        match &mut self.encoder {
            Encoder::Wav(e) => e.write(block),
            Encoder::Flac(e) => e.write(block),
        }
    }

    fn finish(self) -> Result<S> {
        match self.encoder {
            Encoder::Wav(e) => e.finish(),
            Encoder::Flac(e) => e.finish(),
        }
    }
}

/// NaN becomes zero and infinity full scale: no decoder should meet them in a file.
fn make_finite(samples: &mut [f32]) {
    for x in samples {
        if !x.is_finite() {
            *x = if x.is_nan() { 0.0 } else { x.signum() };
        }
    }
}

/// Writes a file block by block, in bounded memory.
///
/// The bytes go to a temporary name in the target's folder; [`Writer::finish`] syncs and renames. A writer that is dropped
/// before that, or that fails, leaves nothing.
///
/// ```
/// use sonicforge_core::io::{Reader, WriteOptions, Writer};
/// use sonicforge_core::audio::AudioBuffer;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("silence.wav");
/// let mut writer = Writer::create(&path, 48_000, 2, &WriteOptions::default())?;
/// let mut block = AudioBuffer::new(48_000, 2, 1_024)?;
/// writer.write(&mut block.block())?;
/// writer.finish()?;
/// assert_eq!(Reader::open(&path)?.info().frames, Some(1_024));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Writer {
    pipeline: Pipeline<BufWriter<NamedTempFile>>,
    target: PathBuf,
    failed: bool,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Writer {
    /// Begins a file of this sample rate (8–384 kHz) and this many channels (1–8).
    ///
    /// Errors when the format cannot be told or cannot hold the sample format, when the target exists and is not a regular
    /// file, and when the folder cannot be written to.
    pub fn create(path: impl AsRef<Path>, sample_rate: u32, channels: usize, options: &WriteOptions) -> Result<Self> {
        let path = path.as_ref();
        let container = match options.container {
            Some(container) => container,
            None => Container::for_path(path)?,
        };
        let (file, target) = begin(path)?;
        let sink = BufWriter::with_capacity(1 << 16, file);
        let pipeline =
            Pipeline::new(sink, container, sample_rate, channels, options).map_err(|e| name_path(e, &target))?;
        Ok(Self { pipeline, target, failed: false })
    }

    /// Quantizes the block in place (afterwards it holds exactly what a reader of the file will get) and appends it.
    pub fn write(&mut self, block: &mut Block<'_>) -> Result<()> {
        if self.failed {
            return Err(Error::invalid(format!("{} could not be written; begin a new writer", self.target.display())));
        }
        self.pipeline.write(block).map_err(|e| {
            self.failed = true;
            name_path(e, &self.target)
        })
    }

    /// Completes the file, syncs it and gives it its name.
    pub fn finish(self) -> Result<()> {
        let Self { pipeline, target, failed } = self;
        if failed {
            return Err(Error::invalid(format!("{} could not be written; begin a new writer", target.display())));
        }
        let sink = pipeline.finish().map_err(|e| name_path(e, &target))?;
        let file = sink.into_inner().map_err(|e| Error::io("cannot write", &target, e.into_error()))?;
        keep(file, &target)
    }
}

/// A file without a name yet, in the folder of the one that it will become, and the path of that one.
pub(crate) fn begin(path: &Path) -> Result<(NamedTempFile, PathBuf)> {
    let target = resolve(path)?;
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".sonicforge-").suffix(".part");
    #[cfg(unix)]
    {
        // The default of a new file (what the umask leaves of rw-rw-rw-), not the 0600 of a secret.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder).map_err(|e| Error::io("cannot write", path, unwrap_path(e)))?;
    Ok((file, target))
}

/// Syncs a complete file and gives it its name.
pub(crate) fn keep(file: NamedTempFile, target: &Path) -> Result<()> {
    file.as_file().sync_all().map_err(|e| Error::io("cannot write", target, e))?;
    file.persist(target).map_err(|e| Error::io("cannot rename to", target, e.error))?;
    // The new name itself survives a power cut only when the folder is synced too; not every system can, so the best is
    // tried.
    #[cfg(unix)]
    if let Some(folder) = target.parent().and_then(|f| fs::File::open(f).ok()) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Where the file will lie: behind a symbolic link, so that the link survives.
fn resolve(path: &Path) -> Result<PathBuf> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::canonicalize(path).map_err(|e| Error::io("cannot write", path, e)),
        Ok(found) => Err(Error::invalid(format!(
            "{} is {}; expected the name of a file",
            path.display(),
            if found.is_dir() { "a folder" } else { "not a regular file" }
        ))),
        Err(_) => Ok(path.to_path_buf()),
    }
}

/// The system's own error from one that the temporary-file crate has dressed up with its own path.
fn unwrap_path(error: std::io::Error) -> std::io::Error {
    match error.raw_os_error() {
        Some(code) => std::io::Error::from_raw_os_error(code),
        None => std::io::Error::new(error.kind(), error.kind().to_string()),
    }
}

/// Puts the path into an error of the encoders, which know none.
fn name_path(error: Error, target: &Path) -> Error {
    match error {
        Error::Io { action, source, path } if path.as_os_str().is_empty() => Error::io(action, target, source),
        other => other,
    }
}

/// Frames that [`write()`] quantizes at a time.
const CHUNK: usize = 8_192;

fn write_all<S: Sink>(pipeline: &mut Pipeline<S>, buffer: &AudioBuffer, progress: &mut dyn Progress) -> Result<()> {
    let mut scratch = AudioBuffer::new(buffer.sample_rate(), buffer.channels(), CHUNK.min(buffer.frames()))?;
    let mut start = 0;
    while start < buffer.frames() {
        let n = CHUNK.min(buffer.frames() - start);
        for c in 0..buffer.channels() {
            scratch.channel_mut(c)[..n].copy_from_slice(&buffer.channel(c)[start..start + n]);
        }
        pipeline.write(&mut scratch.block_range(0, n))?;
        start += n;
        check(progress, "writing", Step::new("write", start as f64 / buffer.frames() as f64))?;
    }
    Ok(())
}

/// Writes a whole buffer to a file; see [`Writer`].
pub fn write(path: impl AsRef<Path>, buffer: &AudioBuffer, options: &WriteOptions) -> Result<()> {
    write_with(path, buffer, options, &mut NoProgress)
}

/// As [`write()`], with news of the stage `"write"`.
pub fn write_with(
    path: impl AsRef<Path>,
    buffer: &AudioBuffer,
    options: &WriteOptions,
    progress: &mut dyn Progress,
) -> Result<()> {
    let mut writer = Writer::create(path, buffer.sample_rate(), buffer.channels(), options)?;
    write_all(&mut writer.pipeline, buffer, progress).map_err(|e| name_path(e, &writer.target))?;
    writer.finish()
}

/// Writes a whole buffer as the bytes of a file. `options.container` must be named.
pub fn write_bytes(buffer: &AudioBuffer, options: &WriteOptions) -> Result<Vec<u8>> {
    write_bytes_with(buffer, options, &mut NoProgress)
}

/// As [`write_bytes`], with news of the stage `"write"`.
pub fn write_bytes_with(buffer: &AudioBuffer, options: &WriteOptions, progress: &mut dyn Progress) -> Result<Vec<u8>> {
    let container = options.container.ok_or_else(|| {
        Error::invalid("the container is not named; expected one when bytes are written (there is no extension)")
    })?;
    let sink = Cursor::new(Vec::new());
    let mut pipeline = Pipeline::new(sink, container, buffer.sample_rate(), buffer.channels(), options)?;
    write_all(&mut pipeline, buffer, progress)?;
    Ok(pipeline.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Signal;
    use std::io::{Error as IoError, ErrorKind, SeekFrom};

    /// A disk with room for so many bytes.
    struct SmallDisk(Cursor<Vec<u8>>, usize);

    impl Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.0.position() as usize + bytes.len() > self.1 {
                return Err(IoError::from(ErrorKind::StorageFull));
            }
            self.0.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Seek for SmallDisk {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }

    #[test]
    fn a_full_disk_is_an_error_wherever_it_fills() {
        let sound = Signal::Music { seed: 1 }.render(44_100, 2, 0.3).unwrap();
        for container in [Container::Wav, Container::Flac] {
            let options = WriteOptions { container: Some(container), ..Default::default() };
            let size = write_bytes(&sound, &options).unwrap().len();
            for room in (0..size).step_by(size / 37) {
                let disk = SmallDisk(Cursor::new(Vec::new()), room);
                let error = Pipeline::new(disk, container, 44_100, 2, &options)
                    .and_then(|mut p| write_all(&mut p, &sound, &mut NoProgress).map(|()| p))
                    .and_then(Pipeline::finish)
                    .err();
                assert_eq!(
                    error.map(|e| e.code()),
                    Some("SF_IO"),
                    "{container:?} with room for {room} of {size} bytes"
                );
            }
        }
    }

    #[test]
    fn names_tell_the_container() {
        for (name, container) in [("a.wav", Container::Wav), ("b.WAVE", Container::Wav), ("c.d.Flac", Container::Flac)]
        {
            assert_eq!(Container::for_path(name).unwrap(), container);
        }
        for name in ["a", "a.mp3", ".wav", ""] {
            assert_eq!(Container::for_path(name).unwrap_err().code(), "SF_INVALID_ARGUMENT");
        }
        assert_eq!("int16".parse::<SampleFormat>().unwrap(), SampleFormat::Int16);
        assert!("int8".parse::<SampleFormat>().is_err());
    }
}
