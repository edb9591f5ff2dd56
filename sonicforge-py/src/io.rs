//! `sonicforge_core::io`: files in and out.

use std::path::PathBuf;

use numpy::PyArray2;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde::de::{DeserializeOwned, IntoDeserializer, value};
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::{Error, Result};
use sonicforge_core::io::{self, WriteOptions};

use crate::arrays::{self, Lent, Samples};
use crate::enter::{CancelToken, Shared, Watch, enter, enter_long};

type Array<'py> = Bound<'py, PyArray2<f32>>;
type Token<'a, 'py> = Option<&'a Bound<'py, CancelToken>>;

/// How a file is written: container, sample format, dither, seed, and the file whose tags are taken along.
#[derive(FromPyObject)]
pub struct How(Option<String>, String, String, u64, Option<PathBuf>);

impl How {
    /// The options of the core. Reads the tags, so it belongs behind `enter`.
    pub fn options(self) -> Result<WriteOptions> {
        let How(container, sample_format, dither, seed, tags_from) = self;
        Ok(WriteOptions {
            container: container.map(|name| word("container", &name)).transpose()?,
            sample_format: word("sample_format", &sample_format)?,
            dither: word("dither", &dither)?,
            seed,
            tags: tags_from.map(io::tags).transpose()?.unwrap_or_default(),
        })
    }
}

/// One of the words of an enum of the core.
fn word<T: DeserializeOwned>(what: &str, name: &str) -> Result<T> {
    let name: value::StrDeserializer<'_, value::Error> = name.into_deserializer();
    T::deserialize(name).map_err(|e| Error::invalid(format!("{what}: {e}")))
}

/// Decodes a file.
#[pyfunction]
fn read<'py>(
    py: Python<'py>,
    path: PathBuf,
    progress: Option<Py<PyAny>>,
    cancel: Token<'_, 'py>,
) -> PyResult<Samples<'py>> {
    Ok(arrays::give(py, enter_long(py, Watch::new(progress, cancel), |progress| io::read_with(path, progress))?))
}

/// Decodes the bytes of a file.
#[pyfunction]
fn read_bytes<'py>(
    py: Python<'py>,
    bytes: &[u8],
    progress: Option<Py<PyAny>>,
    cancel: Token<'_, 'py>,
) -> PyResult<Samples<'py>> {
    Ok(arrays::give(py, enter_long(py, Watch::new(progress, cancel), |progress| io::read_bytes_with(bytes, progress))?))
}

/// Encodes to a file.
#[pyfunction]
fn write(
    py: Python<'_>,
    path: PathBuf,
    samples: Array<'_>,
    sample_rate: u32,
    how: How,
    progress: Option<Py<PyAny>>,
    cancel: Token<'_, '_>,
) -> PyResult<()> {
    let audio = Lent::new(&samples, sample_rate)?;
    let audio: &AudioBuffer = &audio;
    enter_long(py, Watch::new(progress, cancel), |progress| io::write_with(path, audio, &how.options()?, progress))
}

/// Encodes to bytes.
#[pyfunction]
fn write_bytes<'py>(
    py: Python<'py>,
    samples: Array<'py>,
    sample_rate: u32,
    how: How,
    progress: Option<Py<PyAny>>,
    cancel: Token<'_, 'py>,
) -> PyResult<Bound<'py, PyBytes>> {
    let audio = Lent::new(&samples, sample_rate)?;
    let audio: &AudioBuffer = &audio;
    let bytes = enter_long(py, Watch::new(progress, cancel), |progress| {
        io::write_bytes_with(audio, &how.options()?, progress)
    })?;
    Ok(PyBytes::new(py, &bytes))
}

/// What a file says about itself, as JSON.
#[pyfunction]
fn info(py: Python<'_>, path: PathBuf) -> PyResult<String> {
    enter(py, || crate::json::write(&io::info(path)?))
}

/// Name and text of every tag; kind, MIME type, description and bytes of every picture.
#[pyfunction]
fn tags(py: Python<'_>, path: PathBuf) -> PyResult<TagParts<'_>> {
    let tags = enter(py, || io::tags(path))?;
    let texts = tags.texts().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    let picture = |p: &io::Picture| (p.kind, p.mime_type.clone(), p.description.clone(), PyBytes::new(py, &p.data));
    Ok((texts, tags.pictures().iter().map(picture).collect()))
}

type PictureParts<'py> = (u8, String, String, Bound<'py, PyBytes>);
type TagParts<'py> = (Vec<(String, String)>, Vec<PictureParts<'py>>);

/// Decodes a file block by block.
#[pyclass(module = "sonicforge._sonicforge", frozen)]
struct Reader(Shared<io::Reader>);

#[pymethods]
impl Reader {
    #[new]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Ok(Self(Shared::new(enter(py, || io::Reader::open(path))?)))
    }

    fn info(&self, py: Python<'_>) -> PyResult<String> {
        self.0.enter(py, |reader| crate::json::write(reader.info()))
    }

    /// The next frames, at most so many; none at the end.
    fn read<'py>(&self, py: Python<'py>, frames: usize) -> PyResult<Array<'py>> {
        let block = self.0.enter(py, |reader| {
            let mut block = AudioBuffer::new(reader.info().sample_rate, reader.info().channels, frames)?;
            let filled = reader.read(&mut block.block())?;
            let channels: Vec<&[f32]> = (0..block.channels()).map(|c| &block.channel(c)[..filled]).collect();
            if filled == frames { Ok(block) } else { AudioBuffer::from_channels(block.sample_rate(), &channels) }
        })?;
        Ok(arrays::give(py, block).0)
    }

    fn rewind(&self, py: Python<'_>) -> PyResult<()> {
        self.0.enter(py, io::Reader::rewind)
    }
}

/// Encodes a file block by block, under a temporary name until it is finished.
#[pyclass(module = "sonicforge._sonicforge", frozen)]
struct Writer {
    writer: Shared<Option<io::Writer>>,
    channels: usize,
}

#[pymethods]
impl Writer {
    #[new]
    fn new(py: Python<'_>, path: PathBuf, sample_rate: u32, channels: usize, how: How) -> PyResult<Self> {
        let writer = enter(py, || io::Writer::create(path, sample_rate, channels, &how.options()?))?;
        Ok(Self { writer: Shared::new(Some(writer)), channels })
    }

    /// Appends the block, which then holds exactly what was written.
    fn write(&self, py: Python<'_>, samples: Array<'_>) -> PyResult<()> {
        let mut samples = arrays::exclusive(&samples)?;
        let samples = samples.as_slice_mut()?;
        self.writer.enter(py, |writer| match writer {
            Some(writer) => writer.write(&mut arrays::block(samples, self.channels)?),
            None => Err(Error::invalid(CLOSED)),
        })
    }

    /// Gives the file its name.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        self.writer.enter(py, |writer| writer.take().ok_or_else(|| Error::invalid(CLOSED))?.finish())
    }

    /// Throws the unfinished file away.
    fn discard(&self, py: Python<'_>) -> PyResult<()> {
        self.writer.enter(py, |writer| {
            *writer = None;
            Ok(())
        })
    }
}

const CLOSED: &str = "this writer is closed; make a new one";

/// Puts the functions of this file into the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    for function in [
        wrap_pyfunction!(read, m)?,
        wrap_pyfunction!(read_bytes, m)?,
        wrap_pyfunction!(write, m)?,
        wrap_pyfunction!(write_bytes, m)?,
        wrap_pyfunction!(info, m)?,
        wrap_pyfunction!(tags, m)?,
    ] {
        m.add_function(function)?;
    }
    m.add_class::<Reader>()?;
    m.add_class::<Writer>()
}
