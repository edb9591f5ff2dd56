//! A folder of weights into one GGUF file.
//!
//! What is kept in which precision, for a target of Q8_0, Q6_K or Q4_K:
//! - the matrices of the decoder's layers that every step reads: the target. They are nine tenths of what a step reads, so
//!   they decide the speed and the size;
//! - the heads, the code embeddings, T5, the cross attention's keys and values, the projections: Q8_0. The heads choose
//!   the codes and are a fiftieth of a step; the others work once per song, where four bits less would save no time;
//! - the codec: f16, because it writes the samples that are heard, and a step does not read it; its codebooks f32, so
//!   that a code means the same vector as before;
//! - norms, biases, T5's position table and the g of the weight norms: f32. They are small.
//!
//! The floats as targets keep every matrix in that type (the codec in f16 where the target is bf16, whose seven bits of
//! mantissa are few for samples).
//!
//! A compact file has the codec in 8 bits and its codebooks in f16: half the size for small models, whose codec weighs as
//! much as the rest. A filter of a convolution is one row then, `[outputs][inputs · kernel]`, because kernels of 3 or 7 taps
//! do not fill a block. Rows that the blocks do not divide fall to the next wider precision, tensor by tensor:
//! Q4_K and Q6_K (256) to Q8_0 (32) to f16. Sinusoidal positions are computed, and the counters that trained the
//! codebooks are not needed, so neither is written.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::blocks::{dequantize_blocks, quantize_blocks};
use super::checkpoint::{Checkpoint, gguf_name};
use super::folder;
use super::gguf::{self, Metadata, Plan, keys};
use super::precision::Precision;
use super::storage::{Dtype, Entry, not_finite, to_f32};
use crate::error::{Error, Result};
use crate::io::writer::{begin, keep};
use crate::progress::{Progress, Step, check};

/// How a checkpoint is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QuantizeOptions {
    /// How the matrices are kept that every step reads.
    pub precision: Precision,
    /// The codec in 8 bits too, and its codebooks in f16, where `precision` is one of the quantized ones.
    pub compact: bool,
}

impl Default for QuantizeOptions {
    /// 8 bits, the codec in f16.
    fn default() -> Self {
        Self { precision: Precision::Q8_0, compact: false }
    }
}

impl QuantizeOptions {
    /// With this precision, else as by default.
    pub fn new(precision: Precision) -> Self {
        Self { precision, ..Self::default() }
    }

    fn is_compact(self) -> bool {
        self.compact && self.precision.block() > 1
    }
}

/// Weights between two reports of progress: a few milliseconds of the slowest quantizer.
const PIECE: usize = 1 << 17;

/// What came of [`quantize`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuantizeReport {
    /// The precision asked for.
    pub precision: Precision,
    /// The licence of the weights, which is that of the new file too; "unknown" where the folder does not say it.
    pub licence: String,
    /// Bytes of the safetensors files.
    pub bytes_before: u64,
    /// Bytes of the GGUF file.
    pub bytes_after: u64,
    /// How many weights were written.
    pub weights: u64,
    /// How many of them in blocks of 8, 6 or 4 bits.
    pub weights_quantized: u64,
    /// The root of the mean squared error of those, relative to the root of their mean square.
    pub relative_error: f64,
    /// Tensors whose rows the blocks of their precision do not divide, and what they were written in instead.
    pub fallbacks: Vec<(String, Precision)>,
}

/// Writes the checkpoint in `folder` (as transformers saves it) into one GGUF file with everything that is needed to run
/// it: weights in `precision`, configuration, tokenizer, licence. The file appears whole or not at all; one that is
/// there is replaced. Needs memory for a few megabytes of weights at a time.
///
/// # Errors
/// What opening a checkpoint may say; [`Error::Io`] where the file cannot be written; [`Error::Model`] for weights that are
/// not finite or too large for the precision, naming the tensor; [`Error::Cancelled`].
pub fn quantize(
    folder: impl AsRef<Path>,
    gguf: impl AsRef<Path>,
    precision: Precision,
    progress: &mut dyn Progress,
) -> Result<QuantizeReport> {
    quantize_with(folder, gguf, QuantizeOptions::new(precision), progress)
}

/// The same, with more to choose.
///
/// # Errors
/// As [`quantize`].
pub fn quantize_with(
    folder: impl AsRef<Path>,
    gguf: impl AsRef<Path>,
    options: QuantizeOptions,
    progress: &mut dyn Progress,
) -> Result<QuantizeReport> {
    let precision = options.precision;
    let (folder, gguf) = (folder.as_ref(), gguf.as_ref());
    if folder.is_file() {
        return Err(Error::invalid(format!(
            "{} is a file; expected the folder with the weights as they were published",
            folder.display()
        )));
    }
    check(progress, "quantize", Step::new("quantize", 0.0))?;
    let checkpoint = Checkpoint::open(folder)?;
    let mut report = QuantizeReport {
        precision,
        licence: checkpoint.licence().to_owned(),
        bytes_before: checkpoint.size(),
        bytes_after: 0,
        weights: 0,
        weights_quantized: 0,
        relative_error: 0.0,
        fallbacks: Vec::new(),
    };
    let mut plans = Vec::new();
    let mut sources = Vec::new();
    for (name, entry) in checkpoint.entries().into_iter().filter(|(name, entry)| is_needed(name, entry)) {
        let plan = plan(name, entry, options, &mut report)?;
        report.weights += weights(entry) as u64;
        plans.push(plan);
        sources.push(entry);
    }

    let (mut file, target) = begin(gguf)?;
    let io = |e| Error::io("cannot write", gguf, e);
    let mut out = std::io::BufWriter::with_capacity(1 << 20, file.as_file_mut());
    gguf::write_header(&mut out, &metadata(folder, &checkpoint, precision)?, &plans).map_err(io)?;
    let mut done = 0;
    let (mut error, mut power) = (0.0, 0.0);
    for (plan, entry) in plans.iter().zip(sources) {
        let row = row(&plan.shape);
        for piece in pieces(entry, row) {
            let values = numbers(&checkpoint, entry, piece.clone())?;
            let refused =
                |e: Error| Error::Model(format!("the tensor {:?}, after row {}: {e}", entry.name, piece.start / row));
            let bytes = quantize_blocks(plan.precision, &values, row).map_err(refused)?;
            if plan.precision.block() > 1 {
                report.weights_quantized += values.len() as u64;
                for (x, y) in values.iter().zip(dequantize_blocks(plan.precision, &bytes)) {
                    error += f64::from(x - y).powi(2);
                    power += f64::from(*x).powi(2);
                }
            }
            out.write_all(&bytes).map_err(io)?;
            done += values.len() as u64;
            let fraction = done as f64 / report.weights.max(1) as f64;
            check(progress, "quantize", Step::new("quantize", 0.99 * fraction))?;
        }
        out.write_all(&[0; gguf::ALIGNMENT][..gguf::padding(plan.bytes)]).map_err(io)?;
    }
    out.flush().map_err(io)?;
    drop(out);
    report.bytes_after = file.as_file().metadata().map_err(io)?.len();
    report.relative_error = if power > 0.0 { (error / power).sqrt() } else { 0.0 };
    keep(file, &target)?;
    // The file is there: nobody's wish to stop takes it back.
    let _ = progress.report(Step::new("quantize", 1.0));
    Ok(report)
}

/// Whether a model is run with this tensor.
fn is_needed(name: &str, entry: &Entry) -> bool {
    let trained = [".codebook.cluster_size", ".codebook.embed_avg", ".codebook.inited"];
    let computed = "decoder.model.decoder.embed_positions.weights";
    name != computed && !trained.iter().any(|end| name.ends_with(end)) && !matches!(entry.dtype, Dtype::Other(_))
}

/// What the rules at the top say of this tensor, before its rows are looked at.
fn wanted(name: &str, entry: &Entry, options: QuantizeOptions) -> Precision {
    let target = options.precision;
    if options.is_compact() && name.ends_with(".codebook.embed") {
        return Precision::F16;
    }
    let small = entry.shape.len() < 2
        || ["relative_attention_bias.weight", ".codebook.embed", "weight_g"].iter().any(|end| name.ends_with(end));
    if small || target == Precision::F32 {
        return Precision::F32;
    }
    if name.starts_with("audio_encoder.") {
        return if options.is_compact() { Precision::Q8_0 } else { Precision::F16 };
    }
    let every_step = name.starts_with("decoder.model.decoder.layers.")
        && !["encoder_attn.k_proj.weight", "encoder_attn.v_proj.weight"].iter().any(|end| name.ends_with(end));
    match target {
        Precision::Q4K | Precision::Q6K if !every_step => Precision::Q8_0,
        target => target,
    }
}

fn plan(name: &str, entry: &Entry, options: QuantizeOptions, report: &mut QuantizeReport) -> Result<Plan> {
    let wanted = wanted(name, entry, options);
    let (mut shape, mut precision) = (entry.shape.clone(), wanted.for_rows_of(row(&entry.shape)));
    if let (true, &[outputs, inputs, kernel]) = (wanted == Precision::Q8_0, entry.shape.as_slice()) {
        precision = wanted.for_rows_of(inputs * kernel);
        if precision == wanted {
            shape = vec![outputs, inputs * kernel];
        }
    }
    if precision != wanted {
        report.fallbacks.push((name.to_owned(), precision));
    }
    let bytes = precision.bytes(weights(entry), row(&shape));
    let bytes = bytes.ok_or_else(|| Error::Model(format!("the tensor {name:?} is too large to be written")))?;
    Ok(Plan { name: gguf_name(name), shape, precision, bytes })
}

fn weights(entry: &Entry) -> usize {
    entry.shape.iter().product()
}

/// Weights of a row: the last dimension.
fn row(shape: &[usize]) -> usize {
    shape.last().copied().unwrap_or(1).max(1)
}

/// Whole rows of about [`PIECE`] weights, as ranges of weights.
fn pieces(entry: &Entry, row: usize) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
    let (count, step) = (weights(entry), (PIECE / row).max(1) * row);
    (0..count).step_by(step).map(move |from| from..count.min(from + step))
}

/// The weights of a dense tensor in this range.
fn numbers(checkpoint: &Checkpoint, entry: &Entry, range: std::ops::Range<usize>) -> Result<Vec<f32>> {
    let bytes = checkpoint.bytes(entry);
    let width = bytes.len() / weights(entry);
    let refuse =
        |what: String| Error::Model(format!("{}: the tensor {:?} {what}", checkpoint.file_of(entry), entry.name));
    let values = to_f32(&bytes[range.start * width..range.end * width], &entry.dtype)
        .ok_or_else(|| refuse(format!("is of type {}; expected floats", entry.dtype)))?;
    match not_finite(&values) {
        None => Ok(values),
        Some(at) => Err(refuse(format!("holds {} at index {}; the weights are damaged", values[at], range.start + at))),
    }
}

fn metadata(folder: &Path, checkpoint: &Checkpoint, precision: Precision) -> Result<Metadata> {
    let text = |name: &str| -> Result<Option<String>> {
        let utf8 = |bytes| String::from_utf8(bytes).map_err(|e| Error::Format(format!("{name} is not UTF-8: {e}")));
        folder::text(folder, name)?.map(utf8).transpose()
    };
    // `enum llama_ftype`, which tools show.
    let file_type = match precision {
        Precision::F32 => 0,
        Precision::F16 => 1,
        Precision::Q8_0 => 7,
        Precision::Q4K => 15,
        Precision::Q6K => 18,
        Precision::Bf16 => 32,
    };
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    let mut metadata = Metadata::default();
    metadata.word(keys::ARCHITECTURE, keys::MUSICGEN);
    metadata.word(keys::NAME, &whole.file_name().unwrap_or_default().to_string_lossy());
    metadata.word(keys::LICENCE, checkpoint.licence());
    metadata.number(keys::FILE_TYPE, file_type);
    metadata.number(keys::QUANTIZATION_VERSION, 2);
    metadata.number(keys::ALIGNMENT, gguf::ALIGNMENT as u32);
    metadata.number(keys::FORMAT_VERSION, keys::THIS_VERSION);
    metadata.word(keys::PRECISION, precision.as_str());
    metadata.word(keys::CONFIG, &text("config.json")?.unwrap_or_default());
    for (key, name) in [(keys::GENERATION_CONFIG, "generation_config.json"), (keys::TOKENIZER, "tokenizer.json")] {
        if let Some(text) = text(name)? {
            metadata.word(key, &text);
        }
    }
    Ok(metadata)
}
