//! The parts of a loaded checkpoint, and what they make of text, audio and codes.

use candle_core::{DType, Device, Tensor};

use super::checkpoint::Checkpoint;
use super::chroma;
use super::codec::Codec;
use super::compute::{Compute, failed, values};
use super::decoder::{Decoder, Prompts};
use super::precision::Precision;
use super::storage::Dtype;
use super::text_encoder::TextEncoder;
use super::tokenizer::LONGEST_PROMPT;
use super::weights::Linear;
use crate::audio::AudioBuffer;
use crate::error::{Error, Result};
use crate::generate::Request;
use crate::generate::delay_pattern::DelayPattern;
use crate::progress::{Progress, Step, check};

/// A loaded checkpoint.
pub(crate) struct Model {
    pub checkpoint: Checkpoint,
    pub compute: Compute,
    pub precision: Precision,
    pub text: TextEncoder,
    pub decoder: Decoder,
    pub codec: Codec,
    pub pattern: DelayPattern,
    /// From chroma to the decoder's width, in melody models whose widths differ.
    chroma_projection: Option<Linear>,
}

/// What a song listens to.
#[derive(Default)]
pub(crate) struct Conditioning {
    /// The projected prompt, `[1, tokens, hidden]`, for the cross attention.
    pub states: Option<Tensor>,
    /// What comes first in the sequence with and without the prompt, `[positions][hidden]`, without positions; for melody
    /// models.
    pub prefix: Option<(Vec<f32>, Vec<f32>)>,
}

impl Model {
    pub fn load(
        open: impl FnOnce() -> Result<Checkpoint>,
        compute: Compute,
        precision: Option<Precision>,
        progress: &mut dyn Progress,
    ) -> Result<Self> {
        /// Share of the loading that the text encoder takes, and where the decoder ends.
        const TEXT: f64 = 0.2;
        const DECODER: f64 = 0.9;
        let mut at = |fraction: f64| check(progress, "loading", Step::new("load", fraction));
        at(0.0)?;
        let checkpoint = open()?;
        // Quantized files stay what they are; a folder of floats becomes 8 bits on a CPU.
        let precision = precision.unwrap_or(match (&compute.device, own_precision(&checkpoint)) {
            (_, Some(own)) => own,
            (Device::Cpu, None) => Precision::Q8_0,
            (_, None) if compute.dtype == DType::F16 => Precision::F16,
            (_, None) => Precision::Bf16,
        });
        let config = checkpoint.config();
        let h = config.decoder.hidden_size;
        let chroma_projection = match &config.melody {
            Some(melody) if melody.chroma != h => {
                let name = "audio_enc_to_dec_proj";
                let linear =
                    Linear::load(&compute, &checkpoint, &[format!("{name}.weight")], h, melody.chroma, Precision::F32)?;
                Some(linear.with_bias(checkpoint.f32(&format!("{name}.bias"), &[h])?)?)
            }
            _ => None,
        };
        let text = TextEncoder::load(&compute, &checkpoint, precision, &mut |part| at(TEXT * part))?;
        let decoder = Decoder::load(&compute, &checkpoint, precision, &mut |part| at(TEXT + (DECODER - TEXT) * part))?;
        at(DECODER)?;
        let model = Self {
            text,
            decoder,
            codec: Codec::load(&checkpoint, "audio_encoder.", &compute.device, compute.pool.clone(), compute.portable)?,
            pattern: DelayPattern::new(config.decoder.codebooks, config.decoder.audio_channels),
            chroma_projection,
            compute,
            precision,
            checkpoint,
        };
        model.checkpoint.release();
        at(1.0)?;
        Ok(model)
    }

    /// Positions of one window: what the authors generate at most, when that is near what the model was built for.
    pub fn window(&self) -> usize {
        let config = self.checkpoint.config();
        let most = config.decoder.max_positions;
        let window = config.generation.max_length.filter(|&n| n <= most && n * 2 >= most).unwrap_or(most);
        // What a new window begins with, and the delays, must leave room to go on.
        window.max(4 * (self.pattern.longest_delay() + 2))
    }

    /// Token ids of a prompt.
    pub fn tokenize(&self, prompt: &str) -> Result<Vec<u32>> {
        match self.checkpoint.tokenizer() {
            Some(tokenizer) => tokenizer.encode(prompt),
            None => Err(Error::Unsupported(
                "this checkpoint has no tokenizer.json; give token_ids instead of a prompt, or put the tokenizer.json of \
                 its text encoder beside the weights"
                    .into(),
            )),
        }
    }

    /// Encodes what the requests ask for; the text encoder sees all prompts at once.
    /// `check` may end it with an error.
    pub fn condition(&self, requests: &[Request], check: &mut dyn FnMut() -> Result<()>) -> Result<Vec<Conditioning>> {
        let mut ids: Vec<Option<Vec<u32>>> = Vec::with_capacity(requests.len());
        for request in requests {
            ids.push(match (&request.token_ids, &request.prompt) {
                (Some(ids), _) if ids.len() > LONGEST_PROMPT => {
                    return Err(Error::invalid(format!(
                        "{} token_ids were given; expected at most {LONGEST_PROMPT}, which the text encoder learned on",
                        ids.len()
                    )));
                }
                (Some(ids), _) => Some(ids.clone()),
                (None, Some(prompt)) => Some(self.tokenize(prompt)?),
                (None, None) => None,
            });
        }
        let known: Vec<&[u32]> = ids.iter().flatten().map(Vec::as_slice).collect();
        let mut states = if known.is_empty() { Vec::new() } else { self.text.encode_with(&known, check)? }.into_iter();
        let mut all = Vec::with_capacity(requests.len());
        for (request, ids) in requests.iter().zip(&ids) {
            let states = match ids {
                Some(_) => states.next().map(|s| self.decoder.project(&s)).transpose()?,
                None => None,
            };
            let frames = self.chroma_of(request)?;
            all.push(self.conditioning(states, frames.as_deref())?);
        }
        Ok(all)
    }

    /// Chroma indices of a request's melody.
    fn chroma_of(&self, request: &Request) -> Result<Option<Vec<usize>>> {
        let Some(melody) = &request.melody else { return Ok(None) };
        let Some(config) = &self.checkpoint.config().melody else {
            return Err(Error::invalid(
                "a melody was given, but this checkpoint is not a melody model; expected one of the musicgen-melody family",
            ));
        };
        self.check_rate("melody", melody)?;
        Ok(Some(chroma::strongest(melody, config.chroma)?))
    }

    /// Puts a projected prompt and chroma frames together. `chroma` holds one index per frame.
    pub fn conditioning(&self, states: Option<Tensor>, chroma: Option<&[usize]>) -> Result<Conditioning> {
        let Some(melody) = &self.checkpoint.config().melody else {
            return Ok(Conditioning { states, prefix: None });
        };
        if states.is_none() && chroma.is_none() {
            return Ok(Conditioning::default());
        }
        let h = self.decoder.config().hidden_size;
        let chroma = chroma.filter(|c| !c.is_empty()).unwrap_or(&[0]);
        // Shorter ones are repeated, longer ones cut. Without a melody every frame is the first class.
        let mut with = self.project_chroma(chroma.iter().copied().cycle().take(melody.chroma_length), melody.chroma)?;
        let mut without = self.project_chroma(std::iter::repeat_n(0, melody.chroma_length), melody.chroma)?;
        if let Some(states) = &states {
            let text = values(states)?;
            without.resize(without.len() + text.len(), 0.0);
            with.extend(text);
        }
        debug_assert!(with.len() == without.len() && with.len() % h == 0);
        Ok(Conditioning { states: None, prefix: Some((with, without)) })
    }

    fn project_chroma(&self, frames: impl Iterator<Item = usize>, classes: usize) -> Result<Vec<f32>> {
        let frames: Vec<usize> = frames.collect();
        let mut one_hot = vec![0.0; frames.len() * classes];
        for (row, &class) in one_hot.chunks_exact_mut(classes).zip(&frames) {
            row[class.min(classes - 1)] = 1.0;
        }
        match &self.chroma_projection {
            Some(projection) => {
                let x = self.compute.tensor(one_hot, &[1, frames.len(), classes])?;
                values(&projection.forward(&x)?)
            }
            None => Ok(one_hot),
        }
    }

    /// Keys and values of the prompts that go through the cross attention.
    pub fn prompts(&self, conditionings: &[Conditioning]) -> Result<Option<Prompts>> {
        let states: Vec<Tensor> = conditionings.iter().filter_map(|c| c.states.clone()).collect();
        if states.is_empty() { Ok(None) } else { self.decoder.prompts(&states).map(Some) }
    }

    /// Channels of the audio.
    pub fn channels(&self) -> usize {
        self.checkpoint.config().decoder.audio_channels
    }

    /// Audio to codes, `[codebooks][frames]`; left and right take turns in a stereo model. `check` hears the share that is
    /// done and may end it with an error.
    pub fn encode(
        &self,
        what: &str,
        audio: &AudioBuffer,
        check: &mut dyn FnMut(f64) -> Result<()>,
    ) -> Result<Vec<Vec<u32>>> {
        self.check_rate(what, audio)?;
        if audio.frames() == 0 {
            return Err(Error::invalid(format!("{what} has no frames; expected at least one")));
        }
        let channels = self.channels();
        if audio.channels() > 2 {
            return Err(Error::invalid(format!("{what} has {} channels; expected 1 or 2", audio.channels())));
        }
        let fitted = if channels == 1 { audio.to_mono() } else { audio.to_stereo() };
        let mut codes = vec![Vec::new(); self.pattern_codebooks()];
        for channel in 0..channels {
            let mut check = |part| check((channel as f64 + part) / channels as f64);
            for (book, of_channel) in
                self.codec.encode_with(fitted.channel(channel), &mut check)?.into_iter().enumerate()
            {
                codes[book * channels + channel] = of_channel;
            }
        }
        Ok(codes)
    }

    /// The codes of one channel.
    pub fn channel_codes(&self, codes: &[Vec<u32>], channel: usize) -> Vec<Vec<u32>> {
        codes.iter().skip(channel).step_by(self.channels()).cloned().collect()
    }

    /// Checks codes that came from outside: all codebooks, of one length, every entry in the codebook.
    pub fn check_codes(&self, what: &str, codes: &[Vec<u32>]) -> Result<()> {
        let (books, size) = (self.pattern_codebooks(), self.codec.codebook_size());
        if codes.len() != books {
            return Err(Error::invalid(format!("{what} has {} codebooks; this model has {books}", codes.len())));
        }
        for (k, book) in codes.iter().enumerate() {
            if book.len() != codes[0].len() {
                return Err(Error::invalid(format!(
                    "codebook {k} of {what} has {} frames and codebook 0 has {}; expected as many",
                    book.len(),
                    codes[0].len()
                )));
            }
            if let Some(f) = book.iter().position(|&c| c as usize >= size) {
                return Err(Error::invalid(format!(
                    "{what} has the code {} in codebook {k}, frame {f}; expected 0 to {}",
                    book[f],
                    size - 1
                )));
            }
        }
        Ok(())
    }

    fn pattern_codebooks(&self) -> usize {
        self.checkpoint.config().decoder.codebooks
    }

    fn check_rate(&self, what: &str, audio: &AudioBuffer) -> Result<()> {
        let rate = self.codec.sample_rate();
        if audio.sample_rate() != rate {
            return Err(Error::invalid(format!(
                "{what} has a sample rate of {} Hz and this model {rate} Hz; resample it to {rate} first",
                audio.sample_rate()
            )));
        }
        if let Some(at) = audio.samples().iter().position(|x| !x.is_finite()) {
            let (frame, channel) = (at % audio.frames(), at / audio.frames());
            return Err(Error::invalid(format!(
                "{what} has a sample that is {} at frame {frame} of channel {channel}; expected finite samples",
                audio.samples()[at]
            )));
        }
        Ok(())
    }

    /// A tensor of embedded positions, `[rows, T, hidden]`.
    pub fn tensor(&self, x: Vec<f32>, rows: usize) -> Result<Tensor> {
        let h = self.decoder.config().hidden_size;
        let t = x.len() / rows / h;
        self.compute.tensor(x, &[rows, t, h])
    }

    /// The last position of each row, `[rows, 1, hidden]`.
    pub fn last(states: &Tensor) -> Result<Tensor> {
        let t = states.dims()[1];
        states.narrow(1, t - 1, 1).and_then(|s| s.contiguous()).map_err(failed)
    }
}

/// What a file of one's own choosing keeps its matrices in; a folder of floats chooses nothing.
fn own_precision(checkpoint: &Checkpoint) -> Option<Precision> {
    let name = "decoder.model.decoder.layers.0.fc1.weight";
    let (_, entry) = checkpoint.entries().into_iter().find(|(n, _)| *n == name)?;
    match entry.dtype {
        Dtype::Weights(precision) if checkpoint.is_gguf() => Some(precision),
        _ => None,
    }
}
