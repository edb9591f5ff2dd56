//! What came of a mastering: before and after, and whether the promise was kept.

use serde::{Deserialize, Serialize};

use crate::analyze::Analysis;
use crate::audio::AudioBuffer;
use crate::error::{Error, Result};
use crate::master::plan::Plan;
use crate::master::target::Target;
use crate::units::db_to_gain;

/// The version of the JSON form of [`Report`].
pub const REPORT_SCHEMA: u32 = 1;
/// How far from the target the integrated loudness may lie, in LU.
pub const LOUDNESS_TOLERANCE_LU: f64 = 0.1;

/// How much gain was taken away.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GainReduction {
    /// The deepest, in dB ≥ 0.
    pub max_db: f64,
    /// The mean over time, in dB ≥ 0.
    pub mean_db: f64,
}

/// The same for one band of a multiband compressor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BandReduction {
    /// Lower corner in Hz, 0 for the lowest band.
    pub low_hz: f64,
    /// Upper corner in Hz; half the sample rate for the highest band.
    pub high_hz: f64,
    /// The deepest reduction, in dB ≥ 0.
    pub max_db: f64,
    /// The mean reduction over time, in dB ≥ 0.
    pub mean_db: f64,
}

/// Gain reduction over time; all lists are equally long.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ReductionTimeline {
    /// Length of a step in seconds: 0.1, doubled until at most 36 000 steps are left.
    pub step_s: f64,
    /// Deepest reduction of the limiter in the step, in dB ≥ 0.
    pub limiter_db: Vec<f32>,
    /// Deepest reduction of each band of the (first) multiband compressor in the step, in dB ≥ 0; lowest band first.
    pub bands_db: Vec<Vec<f32>>,
    /// Deepest reduction of the (first) de-esser in the step, in dB ≥ 0; empty without one.
    pub de_esser_db: Vec<f32>,
}

/// Before, after, and how one became the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of this form, 1.
    pub schema: u32,
    /// What was asked for.
    pub target: Target,
    /// The chain that was run, with its numbers.
    pub plan: Plan,
    /// The sound that came.
    pub before: Analysis,
    /// The sound that was written, as it was written.
    pub after: Analysis,
    /// Gain into the limiter that was found, in dB.
    pub drive_db: f64,
    /// Whether the integrated loudness is within ±0.1 LU of the target.
    pub loudness_reached: bool,
    /// Whether the true peak is at or below the ceiling.
    pub ceiling_met: bool,
    /// Why a promise was not kept, in words; `None` when both were.
    pub refusal: Option<String>,
    /// Gain reduction at the loudest peak that the target needs, in dB; more than the plan's budget means a refusal.
    pub needed_gain_reduction_db: f64,
    /// What the limiter took.
    pub limiter: GainReduction,
    /// What each band of the (first) multiband compressor took, lowest first; empty without one.
    pub bands: Vec<BandReduction>,
    /// What the (first) de-esser took; `None` without one.
    pub de_esser: Option<GainReduction>,
    /// What the (first) glue compressor took; `None` without one.
    pub glue: Option<GainReduction>,
    /// Samples that came in as NaN or infinite and were taken as silence.
    pub non_finite_samples: u64,
    /// Delay of the chain in frames; it was taken off.
    pub latency_frames: usize,
    /// How often the sound was read: once to listen unless the plan knew it, once to measure, then to render.
    pub passes: u32,
    /// Gain in dB that brings the original to the loudness of the master.
    pub gain_match_db: f64,
    /// Gain reduction over time.
    pub timeline: ReductionTimeline,
}

impl Report {
    /// Writes JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain numbers always have a JSON form")
    }

    /// Reads JSON. Errors (`SF_FORMAT`) when it is not a report.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| Error::Format(format!("this is not a mastering report: {e}")))
    }

    /// A few lines for a terminal.
    pub fn summary(&self) -> String {
        let number = |x: Option<f64>, unit: &str| x.map_or_else(|| "–".to_string(), |x| format!("{x:+.2} {unit}"));
        let row = |name: &str, unit: &str, get: fn(&Analysis) -> Option<f64>| {
            format!("  {name:<18}{:>14}  → {:>14}\n", number(get(&self.before), unit), number(get(&self.after), unit))
        };
        let mut s = format!(
            "Mastered for {} ({:.1} LUFS, {:.1} dBTP)\n",
            self.target.name, self.target.loudness_lufs, self.target.ceiling_dbtp
        );
        s += &row("integrated", "LUFS", |a| a.integrated_lufs);
        s += &row("true peak", "dBTP", |a| a.true_peak_dbtp);
        s += &row("short-term max", "LUFS", |a| a.short_term_max_lufs);
        s += &row("loudness range", "LU", |a| a.loudness_range_lu);
        s += &row("peak to loudness", "LU", |a| a.plr_lu);
        s += &format!(
            "  limiter: {:.1} dB at most, {:.2} dB on average; drive {:+.2} dB\n",
            self.limiter.max_db, self.limiter.mean_db, self.drive_db
        );
        for b in &self.bands {
            s += &format!(
                "  band {:>5.0}–{:<5.0} Hz: {:.1} dB at most, {:.2} dB on average\n",
                b.low_hz, b.high_hz, b.max_db, b.mean_db
            );
        }
        for note in &self.plan.notes {
            s += &format!("  · {note}\n");
        }
        s += &match &self.refusal {
            None => "  loudness reached, ceiling kept\n".to_string(),
            Some(why) => format!("  NOT REACHED: {why}\n"),
        };
        s
    }
}

/// The original at the loudness of its master, for a fair comparison by ear. Nothing else is changed; where that raises
/// peaks over full scale they stay in the floating-point samples.
pub fn gain_matched(original: &AudioBuffer, report: &Report) -> AudioBuffer {
    let gain = db_to_gain(report.gain_match_db) as f32;
    let mut out = original.clone();
    if report.gain_match_db != 0.0 {
        out.samples_mut().iter_mut().for_each(|x| *x *= gain);
    }
    out
}
