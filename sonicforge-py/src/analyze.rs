//! `sonicforge_core::analyze`.

use numpy::PyArray2;
use pyo3::prelude::*;
use sonicforge_core::analyze::{self, Analysis};
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::{Error, Result};
use sonicforge_core::progress::{Progress, Step};

use crate::arrays::Lent;
use crate::enter::{CancelToken, Shared, Watch, enter_long};
use crate::json;

/// Frames that are measured between two looks at the wish to stop.
const CHUNK: usize = 1 << 18;

/// Measures a whole sound; the analysis comes as JSON.
#[pyfunction]
#[pyo3(name = "analyze")]
fn analyze_(
    py: Python<'_>,
    samples: Bound<'_, PyArray2<f32>>,
    sample_rate: u32,
    progress: Option<Py<PyAny>>,
    cancel: Option<&Bound<'_, CancelToken>>,
) -> PyResult<String> {
    let audio = Lent::new(&samples, sample_rate)?;
    let audio: &AudioBuffer = &audio;
    enter_long(py, Watch::new(progress, cancel), |progress| json::write(&listen(audio, progress)?))
}

/// As `analyze` of the core, with news of the stage `"analyze"`.
pub fn listen(audio: &AudioBuffer, progress: &mut dyn Progress) -> Result<Analysis> {
    let mut analyzer = analyze::Analyzer::new(audio.sample_rate(), audio.channels())?;
    for start in (0..audio.frames()).step_by(CHUNK) {
        let end = (start + CHUNK).min(audio.frames());
        push(&mut analyzer, audio, start, end)?;
        if progress.report(Step::new("analyze", end as f64 / audio.frames() as f64)).is_break() {
            return Err(Error::Cancelled("analyze"));
        }
    }
    Ok(analyzer.finish())
}

fn push(analyzer: &mut analyze::Analyzer, audio: &AudioBuffer, start: usize, end: usize) -> Result<()> {
    let channels: Vec<&[f32]> = (0..audio.channels()).map(|c| &audio.channel(c)[start..end]).collect();
    analyzer.push_channels(&channels)
}

/// Measures block by block.
#[pyclass(module = "sonicforge._sonicforge", frozen)]
struct Analyzer {
    meters: Shared<Option<analyze::Analyzer>>,
    sample_rate: u32,
}

#[pymethods]
impl Analyzer {
    #[new]
    fn new(py: Python<'_>, sample_rate: u32, channels: usize) -> PyResult<Self> {
        let meters = crate::enter::enter(py, || analyze::Analyzer::new(sample_rate, channels))?;
        Ok(Self { meters: Shared::new(Some(meters)), sample_rate })
    }

    fn push(&self, py: Python<'_>, samples: Bound<'_, PyArray2<f32>>) -> PyResult<()> {
        let block = Lent::new(&samples, self.sample_rate)?;
        let block: &AudioBuffer = &block;
        self.meters.enter(py, |meters| push(running(meters)?, block, 0, block.frames()))
    }

    /// Loudness and true peak so far, as JSON.
    fn current(&self, py: Python<'_>) -> PyResult<String> {
        self.meters.enter(py, |meters| json::write(&running(meters)?.current()))
    }

    /// The analysis as JSON. Nothing can be pushed after it.
    fn finish(&self, py: Python<'_>) -> PyResult<String> {
        self.meters.enter(py, |meters| {
            running(meters)?;
            json::write(&meters.take().map(analyze::Analyzer::finish))
        })
    }
}

fn running(meters: &mut Option<analyze::Analyzer>) -> Result<&mut analyze::Analyzer> {
    meters.as_mut().ok_or_else(|| Error::invalid("this analyzer has finished; make a new one"))
}

/// An analysis, checked and written anew.
pub fn normalize(text: &str) -> Result<String> {
    json::write(&Analysis::from_json(text)?)
}

/// Puts what is in this file into the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(analyze_, m)?)?;
    m.add_class::<Analyzer>()
}
