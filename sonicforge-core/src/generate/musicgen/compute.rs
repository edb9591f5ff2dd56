//! Where a model computes, and in what.

use candle_core::{DType, Device, Storage, Tensor};

use super::kernels::Pool;
use crate::error::{Error, Result};

/// A device, the threads, and which arithmetic: this crate's kernels on a CPU, candle's operations elsewhere.
#[derive(Clone)]
pub(crate) struct Compute {
    /// Where tensors live.
    pub device: Device,
    /// The threads of the kernels.
    pub pool: Pool,
    /// candle's operations on the CPU too: the code that runs on other devices can then be tested on any machine.
    pub portable: bool,
    /// Type of the activations: f32 on a CPU.
    pub dtype: DType,
}

impl Compute {
    /// This crate's kernels with `threads` threads.
    pub fn cpu(threads: usize) -> Result<Self> {
        Ok(Self { device: Device::Cpu, pool: Pool::new(threads)?, portable: false, dtype: DType::F32 })
    }

    /// candle's operations on any device.
    pub fn device(device: Device, dtype: DType) -> Result<Self> {
        Ok(Self { device, pool: Pool::new(1)?, portable: true, dtype })
    }

    /// Whether this crate's kernels do the work.
    pub fn kernels(&self) -> bool {
        self.device.is_cpu() && !self.portable
    }

    /// A tensor of values computed on the host.
    pub fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).map_err(failed)?;
        if self.device.is_cpu() && self.dtype == DType::F32 {
            return Ok(tensor);
        }
        tensor.to_dtype(self.dtype).and_then(|t| t.to_device(&self.device)).map_err(failed)
    }
}

/// An operation that candle refused. Shapes are checked when a model is loaded, so what is left is a device that gave up
/// (out of memory, driver) or a defect.
pub(crate) fn failed(error: candle_core::Error) -> Error {
    Error::Model(format!("the model could not be run: {error}"))
}

/// The values of a tensor, on the host, as f32.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.to_dtype(DType::F32).and_then(|t| t.flatten_all()).and_then(|t| t.to_vec1()).map_err(failed)
}

/// Lends the values of a contiguous f32 tensor on the CPU.
pub(crate) fn lend<T>(tensor: &Tensor, work: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    let (Storage::Cpu(cpu), Some((from, to))) = (&*storage, layout.contiguous_offsets()) else {
        return Err(Error::Internal("a kernel was given a tensor that is not contiguous on the CPU".into()));
    };
    let values: &[f32] = cpu.as_slice().map_err(failed)?;
    Ok(work(&values[from..to]))
}

/// A new tensor of this shape, filled from the values of another.
pub(crate) fn map(x: &Tensor, shape: &[usize], work: impl FnOnce(&[f32], &mut [f32])) -> Result<Tensor> {
    let mut out = vec![0.0; shape.iter().product()];
    lend(x, |x| work(x, &mut out))?;
    Tensor::from_vec(out, shape, &Device::Cpu).map_err(failed)
}
