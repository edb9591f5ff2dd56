//! Weight matrices and embedding tables. Whether they are floats or blocks of 8 or 4 bits is known here and nowhere else.

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{DType, Module, Tensor};

use super::blocks::{dequantize_blocks, quantize_blocks};
use super::checkpoint::{Blocks, Checkpoint};
use super::compute::{Compute, failed, map};
use super::kernels::{Dense, PackedQ4K, PackedQ8_0, QuantizedRows};
use super::precision::Precision;
use crate::error::Result;

/// y = x·Wᵀ + b.
pub(crate) struct Linear {
    form: Form,
    bias: Option<Vec<f32>>,
    bias_tensor: Option<Tensor>,
    inputs: usize,
    outputs: usize,
    compute: Compute,
}

enum Form {
    F32(Dense<f32>),
    F16(Dense<half::f16>),
    Bf16(Dense<half::bf16>),
    Q8_0(PackedQ8_0),
    Q4K(PackedQ4K),
    /// Transposed, on the device.
    Device(Tensor),
    /// Quantized, on the device.
    Quantized(QMatMul),
}

impl Linear {
    /// Stacks the matrices `names`, each `[outputs][inputs]`, one below the other. Blocks stay what the file has, unless
    /// `precision` is one of floats; floats become `precision`, or the nearest that the row length allows (Q4_K and Q6_K want multiples of 256, Q8_0 of 32).
    pub fn load(
        compute: &Compute,
        from: &Checkpoint,
        names: &[String],
        outputs: usize,
        inputs: usize,
        precision: Precision,
    ) -> Result<Self> {
        let mut parts = Vec::with_capacity(names.len());
        for name in names {
            parts.push(from.blocks(name, &[outputs, inputs])?);
        }
        let outputs = outputs * names.len();
        let form = if precision.block() > 1
            && let Some((kind, bytes)) = stack(&parts)
        {
            Form::from_blocks(compute, kind, &bytes, outputs, inputs)?
        } else {
            let mut floats = Vec::with_capacity(outputs * inputs);
            for part in parts {
                match part {
                    Blocks::F32(values) => floats.extend(values),
                    Blocks::Q8_0(bytes) => floats.extend(dequantize_blocks(Precision::Q8_0, bytes)),
                    Blocks::Q4K(bytes) => floats.extend(dequantize_blocks(Precision::Q4K, bytes)),
                    Blocks::Q6K(bytes) => floats.extend(dequantize_blocks(Precision::Q6K, bytes)),
                }
            }
            Form::from_floats(compute, precision, floats, outputs, inputs)?
        };
        // The blocks were copied.
        from.release();
        Ok(Self { form, bias: None, bias_tensor: None, inputs, outputs, compute: compute.clone() })
    }

    /// With a bias of one value per output.
    pub fn with_bias(mut self, bias: Vec<f32>) -> Result<Self> {
        if !self.compute.kernels() {
            self.bias_tensor = Some(self.compute.tensor(bias.clone(), &[self.outputs])?);
        }
        self.bias = Some(bias);
        Ok(self)
    }

    /// Bytes the weights take.
    pub fn bytes(&self) -> usize {
        match &self.form {
            Form::F32(w) => w.bytes(),
            Form::F16(w) => w.bytes(),
            Form::Bf16(w) => w.bytes(),
            Form::Q8_0(w) => w.bytes(),
            Form::Q4K(w) => w.bytes(),
            Form::Device(w) => w.elem_count() * w.dtype().size_in_bytes(),
            Form::Quantized(QMatMul::QTensor(w)) => w.storage_size_in_bytes(),
            Form::Quantized(QMatMul::Tensor(w) | QMatMul::TensorF16(w)) => w.elem_count() * w.dtype().size_in_bytes(),
        }
    }

    /// `[…, inputs]` to `[…, outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        if let Some(last) = shape.last_mut() {
            *last = self.outputs;
        }
        let y = match &self.form {
            Form::Device(w) => {
                let flat = x.reshape(((), self.inputs)).map_err(failed)?;
                flat.matmul(w).and_then(|y| y.reshape(shape)).map_err(failed)?
            }
            Form::Quantized(w) => w.forward(x).map_err(failed)?,
            _ => return self.kernel(x, &shape),
        };
        match &self.bias_tensor {
            Some(bias) => y.broadcast_add(bias).map_err(failed),
            None => Ok(y),
        }
    }

    fn kernel(&self, x: &Tensor, shape: &[usize]) -> Result<Tensor> {
        let (k, n, pool) = (self.inputs, self.outputs, &self.compute.pool);
        let bias = self.bias.as_deref();
        map(x, shape, |x, y| {
            let m = x.len() / k;
            match &self.form {
                Form::F32(w) => w.matmul(pool, x, k, m, bias, y, n),
                Form::F16(w) => w.matmul(pool, x, k, m, bias, y, n),
                Form::Bf16(w) => w.matmul(pool, x, k, m, bias, y, n),
                Form::Q8_0(w) => w.matmul(pool, &QuantizedRows::new(x, m, k), y, n),
                Form::Q4K(w) => w.matmul(pool, &QuantizedRows::new(x, m, k), y, n),
                Form::Device(_) | Form::Quantized(_) => unreachable!("sent elsewhere by forward"),
            }
            if let (Some(bias), Form::Q8_0(_) | Form::Q4K(_)) = (bias, &self.form) {
                for row in y.chunks_exact_mut(n) {
                    row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
                }
            }
        })
    }
}

/// The bytes of matrices that all have the same blocks.
fn stack(parts: &[Blocks<'_>]) -> Option<(Precision, Vec<u8>)> {
    let of = |part: &Blocks<'_>| match part {
        Blocks::F32(_) => None,
        Blocks::Q8_0(bytes) => Some((Precision::Q8_0, bytes.to_vec())),
        Blocks::Q4K(bytes) => Some((Precision::Q4K, bytes.to_vec())),
        Blocks::Q6K(bytes) => Some((Precision::Q6K, bytes.to_vec())),
    };
    let (kind, mut all) = of(parts.first()?)?;
    for part in &parts[1..] {
        let (other, bytes) = of(part)?;
        if other != kind {
            return None;
        }
        all.extend(bytes);
    }
    Some((kind, all))
}

impl Form {
    fn from_blocks(compute: &Compute, kind: Precision, bytes: &[u8], n: usize, k: usize) -> Result<Self> {
        if !compute.kernels() {
            let dtype = match kind {
                Precision::Q4K => GgmlDType::Q4K,
                Precision::Q6K => GgmlDType::Q6K,
                _ => GgmlDType::Q8_0,
            };
            let storage = QStorage::from_data(bytes.into(), &compute.device, dtype).map_err(failed)?;
            let tensor = QTensor::new(storage, (n, k)).map_err(failed)?;
            return Ok(Form::Quantized(QMatMul::from_qtensor(tensor).map_err(failed)?));
        }
        Ok(match kind {
            Precision::Q4K => Form::Q4K(PackedQ4K::pack(bytes, n, k)),
            // The kernels have no 6-bit form: 8 bits hold six without a loss that could be measured.
            Precision::Q6K => {
                let floats = dequantize_blocks(Precision::Q6K, bytes);
                Form::Q8_0(PackedQ8_0::pack(&quantize_blocks(Precision::Q8_0, &floats, k)?, n, k))
            }
            _ => Form::Q8_0(PackedQ8_0::pack(bytes, n, k)),
        })
    }

    fn from_floats(compute: &Compute, precision: Precision, floats: Vec<f32>, n: usize, k: usize) -> Result<Self> {
        let precision = precision.for_rows_of(k);
        if let Precision::Q8_0 | Precision::Q4K | Precision::Q6K = precision {
            return Self::from_blocks(compute, precision, &quantize_blocks(precision, &floats, k)?, n, k);
        }
        if !compute.kernels() {
            let dtype = match precision {
                Precision::F16 => DType::F16,
                Precision::Bf16 => DType::BF16,
                _ => DType::F32,
            };
            // Activations and weights meet in one type.
            let dtype = if compute.dtype == DType::F32 { DType::F32 } else { dtype };
            let w = Tensor::from_vec(floats, (n, k), &candle_core::Device::Cpu)
                .and_then(|w| w.to_dtype(dtype)?.to_device(&compute.device)?.t()?.contiguous())
                .map_err(failed)?;
            return Ok(Form::Device(w));
        }
        Ok(match precision {
            Precision::F16 => Form::F16(Dense::pack(&floats, n, k)),
            Precision::Bf16 => Form::Bf16(Dense::pack(&floats, n, k)),
            _ => Form::F32(Dense::pack(&floats, n, k)),
        })
    }
}

/// A table of vectors, kept on the host: rows are looked up there and the sum travels.
pub(crate) struct Embedding {
    table: Table,
    rows: usize,
    dimension: usize,
}

enum Table {
    F32(Vec<f32>),
    F16(Vec<half::f16>),
    Q8_0(Vec<u8>),
}

impl Embedding {
    /// The table `name`, `[rows][dimension]`.
    pub fn load(from: &Checkpoint, name: &str, rows: usize, dimension: usize, precision: Precision) -> Result<Self> {
        let values = match from.blocks(name, &[rows, dimension])? {
            Blocks::Q8_0(bytes) => return Ok(Self { table: Table::Q8_0(bytes.to_vec()), rows, dimension }),
            Blocks::F32(values) => values,
            Blocks::Q4K(bytes) => dequantize_blocks(Precision::Q4K, bytes),
            Blocks::Q6K(bytes) => dequantize_blocks(Precision::Q6K, bytes),
        };
        let table = match precision {
            Precision::F32 => Table::F32(values),
            Precision::F16 | Precision::Bf16 => Table::F16(values.iter().map(|&x| half::f16::from_f32(x)).collect()),
            _ if dimension % 32 == 0 => Table::Q8_0(quantize_blocks(Precision::Q8_0, &values, dimension)?),
            _ => Table::F16(values.iter().map(|&x| half::f16::from_f32(x)).collect()),
        };
        Ok(Self { table, rows, dimension })
    }

    /// How many vectors there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes the table takes.
    pub fn bytes(&self) -> usize {
        match &self.table {
            Table::F32(values) => values.len() * 4,
            Table::F16(values) => values.len() * 2,
            Table::Q8_0(bytes) => bytes.len(),
        }
    }

    /// Adds vector `row` to `sum`. The caller has checked `row`.
    pub fn add(&self, row: usize, sum: &mut [f32]) {
        let d = self.dimension;
        match &self.table {
            Table::F32(values) => sum.iter_mut().zip(&values[row * d..][..d]).for_each(|(s, x)| *s += x),
            Table::F16(values) => sum.iter_mut().zip(&values[row * d..][..d]).for_each(|(s, x)| *s += x.to_f32()),
            Table::Q8_0(bytes) => {
                let line = &bytes[row * d / 32 * 34..][..d / 32 * 34];
                for (sum, block) in sum.chunks_exact_mut(32).zip(line.chunks_exact(34)) {
                    let scale = half::f16::from_le_bytes([block[0], block[1]]).to_f32();
                    sum.iter_mut().zip(&block[2..]).for_each(|(s, &q)| *s += scale * f32::from(q as i8));
                }
            }
        }
    }
}
