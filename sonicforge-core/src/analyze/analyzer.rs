//! All the meters over one stream.

use crate::audio::{AudioBuffer, Block, check_format, common_length, slices};
use crate::dsp::true_peak::TruePeak;
use crate::error::{Error, Result};
use crate::units::power_to_db;

use super::analysis::{Analysis, SCHEMA};
use super::levels::Levels;
use super::loudness::{LoudnessMeter, check_channels};
use super::quantum::{QUANTUM, Quantum};
use super::spectrum::Spectrum;
use super::stereo::Stereo;
use super::timeline::Waveform;
use super::true_peak::decibels;

/// Measures a sound that is in memory. Never fails for a buffer that exists; see [`Analyzer`] for sounds that do not fit in memory.
pub fn analyze(audio: &AudioBuffer) -> Result<Analysis> {
    let mut analyzer = Analyzer::new(audio.sample_rate(), audio.channels())?;
    analyzer.push_buffer(audio)?;
    Ok(analyzer.finish())
}

/// What a meter on a screen shows.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct Live {
    /// Frames measured so far; up to 511 may be waiting.
    pub frames: u64,
    /// Loudness of the last 400 ms in LUFS.
    pub momentary_lufs: Option<f64>,
    /// Loudness of the last 3 s in LUFS.
    pub short_term_lufs: Option<f64>,
    /// Gated loudness since the beginning in LUFS.
    pub integrated_lufs: Option<f64>,
    /// Highest true peak since the beginning in dBTP.
    pub true_peak_dbtp: Option<f64>,
}

/// Measures a sound while it goes by: [`push`](Analyzer::push) its blocks, of any lengths, then [`finish`](Analyzer::finish).
/// The result is the same to the bit however the sound was cut.
///
/// ```
/// use sonicforge_core::analyze::Analyzer;
/// use sonicforge_core::testing::Signal;
///
/// let tone = Signal::Sine { frequency_hz: 997.0, level_dbfs: -23.0, phase_deg: 0.0 };
/// let mut audio = tone.render(48_000, 2, 5.0)?;
/// let mut analyzer = Analyzer::new(48_000, 2)?;
/// analyzer.push(&audio.block())?;
/// let analysis = analyzer.finish();
/// assert!((analysis.integrated_lufs.unwrap() + 23.0).abs() < 0.1);
/// # Ok::<(), sonicforge_core::error::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Analyzer {
    sample_rate: u32,
    frames: u64,
    quantum: Quantum,
    loudness: LoudnessMeter,
    true_peak: TruePeak,
    levels: Levels,
    spectrum: Spectrum,
    stereo: Stereo,
    waveform: Waveform,
}

impl Analyzer {
    /// For sounds of this rate (8 000 to 384 000 Hz) and number of channels (1 to 8).
    pub fn new(sample_rate: u32, channels: usize) -> Result<Self> {
        check_format(sample_rate, channels)?;
        Ok(Self {
            sample_rate,
            frames: 0,
            quantum: Quantum::new(channels),
            loudness: LoudnessMeter::new(sample_rate, channels)?,
            true_peak: TruePeak::new(sample_rate, channels),
            levels: Levels::new(channels),
            spectrum: Spectrum::new(sample_rate, channels),
            stereo: Stereo::default(),
            waveform: Waveform::new(sample_rate),
        })
    }

    /// Measures the next frames. Errors when the block has another number of channels than the analyzer.
    pub fn push(&mut self, block: &Block<'_>) -> Result<()> {
        self.push_channels(&slices(block.channels(), |c| block.channel(c))[..block.channels()])
    }

    /// Measures a whole buffer as the next frames. Errors when its rate or its number of channels is another.
    pub fn push_buffer(&mut self, audio: &AudioBuffer) -> Result<()> {
        if audio.sample_rate() != self.sample_rate {
            return Err(Error::invalid(format!(
                "the audio has a sample rate of {} Hz, but the analyzer was made for {} Hz",
                audio.sample_rate(),
                self.sample_rate
            )));
        }
        self.push_channels(&slices(audio.channels(), |c| audio.channel(c))[..audio.channels()])
    }

    /// Measures the next frames, one slice per channel. Errors when they are not as many as the analyzer's channels, or
    /// not of one length.
    pub fn push_channels(&mut self, channels: &[&[f32]]) -> Result<()> {
        check_channels(self.quantum.channels(), channels.len())?;
        let frames = common_length(channels)?;
        let mut start = 0;
        while start < frames {
            start += self.quantum.fill(channels, start);
            if self.quantum.is_full() {
                self.measure();
                let q = &self.quantum;
                self.true_peak.feed(QUANTUM, |c| q.channel(c));
                self.quantum.clear();
            }
        }
        Ok(())
    }

    /// Lets all meters but the true peak listen to the quantum.
    fn measure(&mut self) {
        self.quantum.complete();
        let q = &self.quantum;
        self.frames += q.frames as u64;
        self.loudness.feed(q.frames, |c| q.channel(c));
        self.levels.feed(q);
        self.spectrum.feed(q);
        if q.channels() == 2 {
            self.stereo.feed(q);
        }
        self.waveform.feed(q);
    }

    /// What a meter on a screen shows now. The integrated loudness is worked out of all blocks so far: ask some ten times a second.
    pub fn current(&self) -> Live {
        Live {
            frames: self.frames,
            momentary_lufs: self.loudness.momentary(),
            short_term_lufs: self.loudness.short_term(),
            integrated_lufs: self.loudness.integrated(),
            true_peak_dbtp: decibels(self.true_peak.peak()),
        }
    }

    /// Measures what is left and says everything.
    pub fn finish(mut self) -> Analysis {
        self.measure();
        let q = &self.quantum;
        self.true_peak.finish(q.frames, |c| q.channel(c));
        self.spectrum.finish();

        let integrated_lufs = self.loudness.integrated();
        let true_peak_dbtp = decibels(self.true_peak.peak());
        let sample_peak_dbfs = decibels(f64::from(self.levels.peak));
        let mean_square = self.levels.mean_square();
        let rms_dbfs = (mean_square > 0.0).then(|| power_to_db(mean_square));
        let difference = |a: Option<f64>, b: Option<f64>| Some(a? - b?);
        let two = q.channels() == 2;
        let average = self.spectrum.average();
        let side = self.spectrum.side();
        Analysis {
            schema: SCHEMA,
            sample_rate: self.sample_rate,
            channels: q.channels(),
            frames: self.frames,
            seconds: self.frames as f64 / f64::from(self.sample_rate),
            integrated_lufs,
            momentary_max_lufs: self.loudness.momentary_max(),
            short_term_max_lufs: self.loudness.short_term_max(),
            loudness_range_lu: self.loudness.loudness_range(),
            true_peak_dbtp,
            sample_peak_dbfs,
            rms_dbfs,
            plr_lu: difference(true_peak_dbtp, integrated_lufs),
            crest_db: difference(sample_peak_dbfs, rms_dbfs),
            third_octave: self.spectrum.third_octaves(&average),
            side_third_octave: side.map(|side| self.spectrum.third_octaves(&side)).unwrap_or_default(),
            centroid_hz: self.spectrum.centroid(&average),
            correlation: if two { self.stereo.correlation() } else { None },
            width: if two { self.stereo.width() } else { None },
            dc_offset: self.levels.dc(),
            clipped_samples: self.levels.clipped,
            non_finite_samples: q.non_finite,
            timeline: self.waveform.finish(&self.loudness),
        }
    }
}
