//! The public door: load a checkpoint, ask for music.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device};
use serde::Serialize;

use super::checkpoint::Checkpoint;
use super::compute::Compute;
use super::kernels::Level;
use super::model::Model;
use super::precision::Precision;
use super::session::Session;
use super::stream::MusicStream;
use crate::audio::AudioBuffer;
use crate::error::{Error, Result};
use crate::generate::{Generator, Request};
use crate::progress::{NoProgress, Progress, Step, check};

/// Most songs in one batch.
const LARGEST_BATCH: usize = 64;

/// Share of a call that the language model takes; the codec has the rest.
const MODEL_SHARE: f64 = 0.9;

/// Where a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DeviceKind {
    /// The processor; the default.
    #[default]
    Cpu,
    /// An NVIDIA card by its number; in builds with the feature `cuda`.
    Cuda(usize),
    /// An Apple GPU by its number; in builds with the feature `metal`.
    Metal(usize),
}

impl std::str::FromStr for DeviceKind {
    type Err = Error;

    /// `cpu`, `cuda`, `cuda:1`, `metal`, `metal:0`.
    fn from_str(text: &str) -> Result<Self> {
        let unknown =
            || Error::invalid(format!("the device {text:?} is unknown; expected cpu, cuda, cuda:N, metal or metal:N"));
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, number.parse().map_err(|_| unknown())?),
            None => (text, 0),
        };
        match name {
            "cpu" if !text.contains(':') => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(number)),
            "metal" => Ok(Self::Metal(number)),
            _ => Err(unknown()),
        }
    }
}

/// How a checkpoint is loaded.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Where the model runs.
    pub device: DeviceKind,
    /// How the weights are kept. `None`: a GGUF file as it is; a folder in Q8_0 on a CPU, in bf16 on a device. A float type
    /// turns the blocks of a quantized file into floats, and its arithmetic into that of floats.
    pub quantization: Option<Precision>,
    /// Threads on a CPU; 0: as many as the machine has, up to 8. The sound does not depend on it.
    pub threads: usize,
    /// candle's operations on the CPU too, instead of this crate's kernels: slower, but the code that devices run.
    #[doc(hidden)]
    pub portable: bool,
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelInfo {
    /// `musicgen` or `musicgen_melody`.
    pub family: String,
    /// Licence of the weights, as the checkpoint says; `unknown` when it does not.
    pub licence: String,
    /// In Hz.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: usize,
    /// Codes per second and codebook.
    pub frame_rate: f64,
    /// Codebooks of all channels.
    pub codebooks: usize,
    /// Entries of a codebook.
    pub codebook_size: usize,
    /// Music that fits one window; longer pieces go on in further ones. In seconds.
    pub window_seconds: f64,
    /// Whether it follows a melody.
    pub melody: bool,
    /// Whether it reads text, or only token ids.
    pub tokenizer: bool,
    /// How the weights are kept.
    pub precision: String,
    /// `cpu (avx512-vnni)`, `cuda:0` …
    pub device: String,
    /// Threads on a CPU.
    pub threads: usize,
    /// Bytes of weights in memory; the codec's encoder comes when something is first encoded.
    pub weight_bytes: usize,
    /// Bytes of them that one step reads.
    pub step_bytes: usize,
}

/// A MusicGen-family model. Clones share the weights.
#[derive(Clone)]
pub struct MusicGen {
    model: Arc<Model>,
    info: Arc<ModelInfo>,
}

impl MusicGen {
    /// Loads a folder in the Hugging Face layout (`config.json`, `model.safetensors` or its shards, `tokenizer.json`,
    /// `generation_config.json`) or one GGUF file written by [`quantize`](super::quantize).
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be read, [`Error::Format`] when one is damaged, [`Error::Model`] when a tensor is
    /// missing or has the wrong shape, [`Error::Unsupported`] for a device this build does not have.
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self> {
        Self::load_with(path, options, &mut NoProgress)
    }

    /// The same, with news of the stage `"load"`.
    ///
    /// # Errors
    /// As [`MusicGen::load`]; [`Error::Cancelled`] when `progress` said so.
    pub fn load_with(path: impl AsRef<Path>, options: &LoadOptions, progress: &mut dyn Progress) -> Result<Self> {
        Self::from_checkpoint(|| Checkpoint::open(path.as_ref()), options, progress)
    }

    /// Loads the model that is part of the program: text to music from the first minute, without a download. It is small and
    /// knows the styles of its model card (docs/model-card.md); its weights are under MIT OR Apache-2.0.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a device this build does not have.
    #[cfg(feature = "default-model")]
    pub fn load_default(options: &LoadOptions) -> Result<Self> {
        Self::load_default_with(options, &mut NoProgress)
    }

    /// The same, with news of the stage `"load"`.
    ///
    /// # Errors
    /// As [`MusicGen::load_default`]; [`Error::Cancelled`] when `progress` said so.
    #[cfg(feature = "default-model")]
    pub fn load_default_with(options: &LoadOptions, progress: &mut dyn Progress) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::built_in, options, progress)
    }

    fn from_checkpoint(
        open: impl FnOnce() -> Result<Checkpoint>,
        options: &LoadOptions,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        let (compute, device) = compute(options)?;
        let threads = compute.pool.threads();
        let model = Model::load(open, compute, options.quantization, progress)?;
        let config = model.checkpoint.config();
        let frame_rate = f64::from(model.codec.sample_rate()) / model.codec.hop() as f64;
        let (decoder, step_bytes) = model.decoder.bytes();
        let info = ModelInfo {
            family: if config.melody.is_some() { "musicgen_melody" } else { "musicgen" }.into(),
            licence: model.checkpoint.licence().into(),
            sample_rate: model.codec.sample_rate(),
            channels: model.channels(),
            frame_rate,
            codebooks: config.decoder.codebooks,
            codebook_size: config.decoder.vocab_size,
            window_seconds: (model.window().saturating_sub(1 + model.pattern.longest_delay())) as f64 / frame_rate,
            melody: config.melody.is_some(),
            tokenizer: model.checkpoint.tokenizer().is_some(),
            precision: model.precision.to_string(),
            device,
            threads,
            weight_bytes: decoder + model.text.bytes() + model.codec.bytes(),
            step_bytes,
        };
        Ok(Self { model: Arc::new(model), info: Arc::new(info) })
    }

    /// What was loaded, the licence of the weights among it.
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// Makes one piece: as long as asked, with what it goes on from before it if the request keeps that.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] names what cannot be served; [`Error::Cancelled`] when `progress` said so.
    pub fn generate(&self, request: &Request, progress: &mut dyn Progress) -> Result<AudioBuffer> {
        let mut made = self.generate_batch(std::slice::from_ref(request), progress)?;
        made.pop().ok_or_else(|| Error::Internal("one request made no piece".into()))
    }

    /// Makes 1 to 64 pieces in one go; on a CPU each is what it would be alone, to the bit. Lengths, seeds and settings
    /// may differ.
    ///
    /// # Errors
    /// As [`MusicGen::generate`]; a message says which request it is about.
    pub fn generate_batch(&self, requests: &[Request], progress: &mut dyn Progress) -> Result<Vec<AudioBuffer>> {
        let known = self.known(requests, progress)?;
        let before: Vec<usize> = known.iter().map(|k| k[0].len()).collect();
        let codes = self.run(requests, known, &mut |step: Step| {
            progress.report(Step::new(step.stage, step.fraction * MODEL_SHARE))
        })?;
        let mut made = Vec::with_capacity(codes.len());
        for (i, codes) in codes.iter().enumerate() {
            let request = &requests[i];
            let mut part = |step: Step| {
                let done = (i as f64 + step.fraction) / requests.len() as f64;
                progress.report(Step::new(step.stage, MODEL_SHARE + (1.0 - MODEL_SHARE) * done))
            };
            let audio = self.decode_with(codes, &mut part)?;
            made.push(if request.keep_prompt || before[i] == 0 { audio } else { self.without(&audio, before[i])? });
        }
        Ok(made)
    }

    /// Makes one piece while it is listened to: the stream yields audio as soon as no later code can change it, and
    /// together the same samples as [`MusicGen::generate`].
    ///
    /// # Errors
    /// As [`MusicGen::generate`]; those of making it come from the stream.
    pub fn stream(&self, request: &Request) -> Result<MusicStream> {
        self.stream_with(request, &mut NoProgress)
    }

    /// The same, where reading the prompt can be stopped too.
    ///
    /// # Errors
    /// As [`MusicGen::stream`]; [`Error::Cancelled`] when `progress` said so.
    pub fn stream_with(&self, request: &Request, progress: &mut dyn Progress) -> Result<MusicStream> {
        let requests = std::slice::from_ref(request);
        let known = self.known(requests, progress)?;
        let before = known[0][0].len();
        let mut go_on = || check(progress, "generating", Step::new("prompt", 0.0));
        let session = Session::new(self.model.clone(), requests, known, &mut go_on)?;
        MusicStream::new(self.model.clone(), session, if request.keep_prompt { 0 } else { before })
    }

    /// How many frames of codes a stream makes before its first samples: those that the codebooks lag behind each other,
    /// and those that the codec looks ahead.
    pub fn stream_latency_frames(&self) -> usize {
        let (codec, hop) = (&self.model.codec, self.model.codec.hop());
        let first = (1..1000).find(|&frames| codec.held_back(frames) < frames * hop).unwrap_or(1000);
        first + self.model.pattern.longest_delay()
    }

    /// Token ids of a prompt, with the end-of-sequence token.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the checkpoint has no tokenizer.
    pub fn tokenize(&self, prompt: &str) -> Result<Vec<u32>> {
        self.model.tokenize(prompt)
    }

    /// As [`MusicGen::generate_batch`], but the codes instead of the audio: `[codebooks][frames]` per request, with those
    /// it went on from.
    ///
    /// # Errors
    /// As [`MusicGen::generate_batch`].
    pub fn generate_codes(&self, requests: &[Request], progress: &mut dyn Progress) -> Result<Vec<Vec<Vec<u32>>>> {
        let known = self.known(requests, progress)?;
        self.run(requests, known, progress)
    }

    /// How the model sees codes that are given: the logits that each of them would have been drawn from,
    /// `[codebooks][frames][codebook_size]` in one row. The request says the prompt, the melody and, if guidance is wanted,
    /// its scale; everything else in it is not looked at.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for codes that do not fit the model or one window.
    pub fn logits(&self, request: &Request, codes: &[Vec<u32>]) -> Result<Vec<f32>> {
        self.model.compute.pool.check()?;
        let request = Request {
            continue_from: None,
            continue_codes: Some(codes.to_vec()),
            seconds: 1.0,
            guidance_scale: Some(request.guidance_scale.unwrap_or(1.0)),
            ..request.clone()
        };
        request.validate()?;
        self.model.check_codes("codes", codes)?;
        let requests = std::slice::from_ref(&request);
        let mut session = Session::new(self.model.clone(), requests, vec![codes.to_vec()], &mut || Ok(()))?;
        session.score(&mut || Ok(()))
    }

    /// Audio of codes, `[codebooks][frames]`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when codebooks, lengths or entries do not fit the model.
    pub fn decode_codes(&self, codes: &[Vec<u32>]) -> Result<AudioBuffer> {
        self.decode_codes_with(codes, &mut NoProgress)
    }

    /// The same, with news of the stage `"decode"`.
    ///
    /// # Errors
    /// As [`MusicGen::decode_codes`]; [`Error::Cancelled`] when `progress` said so.
    pub fn decode_codes_with(&self, codes: &[Vec<u32>], progress: &mut dyn Progress) -> Result<AudioBuffer> {
        self.model.check_codes("codes", codes)?;
        self.decode_with(codes, progress)
    }

    /// Codes of audio at the model's sample rate, `[codebooks][frames]`; the last frame may reach past its end.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for another sample rate, more than two channels or samples that are not finite.
    pub fn encode_audio(&self, audio: &AudioBuffer) -> Result<Vec<Vec<u32>>> {
        self.encode_audio_with(audio, &mut NoProgress)
    }

    /// The same, with news of the stage `"encode"`.
    ///
    /// # Errors
    /// As [`MusicGen::encode_audio`]; [`Error::Cancelled`] when `progress` said so.
    pub fn encode_audio_with(&self, audio: &AudioBuffer, progress: &mut dyn Progress) -> Result<Vec<Vec<u32>>> {
        self.model.compute.pool.check()?;
        let mut at = |done| check(progress, "encoding", Step::new("encode", done));
        let codes = self.model.encode("the audio", audio, &mut at)?;
        at(1.0)?;
        Ok(codes)
    }

    /// Checks the requests; the codes each goes on from.
    fn known(&self, requests: &[Request], progress: &mut dyn Progress) -> Result<Vec<Vec<Vec<u32>>>> {
        self.model.compute.pool.check()?;
        if requests.is_empty() || requests.len() > LARGEST_BATCH {
            return Err(Error::invalid(format!(
                "a batch of {} requests was given; expected 1 to {LARGEST_BATCH}",
                requests.len()
            )));
        }
        let mut known = Vec::with_capacity(requests.len());
        for (i, request) in requests.iter().enumerate() {
            let codes = self.known_of(request, progress).map_err(|e| match e {
                Error::InvalidArgument(message) if requests.len() > 1 => {
                    Error::InvalidArgument(format!("request {i}: {message}"))
                }
                other => other,
            })?;
            known.push(codes);
        }
        Ok(known)
    }

    fn known_of(&self, request: &Request, progress: &mut dyn Progress) -> Result<Vec<Vec<u32>>> {
        request.validate()?;
        if let Some(codes) = &request.continue_codes {
            self.model.check_codes("continue_codes", codes)?;
            return Ok(codes.clone());
        }
        match &request.continue_from {
            Some(audio) => {
                let mut go_on = |_| check(progress, "generating", Step::new("prompt", 0.0));
                self.model.encode("continue_from", audio, &mut go_on)
            }
            None => Ok(vec![Vec::new(); self.info.codebooks]),
        }
    }

    fn run(
        &self,
        requests: &[Request],
        known: Vec<Vec<Vec<u32>>>,
        progress: &mut dyn Progress,
    ) -> Result<Vec<Vec<Vec<u32>>>> {
        let mut go_on = || check(progress, "generating", Step::new("prompt", 0.0));
        let mut session = Session::new(self.model.clone(), requests, known, &mut go_on)?;
        while !session.finished() {
            check(progress, "generating", Step::new("generate", session.fraction()))?;
            session.step()?;
        }
        check(progress, "generating", Step::new("generate", 1.0))?;
        Ok((0..requests.len()).map(|song| session.codes(song)).collect())
    }

    /// Decodes in pieces, so that a wish to stop is heard.
    fn decode_with(&self, codes: &[Vec<u32>], progress: &mut dyn Progress) -> Result<AudioBuffer> {
        const PIECE: usize = 25;
        self.model.compute.pool.check()?;
        let channels = self.model.channels();
        let frames = codes.first().map_or(0, Vec::len);
        let mut audio = Vec::with_capacity(channels);
        for channel in 0..channels {
            let codes = self.model.channel_codes(codes, channel);
            let mut stream = self.model.codec.stream();
            let mut samples = Vec::with_capacity(frames * self.model.codec.hop());
            for from in (0..frames).step_by(PIECE) {
                let done = (channel as f64 + from as f64 / frames as f64) / channels as f64;
                check(progress, "generating", Step::new("decode", done))?;
                let piece: Vec<Vec<u32>> =
                    codes.iter().map(|book| book[from..frames.min(from + PIECE)].to_vec()).collect();
                samples.extend(stream.push(&piece)?);
            }
            samples.extend(stream.finish()?);
            audio.push(samples);
        }
        check(progress, "generating", Step::new("decode", 1.0))?;
        AudioBuffer::from_channels(self.info.sample_rate, &audio)
    }

    /// The audio without its first frames of codes.
    fn without(&self, audio: &AudioBuffer, frames: usize) -> Result<AudioBuffer> {
        let from = (frames * self.model.codec.hop()).min(audio.frames());
        let channels: Vec<&[f32]> = (0..audio.channels()).map(|c| &audio.channel(c)[from..]).collect();
        AudioBuffer::from_channels(audio.sample_rate(), &channels)
    }
}

impl Generator for MusicGen {
    fn generate(&mut self, request: &Request, progress: &mut dyn Progress) -> Result<AudioBuffer> {
        MusicGen::generate(self, request, progress)
    }

    fn generate_batch(&mut self, requests: &[Request], progress: &mut dyn Progress) -> Result<Vec<AudioBuffer>> {
        MusicGen::generate_batch(self, requests, progress)
    }
}

/// Opens the device; its name for the reports.
fn compute(options: &LoadOptions) -> Result<(Compute, String)> {
    let (device, name) = match options.device {
        DeviceKind::Cpu => {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let threads = if options.threads == 0 { cores.min(8) } else { options.threads };
            if threads > 256 {
                return Err(Error::invalid(format!("threads is {threads}; expected 0 (all cores) to 256")));
            }
            if options.portable {
                return Ok((Compute::device(Device::Cpu, DType::F32)?, "cpu (candle)".into()));
            }
            return Ok((Compute::cpu(threads)?, format!("cpu ({})", Level::detect().name())));
        }
        DeviceKind::Cuda(n) => (Device::new_cuda(n), format!("cuda:{n}")),
        DeviceKind::Metal(n) => (Device::new_metal(n), format!("metal:{n}")),
    };
    let device = device.map_err(|e| {
        Error::Unsupported(format!(
            "the device {name} cannot be opened: {e}; expected a machine that has one and a build with the feature cuda or \
             metal, or the device cpu"
        ))
    })?;
    let dtype = match (options.device, options.quantization) {
        (_, Some(Precision::F32)) => DType::F32,
        (_, Some(Precision::F16)) | (DeviceKind::Metal(_), _) => DType::F16,
        _ => DType::BF16,
    };
    Ok((Compute::device(device, dtype)?, name))
}
