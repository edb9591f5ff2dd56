//! EnCodec, the codec between samples and codes, as MusicGen uses it at 32 kHz.
//!
//! A. Défossez et al., "High Fidelity Neural Audio Compression", 2022, <https://arxiv.org/abs/2210.13438>; equal to
//! transformers' `EncodecModel` (waveform within 1e-5, codes identical).
//!
//! ```text
//! codes ─► quantizer: sum of rows ─► conv ─► LSTM ─► (transposed conv ─► residual)… ─► conv ─► samples
//! samples ─► conv ─► (residual ─► strided conv)… ─► LSTM ─► conv ─► quantizer: nearest rows ─► codes
//! ```
//!
//! `layers` lists the networks, `weights` brings tensors into shape, and two executors run the list: `cpu` on slices,
//! `device` on candle's tensors. Both stream; offline is a stream that is pushed once.

mod conv;
mod cpu;
mod device;
mod elementwise;
mod layers;
mod lstm;
mod padding;
#[cfg(test)]
mod parity;
mod product;
mod quantizer;
#[cfg(test)]
mod reference;
mod stream;
#[cfg(test)]
mod tests;
mod weights;

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::Device;

use crate::error::{Error, Result};
use crate::generate::musicgen::checkpoint::Checkpoint;
use crate::generate::musicgen::config::CodecConfig;
use crate::generate::musicgen::kernels::Pool;
use layers::Layer;
use quantizer::Quantizer;
use stream::AnyChain;
pub(crate) use stream::{DecodeStream, DecodeStreams};
use weights::Tensors;

/// A loaded codec of one channel.
pub(crate) struct Codec {
    config: CodecConfig,
    tensors: Box<dyn Tensors>,
    prefix: String,
    place: Place,
    quantizer: Arc<Quantizer>,
    decoder: Net,
    /// Loaded when something is first encoded.
    encoder: Mutex<Option<Net>>,
}

/// Where a network runs.
#[derive(Clone)]
enum Place {
    Cpu(Pool),
    Device(Device, Pool),
}

#[derive(Clone)]
enum Net {
    Cpu(Arc<cpu::Net>),
    Device(Arc<device::DeviceNet>),
}

impl Place {
    fn pool(&self) -> &Pool {
        match self {
            Place::Cpu(pool) | Place::Device(_, pool) => pool,
        }
    }

    fn load(&self, tensors: &dyn Tensors, prefix: &str, layers: Vec<Layer>) -> Result<Net> {
        Ok(match self {
            Place::Cpu(pool) => Net::Cpu(Arc::new(cpu::Net::load(tensors, prefix, layers, pool.clone())?)),
            Place::Device(device, _) => {
                Net::Device(Arc::new(device::DeviceNet::load(tensors, prefix, layers, device)?))
            }
        })
    }
}

impl Net {
    fn start(&self, streams: usize) -> AnyChain {
        match self {
            Net::Cpu(net) => AnyChain::Cpu(net.start(streams)),
            Net::Device(net) => AnyChain::Device(net.start(streams)),
        }
    }
}

impl Tensors for Checkpoint {
    fn contains(&self, name: &str) -> bool {
        Checkpoint::contains(self, name)
    }

    fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        Checkpoint::f32(self, name, shape)
    }
}

impl Codec {
    /// The codec of a checkpoint: its decoder and codebooks, whose names begin with `prefix`; the encoder is read when it is
    /// first used. On the CPU it runs on `pool`. With `portable` it runs as it would on another device, which is how that way
    /// is tested.
    ///
    /// # Errors
    /// [`Error::Unsupported`] and [`Error::Model`] where the configuration asks for what there is not, or a
    /// tensor is missing or of another shape.
    pub fn load(checkpoint: &Checkpoint, prefix: &str, device: &Device, pool: Pool, portable: bool) -> Result<Self> {
        Self::from_tensors(&checkpoint.config().codec, Box::new(checkpoint.clone()), prefix, device, pool, portable)
    }

    /// As [`Codec::load`], from anywhere.
    fn from_tensors(
        config: &CodecConfig,
        tensors: Box<dyn Tensors>,
        prefix: &str,
        device: &Device,
        pool: Pool,
        portable: bool,
    ) -> Result<Self> {
        layers::check(config)?;
        let place = match device {
            Device::Cpu if !portable => Place::Cpu(pool),
            device => Place::Device(device.clone(), pool),
        };
        let decoder = place.load(&*tensors, prefix, layers::decoder(config)?)?;
        let quantizer =
            Quantizer::load(&*tensors, prefix, config.codebooks, config.codebook_size, config.codebook_dim)?;
        Ok(Self {
            config: config.clone(),
            tensors,
            prefix: prefix.to_string(),
            place,
            quantizer: Arc::new(quantizer),
            decoder,
            encoder: Mutex::new(None),
        })
    }

    /// Samples per frame of codes.
    pub fn hop(&self) -> usize {
        self.config.ratios.iter().product()
    }

    /// In Hz.
    pub fn sample_rate(&self) -> u32 {
        self.config.sample_rate
    }

    /// Codes per frame.
    #[cfg(test)]
    pub fn codebooks(&self) -> usize {
        self.quantizer.count()
    }

    /// Codes are below this.
    pub fn codebook_size(&self) -> usize {
        self.quantizer.size()
    }

    /// Bytes of weights in memory.
    pub fn bytes(&self) -> usize {
        let net = |net: &Net| match net {
            Net::Cpu(net) => net.bytes(),
            Net::Device(net) => net.bytes(),
        };
        let encoder = self.encoder.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, net);
        self.quantizer.bytes() + net(&self.decoder) + encoder
    }

    /// Samples that a [`DecodeStream`] has not yet given when `frames` frames were pushed. It grows to a constant, the
    /// look-ahead of the decoder: 2402 samples (75 ms, so the first samples come with the fourth frame) for the 32 kHz
    /// codec, 0 for causal ones; reflected edges make the first samples wait as well.
    pub fn held_back(&self, frames: usize) -> usize {
        let ready = match &self.decoder {
            Net::Cpu(net) => net.layers().fold(frames, |rows, layer| layer.ready(rows)),
            Net::Device(net) => net.layers().fold(frames, |rows, layer| layer.ready(rows)),
        };
        frames * self.hop() - ready
    }

    /// Codes, `[codebook][frame]`, to `frames · hop` samples.
    #[cfg(test)]
    pub fn decode(&self, codes: &[Vec<u32>]) -> Result<Vec<f32>> {
        Ok(self.decode_batch(&[codes])?.swap_remove(0))
    }

    /// Several at once, of any lengths, each as it would be alone; those of one length share the reading of weights.
    #[cfg(test)]
    pub fn decode_batch(&self, batch: &[&[Vec<u32>]]) -> Result<Vec<Vec<f32>>> {
        let lengths = batch.iter().map(|codes| self.quantizer.check(codes, 0)).collect::<Result<Vec<_>>>()?;
        let mut out = vec![Vec::new(); batch.len()];
        let mut order: Vec<usize> = (0..batch.len()).collect();
        order.sort_by_key(|&i| lengths[i]);
        for group in order.chunk_by(|&a, &b| lengths[a] == lengths[b]) {
            let mut streams = self.streams(group.len());
            let codes: Vec<&[Vec<u32>]> = group.iter().map(|&i| batch[i]).collect();
            let pushed = streams.push(&codes)?;
            let rest = streams.finish()?;
            for ((&i, mut samples), rest) in group.iter().zip(pushed).zip(rest) {
                samples.extend(rest);
                out[i] = samples;
            }
        }
        Ok(out)
    }

    /// Decodes while codes arrive.
    pub fn stream(&self) -> DecodeStream {
        DecodeStream(self.streams(1))
    }

    /// The same for several in step.
    pub fn streams(&self, streams: usize) -> DecodeStreams {
        DecodeStreams {
            quantizer: self.quantizer.clone(),
            pool: self.place.pool().clone(),
            chain: self.decoder.start(streams),
            streams,
            frames: 0,
        }
    }

    /// Samples (1.0 is full scale) to codes, `[codebook][⌈samples / hop⌉]`.
    #[cfg(test)]
    pub fn encode(&self, samples: &[f32]) -> Result<Vec<Vec<u32>>> {
        self.encode_with(samples, &mut |_| Ok(()))
    }

    /// The same; `check` hears the share that is done at least four times per second of audio and may end it with an error.
    pub fn encode_with(&self, samples: &[f32], check: &mut dyn FnMut(f64) -> Result<()>) -> Result<Vec<Vec<u32>>> {
        let latents = self.latents_with(samples, check)?;
        Ok(self.quantizer.encode(self.place.pool(), &latents))
    }

    /// What the encoder makes of samples, `[⌈samples / hop⌉][hidden_size]`.
    #[cfg(test)]
    pub fn latents(&self, samples: &[f32]) -> Result<Vec<f32>> {
        self.latents_with(samples, &mut |_| Ok(()))
    }

    fn latents_with(&self, samples: &[f32], check: &mut dyn FnMut(f64) -> Result<()>) -> Result<Vec<f32>> {
        self.place.pool().check()?;
        if let Some(at) = samples.iter().position(|x| !x.is_finite()) {
            return Err(Error::invalid(format!("sample {at} is {}; only finite samples can be encoded", samples[at])));
        }
        let encoder = {
            let mut slot = self.encoder.lock().unwrap_or_else(PoisonError::into_inner);
            match &*slot {
                Some(net) => net.clone(),
                None => {
                    let layers = layers::encoder(&self.config)?;
                    slot.insert(self.place.load(&*self.tensors, &self.prefix, layers)?).clone()
                }
            }
        };
        let mut out = [Vec::new()];
        let mut chain = encoder.start(1);
        let piece = (self.config.sample_rate as usize / 4).max(1);
        for (i, piece_of) in samples.chunks(piece).enumerate() {
            check((i * piece) as f64 / samples.len() as f64)?;
            chain.push(&[piece_of], &mut out)?;
        }
        chain.finish(&mut out)?;
        let [latents] = out;
        Ok(latents)
    }
}
