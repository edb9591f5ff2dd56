//! What came of listening: plain numbers with their units in their names, for people, JSON and the planner.

use serde::{Deserialize, Serialize};

/// The version of the JSON form of [`Analysis`].
pub const SCHEMA: u32 = 1;

/// Band levels end here, in dB: 20 dB further down, f32 holds nothing but rounding. A band without any sound has this level.
pub const BAND_FLOOR_DB: f64 = -120.0;

/// Everything that was measured of one sound. `None` means that there was nothing to measure: silence, or too short.
///
/// RMS and band levels are mean squares: a sine of full scale reads −3.01 dB, and the bands add up to the RMS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// Version of this form, [`SCHEMA`].
    pub schema: u32,
    /// In Hz.
    pub sample_rate: u32,
    /// 1 to 8.
    pub channels: usize,
    /// Length in frames.
    pub frames: u64,
    /// Length in seconds.
    pub seconds: f64,
    /// Gated programme loudness of BS.1770-4 in LUFS. `None` below 400 ms or below the −70 LUFS gate.
    pub integrated_lufs: Option<f64>,
    /// Loudest 400 ms in LUFS, looked for every 10 ms. `None` below 400 ms.
    pub momentary_max_lufs: Option<f64>,
    /// Loudest 3 s in LUFS, looked for every 10 ms. `None` below 3 s.
    pub short_term_max_lufs: Option<f64>,
    /// Loudness range of EBU Tech 3342 in LU. `None` below 3 s.
    pub loudness_range_lu: Option<f64>,
    /// Highest true peak of any channel in dB re full scale.
    pub true_peak_dbtp: Option<f64>,
    /// Highest sample of any channel in dB re full scale.
    pub sample_peak_dbfs: Option<f64>,
    /// Root of the mean square of all samples, in dB re 1.0.
    pub rms_dbfs: Option<f64>,
    /// True peak minus integrated loudness, in LU.
    pub plr_lu: Option<f64>,
    /// Sample peak minus RMS, in dB.
    pub crest_db: Option<f64>,
    /// Mean square per 1/3 octave, averaged over time and channels: 25 Hz to 20 kHz, as far as the sample rate reaches.
    pub third_octave: Vec<BandLevel>,
    /// The same of the side signal (L − R)/2. Empty unless there are two channels.
    #[serde(default)]
    pub side_third_octave: Vec<BandLevel>,
    /// Centre of mass of the amplitude spectrum between 20 Hz and 20 kHz, in Hz: higher is brighter.
    pub centroid_hz: Option<f64>,
    /// Correlation of left and right, −1 to 1. `None` unless there are two channels that both sound.
    pub correlation: Option<f64>,
    /// Side energy as a share of mid and side energy, 0 (mono) to 1. `None` unless there are two channels.
    pub width: Option<f64>,
    /// Mean of each channel, linear.
    pub dc_offset: Vec<f64>,
    /// Samples that are clipped: those over full scale (|x| > 1), and those in runs of three or more at full scale
    /// (|x| ≥ 32767/32768, the highest value of 16-bit files) with one sign.
    pub clipped_samples: u64,
    /// Samples that were NaN, infinite or beyond ±10¹² (240 dB over full scale); they were measured as 0.
    pub non_finite_samples: u64,
    /// How the sound goes over time.
    pub timeline: Timeline,
}

/// One band of a spectrum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BandLevel {
    /// Nominal centre frequency in Hz (IEC 61260).
    pub center_hz: f64,
    /// Mean square in the band, in dB re 1.0, at least [`BAND_FLOOR_DB`].
    pub level_db: f64,
}

/// Values at equal steps; all lists are equally long.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Timeline {
    /// Length of a step in seconds: 0.1, doubled until at most 36 000 steps are left.
    pub step_s: f64,
    /// Momentary loudness in LUFS at the end of the step (the loudest where steps were merged); `None` in silence.
    pub momentary_lufs: Vec<Option<f32>>,
    /// Short-term loudness in LUFS at the end of the step (the loudest where steps were merged); `None` in silence.
    pub short_term_lufs: Vec<Option<f32>>,
    /// Lowest sample of any channel in the step.
    pub minimum: Vec<f32>,
    /// Highest sample of any channel in the step.
    pub maximum: Vec<f32>,
}

impl Analysis {
    /// As JSON text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain numbers always have a JSON form")
    }

    /// From JSON text. Errors (`SF_FORMAT`) when it is not an analysis.
    pub fn from_json(text: &str) -> crate::error::Result<Self> {
        serde_json::from_str(text).map_err(|e| crate::error::Error::Format(format!("this is not an analysis: {e}")))
    }
}
