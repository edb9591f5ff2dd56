//! The numpy rules: `(channels, frames)`, float32, C-contiguous.
//!
//! The facade (`_arrays.py`) converts whatever is not; here the layout is checked again, because `as_slice` of the crate
//! numpy takes Fortran order too, and a planar kernel would then read `soundfile.read(...)[0].T` as garbage.

use std::ops::Deref;

use numpy::ndarray::Array2;
use numpy::{IntoPyArray, PyArray2, PyArrayMethods, PyReadonlyArray2, PyReadwriteArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use sonicforge_core::audio::{AudioBuffer, Block};

use crate::errors;

/// Samples of the host, seen as an [`AudioBuffer`] without copying them.
///
/// Only `&AudioBuffer` comes out, and a clone of it owns its samples: nothing can look at the array after this is gone.
pub struct Lent<'py> {
    audio: AudioBuffer,
    _array: PyReadonlyArray2<'py, f32>,
}

impl<'py> Lent<'py> {
    /// Borrows `array` for as long as the call lasts.
    pub fn new(array: &Bound<'py, PyArray2<f32>>, sample_rate: u32) -> PyResult<Self> {
        let py = array.py();
        check(array)?;
        let held = array.try_readonly().map_err(|_| errors::invalid(py, IN_USE))?;
        let channels = array.shape()[0];
        let memory = Memory { start: held.as_slice()?.as_ptr(), len: array.len() };
        let audio = AudioBuffer::from_host(sample_rate, channels, Box::new(memory));
        Ok(Self { audio: audio.map_err(|error| errors::to_py(py, error))?, _array: held })
    }
}

impl Deref for Lent<'_> {
    type Target = AudioBuffer;

    fn deref(&self) -> &AudioBuffer {
        &self.audio
    }
}

struct Memory {
    start: *const f32,
    len: usize,
}

// SAFETY: memory that is only read, and that `Lent` keeps alive; it is not tied to a thread.
unsafe impl Send for Memory {}
unsafe impl Sync for Memory {}

impl AsRef<[f32]> for Memory {
    fn as_ref(&self) -> &[f32] {
        // SAFETY: start and len come from a slice of the array that `Lent` holds for as long as this lives.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

/// An array to be changed in place.
pub fn exclusive<'py>(array: &Bound<'py, PyArray2<f32>>) -> PyResult<PyReadwriteArray2<'py, f32>> {
    check(array)?;
    array.try_readwrite().map_err(|error| match error {
        numpy::BorrowError::AlreadyBorrowed => errors::invalid(array.py(), IN_USE),
        _ => errors::invalid(array.py(), "the array is read-only and cannot be changed in place"),
    })
}

/// The channels of an array as a block. Errors when there are not 1 to 8.
pub fn block<'a>(samples: &'a mut [f32], channels: usize) -> sonicforge_core::error::Result<Block<'a>> {
    let frames = samples.len() / channels.max(1);
    let mut rest = samples;
    Block::new((0..channels).map(move |_| {
        let (channel, tail) = std::mem::take(&mut rest).split_at_mut(frames);
        rest = tail;
        channel
    }))
}

/// Hands a buffer to Python: numpy takes over the memory, nothing is copied.
pub fn give(py: Python<'_>, audio: AudioBuffer) -> Samples<'_> {
    let (sample_rate, shape) = (audio.sample_rate(), (audio.channels(), audio.frames()));
    let samples = Array2::from_shape_vec(shape, audio.into_samples()).expect("a buffer has channels x frames samples");
    (samples.into_pyarray(py), sample_rate)
}

/// `(channels, frames)` float32 and the sample rate in Hz: how audio leaves.
pub type Samples<'py> = (Bound<'py, PyArray2<f32>>, u32);

/// Codes, `(codebooks, frames)` uint32.
pub type Codes<'py> = Bound<'py, PyArray2<u32>>;

/// Hands codes to Python.
pub fn give_codes(py: Python<'_>, codes: Vec<Vec<u32>>) -> Codes<'_> {
    let shape = (codes.len(), codes.first().map_or(0, Vec::len));
    Array2::from_shape_vec(shape, codes.concat()).expect("all codebooks have as many frames").into_pyarray(py)
}

/// Takes codes from Python, whatever their order in memory.
pub fn take_codes(codes: &PyReadonlyArray2<'_, u32>) -> Vec<Vec<u32>> {
    codes.as_array().rows().into_iter().map(|book| book.to_vec()).collect()
}

const IN_USE: &str = "the array is in use by another call of sonicforge; wait for it, or pass a copy";

fn check(array: &Bound<'_, PyArray2<f32>>) -> PyResult<()> {
    if array.is_c_contiguous() {
        return Ok(());
    }
    Err(errors::invalid(array.py(), "the array is not C-contiguous; pass np.ascontiguousarray(x)"))
}
