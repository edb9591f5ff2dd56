//! Everything that is remembered of a sound, made while it goes by.

use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_128;

use super::chromaprint::{Chromaprint, ChromaprintPreset, WordMaker};
use super::front::Front;
use super::landmark::{Constellation, Extractor};
use crate::audio::{AudioBuffer, Block, slices};
use crate::dsp::kernels::with_wide_registers;
use crate::error::{Error, Result};

/// The version of the JSON form of [`Fingerprint`].
pub const SCHEMA: u32 = 1;

/// Frames that are worked on before the next are touched.
const AT_ONCE: usize = 2_048;

/// How a fingerprint is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FingerprintParams {
    /// The algorithm of the Chromaprint.
    pub preset: ChromaprintPreset,
    /// Leading silence is left out of the Chromaprint until the mean magnitude of 5 ms is above this, 0 to 32 767 steps of
    /// 16 bit. `None`: as the preset has it (`test4` has 50, the others keep silence).
    pub silence_threshold: Option<u16>,
    /// Also make [`Fingerprint::pcm`].
    pub pcm_hash: bool,
}

/// What is remembered of one sound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Version of this form, [`SCHEMA`].
    pub schema: u32,
    /// Of the sound, in Hz.
    pub sample_rate: u32,
    /// 1 to 8.
    pub channels: usize,
    /// Length of the sound in frames.
    pub frames: u64,
    /// Length of the sound in seconds.
    pub seconds: f64,
    /// Samples that were NaN or infinite. NaN is heard as 0, infinity as full scale.
    pub non_finite_samples: u64,
    /// XXH3 (128 bit) of the rate, the channels and the samples, when [`FingerprintParams::pcm_hash`] asks for it: sounds that
    /// are equal to the bit have the same. 32 hexadecimal digits in JSON, or null.
    #[serde(default, with = "hex")]
    pub pcm: Option<u128>,
    /// AcoustID's fingerprint; in JSON its compressed text.
    pub chromaprint: Chromaprint,
    /// What an [`Index`](super::Index) keeps; in JSON base64 text.
    pub landmarks: Constellation,
}

impl Fingerprint {
    /// Of a whole sound. Never fails for a buffer that exists: of one that is too short or silent there is little to
    /// remember.
    pub fn of(audio: &AudioBuffer) -> Result<Self> {
        Self::with(audio, &FingerprintParams::default())
    }

    /// Of a whole sound, made in this way.
    pub fn with(audio: &AudioBuffer, params: &FingerprintParams) -> Result<Self> {
        let mut fingerprinter = Fingerprinter::new(audio.sample_rate(), audio.channels(), params)?;
        fingerprinter.push_buffer(audio)?;
        Ok(fingerprinter.finish())
    }

    /// As JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain numbers and text always have a JSON form")
    }

    /// From JSON text. Errors (`SF_FORMAT`) when it is not a fingerprint, or one of a newer version.
    pub fn from_json(text: &str) -> Result<Self> {
        let read: Self =
            serde_json::from_str(text).map_err(|e| Error::Format(format!("this is not a fingerprint: {e}")))?;
        if read.schema != SCHEMA {
            return Err(Error::Format(format!(
                "the fingerprint is of schema {}; this version of the library reads {SCHEMA}",
                read.schema
            )));
        }
        Ok(read)
    }
}

/// Makes a [`Fingerprint`] of a sound that goes by: [`push`](Fingerprinter::push) its blocks, of any lengths, then
/// [`finish`](Fingerprinter::finish). The result is the same to the bit however the sound was cut.
///
/// ```
/// use sonicforge_core::fingerprint::{Fingerprint, Fingerprinter, FingerprintParams};
/// use sonicforge_core::testing::Signal;
///
/// let mut audio = Signal::Music { seed: 1 }.render(48_000, 2, 10.0)?;
/// let mut fingerprinter = Fingerprinter::new(48_000, 2, &FingerprintParams::default())?;
/// for start in (0..audio.frames()).step_by(1_000) {
///     fingerprinter.push(&audio.block_range(start, start + 1_000))?;
/// }
/// assert_eq!(fingerprinter.finish(), Fingerprint::of(&audio)?);
/// # Ok::<(), sonicforge_core::error::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Fingerprinter {
    sample_rate: u32,
    channels: usize,
    frames: u64,
    non_finite: u64,
    front: Front,
    words: WordMaker,
    extractor: Extractor,
    pcm: Option<PcmHash>,
}

impl Fingerprinter {
    /// For sounds of this rate (8 000 to 384 000 Hz) and number of channels (1 to 8).
    pub fn new(sample_rate: u32, channels: usize, params: &FingerprintParams) -> Result<Self> {
        let front = Front::new(sample_rate, channels)?;
        let mut words = WordMaker::new(params.preset);
        if let Some(threshold) = params.silence_threshold {
            words.trim_silence(threshold)?;
        }
        let pcm = params.pcm_hash.then(|| PcmHash::new(channels));
        Ok(Self { sample_rate, channels, frames: 0, non_finite: 0, front, words, extractor: Extractor::new(), pcm })
    }

    /// Hears the next frames. Errors when the block has another number of channels.
    pub fn push(&mut self, block: &Block<'_>) -> Result<()> {
        self.push_channels(&slices(block.channels(), |c| block.channel(c))[..block.channels()])
    }

    /// Hears a whole buffer as the next frames. Errors when its rate or its number of channels is another.
    pub fn push_buffer(&mut self, audio: &AudioBuffer) -> Result<()> {
        if audio.sample_rate() != self.sample_rate {
            return Err(Error::invalid(format!(
                "the audio has a sample rate of {} Hz, but the fingerprinter was made for {} Hz",
                audio.sample_rate(),
                self.sample_rate
            )));
        }
        self.push_channels(&slices(audio.channels(), |c| audio.channel(c))[..audio.channels()])
    }

    /// Hears the next frames, one slice per channel. Errors when they are not as many as the fingerprinter's channels, or
    /// not of one length; then nothing was heard.
    pub fn push_channels(&mut self, channels: &[&[f32]]) -> Result<()> {
        let frames = self.front.frames(channels)?;
        for at in (0..frames).step_by(AT_ONCE) {
            let end = frames.min(at + AT_ONCE);
            self.push_few(&slices(channels.len(), |c| &channels[c][at..end])[..channels.len()])?;
        }
        Ok(())
    }

    /// No more frames than stay near the processor while they are read three times.
    fn push_few(&mut self, channels: &[&[f32]]) -> Result<()> {
        let Self { front, words, extractor, .. } = self;
        front.push_channels(channels, &mut |heard| {
            words.push(heard);
            extractor.push(heard);
        })?;
        if let Some(pcm) = &mut self.pcm {
            pcm.push(channels);
        }
        self.frames += channels[0].len() as u64;
        self.non_finite += channels.iter().map(|c| u64::from(non_finite(c))).sum::<u64>();
        Ok(())
    }

    /// What is remembered of everything that was pushed.
    pub fn finish(self) -> Fingerprint {
        let (mut words, mut extractor) = (self.words, self.extractor);
        let mut rest = Vec::new();
        self.front.finish(
            &mut |heard| {
                words.push(heard);
                extractor.push(heard);
            },
            &mut |heard| rest.extend_from_slice(heard),
        );
        extractor.push(&rest);
        Fingerprint {
            schema: SCHEMA,
            sample_rate: self.sample_rate,
            channels: self.channels,
            frames: self.frames,
            seconds: self.frames as f64 / f64::from(self.sample_rate),
            non_finite_samples: self.non_finite,
            pcm: self.pcm.map(|hash| hash.finish(self.sample_rate)),
            chromaprint: words.finish(),
            landmarks: extractor.finish(),
        }
    }
}

with_wide_registers! {
    /// In numbers as wide as the samples, so that registers hold as many.
    fn non_finite(samples: &[f32]) -> u32 {
        samples.iter().map(|x| u32::from(!x.is_finite())).sum()
    }
}

/// One hash for each channel, so that it does not matter how the sound was cut; then one of those.
#[derive(Clone)]
struct PcmHash(Vec<XxHash3_128>);

impl std::fmt::Debug for PcmHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PcmHash")
    }
}

impl PcmHash {
    fn new(channels: usize) -> Self {
        Self(vec![XxHash3_128::new(); channels])
    }

    fn push(&mut self, channels: &[&[f32]]) {
        let mut bytes = [0u8; 4_096];
        for (hash, samples) in self.0.iter_mut().zip(channels) {
            for some in samples.chunks(bytes.len() / 4) {
                let room = &mut bytes[..some.len() * 4];
                room.as_chunks_mut::<4>().0.iter_mut().zip(some).for_each(|(b, x)| *b = x.to_le_bytes());
                hash.write(room);
            }
        }
    }

    fn finish(self, sample_rate: u32) -> u128 {
        let mut bytes = sample_rate.to_le_bytes().to_vec();
        self.0.iter().for_each(|hash| bytes.extend_from_slice(&hash.finish_128().to_le_bytes()));
        XxHash3_128::oneshot(&bytes)
    }
}

/// A hash as 32 hexadecimal digits.
pub(super) mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(hash: &Option<u128>, serializer: S) -> Result<S::Ok, S::Error> {
        match hash {
            Some(hash) => serializer.serialize_str(&format!("{hash:032x}")),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u128>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let read = |t: String| {
            let digits = t.len() == 32 && t.bytes().all(|b| b.is_ascii_hexdigit());
            digits
                .then(|| u128::from_str_radix(&t, 16).ok())
                .flatten()
                .ok_or_else(|| de::Error::custom(format!("pcm is {t:?}; expected 32 hexadecimal digits")))
        };
        text.map(read).transpose()
    }
}
