//! `sonicforge_core::audio`: the helpers that edit a whole sound.

use numpy::PyArray2;
use pyo3::prelude::*;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::{Error, Result};

use crate::arrays::{self, Lent, Samples};
use crate::enter::{Watch, enter_long};

/// An edit of a whole sound, by name: the result is a new one.
#[pyfunction]
fn edit<'py>(
    py: Python<'py>,
    samples: Bound<'py, PyArray2<f32>>,
    sample_rate: u32,
    operation: &str,
    numbers: Vec<f64>,
    other: Option<(Bound<'py, PyArray2<f32>>, u32)>,
) -> PyResult<Samples<'py>> {
    let audio = Lent::new(&samples, sample_rate)?;
    let audio: &AudioBuffer = &audio;
    let other = other.map(|(samples, rate)| Lent::new(&samples, rate)).transpose()?;
    let other: Option<&AudioBuffer> = other.as_deref();
    let edited = enter_long(py, Watch::default(), |progress| {
        let changed = |change: &dyn Fn(&mut AudioBuffer) -> Result<()>| {
            let mut audio = audio.clone();
            change(&mut audio).map(|()| audio)
        };
        match (operation, &numbers[..], other) {
            ("resample", &[rate], _) => audio.resample_with(rate as u32, progress),
            ("trim", &[start, end], _) => audio.trim(start, end),
            ("fade_in", &[seconds], _) => changed(&|a| a.fade_in(seconds)),
            ("fade_out", &[seconds], _) => changed(&|a| a.fade_out(seconds)),
            ("mix", &[gain_db], Some(other)) => changed(&|a| a.mix(other, gain_db)),
            ("to_mono", [], _) => Ok(audio.to_mono()),
            ("to_stereo", [], _) => Ok(audio.to_stereo()),
            ("apply_gain", &[gain_db], _) => changed(&|a| a.apply_gain_db(gain_db)),
            ("normalize_peak", &[dbfs], _) => changed(&|a| a.normalize_peak(dbfs)),
            _ => Err(Error::Internal(format!("no edit {operation} with {} numbers", numbers.len()))),
        }
    })?;
    Ok(arrays::give(py, edited))
}

/// Puts the function of this file into the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(edit, m)?)
}
