//! Codes that become samples while they arrive.

use std::sync::Arc;

use super::cpu::Chain;
use super::device::DeviceChain;
use super::quantizer::Quantizer;
use crate::error::{Error, Result};
use crate::generate::musicgen::kernels::Pool;

/// One stream of codes. On the CPU the samples of all calls together are those of [`Codec::decode`](super::Codec::decode)
/// to the bit; on a device they differ by the order of sums in its products.
pub(crate) struct DecodeStream(pub(super) DecodeStreams);

impl DecodeStream {
    /// Takes codes, `[codebook][frame]`, any number of frames; gives every sample that no later frame can change. Codes
    /// that are refused ([`Error::InvalidArgument`]) leave the stream as it was.
    pub fn push(&mut self, codes: &[Vec<u32>]) -> Result<Vec<f32>> {
        Ok(self.0.push(&[codes])?.swap_remove(0))
    }

    /// The samples that waited for more.
    pub fn finish(self) -> Result<Vec<f32>> {
        Ok(self.0.finish()?.swap_remove(0))
    }
}

/// Several streams in step, such as the sides of a stereo song: each is the same, to the bit, as it would be alone, and
/// the LSTM reads its weights once for all.
pub(crate) struct DecodeStreams {
    pub(super) quantizer: Arc<Quantizer>,
    pub(super) pool: Pool,
    pub(super) chain: AnyChain,
    pub(super) streams: usize,
    /// Frames so far.
    pub(super) frames: usize,
}

/// A network at work, wherever it runs.
pub(super) enum AnyChain {
    Cpu(Chain),
    Device(DeviceChain),
}

impl AnyChain {
    /// Takes rows, `[rows][channels]` of each stream, all of one length; appends what is final to `out`.
    pub fn push(&mut self, x: &[&[f32]], out: &mut [Vec<f32>]) -> Result<()> {
        match self {
            AnyChain::Cpu(chain) => chain.push(x, out),
            AnyChain::Device(chain) => chain.push(x, out)?,
        }
        Ok(())
    }

    /// The inputs have ended: appends the rest to `out`.
    pub fn finish(self, out: &mut [Vec<f32>]) -> Result<()> {
        match self {
            AnyChain::Cpu(chain) => chain.finish(out),
            AnyChain::Device(chain) => chain.finish(out)?,
        }
        Ok(())
    }
}

impl DecodeStreams {
    /// As [`DecodeStream::push`]; all streams get as many frames.
    pub fn push(&mut self, codes: &[&[Vec<u32>]]) -> Result<Vec<Vec<f32>>> {
        if codes.len() != self.streams {
            return Err(Error::invalid(format!("codes for {} streams came; {} are open", codes.len(), self.streams)));
        }
        let counts = codes.iter().map(|codes| self.quantizer.check(codes, self.frames)).collect::<Result<Vec<_>>>()?;
        if let Some(odd) = counts.iter().position(|&count| count != counts[0]) {
            return Err(Error::invalid(format!(
                "stream {odd} gets {} frames and stream 0 gets {}; streams in step get as many",
                counts[odd], counts[0]
            )));
        }
        self.pool.check()?;
        let mut out = vec![Vec::new(); self.streams];
        if counts[0] > 0 {
            let x: Vec<Vec<f32>> = codes.iter().map(|codes| self.quantizer.decode(codes)).collect();
            self.chain.push(&x.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut out)?;
            self.frames += counts[0];
        }
        Ok(out)
    }

    /// As [`DecodeStream::finish`].
    pub fn finish(self) -> Result<Vec<Vec<f32>>> {
        self.pool.check()?;
        let mut out = vec![Vec::new(); self.streams];
        self.chain.finish(&mut out)?;
        Ok(out)
    }
}
