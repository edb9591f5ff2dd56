//! The plan: from what was heard and what is wanted to a chain with numbers that a person can read and change.
//!
//! Each decision is one small function that looks at the analysis and leaves a note in words. Nothing is changed that needs
//! no change: a module is in the plan only when there is something for it to do.

use serde::{Deserialize, Serialize};

use crate::analyze::{Analysis, BAND_FLOOR_DB, analyze};
use crate::audio::AudioBuffer;
use crate::error::{Error, Result, in_range};
use crate::master::chain::Module;
use crate::master::de_esser::DeEsserParams;
use crate::master::equalizer::{BandKind, EqualizerBand, EqualizerParams};
use crate::master::exciter::ExciterParams;
use crate::master::gain::GainParams;
use crate::master::glue::GlueParams;
use crate::master::limiter::LimiterParams;
use crate::master::multiband::{BandParams, MultibandParams};
use crate::master::preset::Preset;
use crate::master::target::Target;
use crate::master::widener::WidenerParams;

/// The version of the JSON form of [`Plan`].
pub const PLAN_SCHEMA: u32 = 1;
/// Loudness at which the chain works: thresholds are meant for a sound at this level.
pub const WORKING_LUFS: f64 = -18.0;
/// The default budget: how much the limiter may take at the loudest peak, in dB.
pub const DEFAULT_MAX_GAIN_REDUCTION_DB: f64 = 12.0;

/// What will be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this form, 1.
    pub schema: u32,
    /// Loudness and ceiling.
    pub target: Target,
    /// The chain before the limiter. The first module brings the sound to the working level.
    pub chain: Preset,
    /// The limiter; its ceiling is the target's. The gain into it is found while rendering.
    pub limiter: LimiterParams,
    /// The budget: how much the limiter may take at the loudest peak, 0 to 40 dB. What the target needs beyond it is refused.
    pub max_gain_reduction_db: f64,
    /// Why the chain is what it is, for people.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Plan {
    /// A plan that runs `chain` and meets `target`, with the default limiter and budget.
    pub fn new(target: Target, chain: Preset) -> Result<Self> {
        let limiter = LimiterParams { ceiling_dbtp: target.ceiling_dbtp, ..LimiterParams::default() };
        let plan = Self {
            schema: PLAN_SCHEMA,
            target,
            chain,
            limiter,
            max_gain_reduction_db: DEFAULT_MAX_GAIN_REDUCTION_DB,
            notes: Vec::new(),
        };
        plan.validate()?;
        Ok(plan)
    }

    /// Errors when the schema is from the future, a number is out of range or the ceilings disagree.
    pub fn validate(&self) -> Result<()> {
        if self.schema == 0 || self.schema > PLAN_SCHEMA {
            return Err(Error::Unsupported(format!("plan schema {}; this version reads {PLAN_SCHEMA}", self.schema)));
        }
        self.target.validate()?;
        self.chain.validate()?;
        self.limiter.validate()?;
        in_range("max_gain_reduction_db", self.max_gain_reduction_db, 0.0, 40.0)?;
        if self.limiter.ceiling_dbtp != self.target.ceiling_dbtp {
            return Err(Error::invalid(format!(
                "the limiter's ceiling is {} dBTP and the target's {} dBTP; make them equal",
                self.limiter.ceiling_dbtp, self.target.ceiling_dbtp
            )));
        }
        Ok(())
    }

    /// Writes JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain numbers always have a JSON form")
    }

    /// Reads JSON. Unknown fields, wrong types and values out of range are errors.
    pub fn from_json(text: &str) -> Result<Self> {
        let plan: Self = serde_json::from_str(text)
            .map_err(|e| Error::Format(format!("plan is not valid JSON of its schema: {e}")))?;
        plan.validate()?;
        Ok(plan)
    }
}

/// Listens to `audio` and plans for `target`.
pub fn plan(audio: &AudioBuffer, target: &Target) -> Result<Plan> {
    check_channels(audio.channels())?;
    plan_for(&analyze(audio)?, target)
}

/// Plans from what was measured before.
pub fn plan_for(heard: &Analysis, target: &Target) -> Result<Plan> {
    target.validate()?;
    check_channels(heard.channels)?;
    let mut notes = Vec::new();
    let mut modules = Vec::new();
    if let Some(loudness) = heard.integrated_lufs {
        modules.extend(level(loudness));
        modules.extend(tone(heard, &mut notes));
        modules.extend(sibilance(heard, &mut notes));
        modules.extend(dynamics(heard, target, &mut notes));
        modules.extend(air(heard, &mut notes));
        modules.extend(width(heard, &mut notes));
    } else {
        notes.push("nothing to plan for: the sound is silent or shorter than 0.4 s".into());
    }
    let mut plan = Plan::new(target.clone(), Preset::new(format!("for {}", target.name), modules))?;
    plan.notes = notes;
    Ok(plan)
}

pub(crate) fn check_channels(channels: usize) -> Result<()> {
    if channels > 2 {
        return Err(Error::Unsupported(format!(
            "{channels} channels; mastering takes mono or stereo (mix down first, for example with `to_stereo`)"
        )));
    }
    Ok(())
}

/// To the working level.
pub(crate) fn level(loudness_lufs: f64) -> Option<Module> {
    // A sound further off than a gain reaches (as floats can be) goes the rest of the way by the drive.
    let gain_db = round(WORKING_LUFS - loudness_lufs, 0.01).clamp(-200.0, 200.0);
    (gain_db != 0.0).then_some(Module::Gain(GainParams { gain_db }))
}

fn round(x: f64, step: f64) -> f64 {
    (x / step).round() * step
}

/// Mean level in dB per 1/3 octave between two frequencies.
fn region(heard: &Analysis, low_hz: f64, high_hz: f64) -> Option<f64> {
    let bands: Vec<f64> = heard
        .third_octave
        .iter()
        .filter(|b| b.center_hz >= low_hz && b.center_hz <= high_hz && b.level_db > BAND_FLOOR_DB)
        .map(|b| b.level_db)
        .collect();
    (!bands.is_empty()).then(|| bands.iter().sum::<f64>() / bands.len() as f64)
}

/// Numbers of the house: about what finished music measures per 1/3 octave re its middle (250 Hz–2 kHz), and how far it may
/// lie apart before a hand is laid on it. (For the shape of such averages see P. D. Pestana et al., *Spectral
/// characteristics of popular commercial recordings 1950–2010*, AES 135, 2013.)
const REGIONS: [(&str, BandKind, f64, f64, f64, f64, f64); 4] = [
    // name, kind, from Hz, to Hz, at Hz, usual dB, tolerance dB
    ("bass", BandKind::LowShelf, 40.0, 125.0, 130.0, 5.0, 4.0),
    ("low middle", BandKind::Peak, 200.0, 400.0, 280.0, 2.0, 3.0),
    ("presence", BandKind::Peak, 2_500.0, 5_000.0, 3_500.0, -6.5, 4.0),
    ("treble", BandKind::HighShelf, 8_000.0, 14_000.0, 9_000.0, -15.0, 5.0),
];

/// Tone: rumble out, and a third of what a region lies outside its tolerance, at most 3 dB.
fn tone(heard: &Analysis, notes: &mut Vec<String>) -> Option<Module> {
    let mut bands = Vec::new();
    let rumble = heard.third_octave.first().map_or(-200.0, |b| b.level_db);
    let loudest = heard.third_octave.iter().fold(-200.0, |m: f64, b| m.max(b.level_db));
    let dc = heard.dc_offset.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    if rumble > loudest - 40.0 || dc > 1e-4 {
        bands.push(EqualizerBand { kind: BandKind::HighPass, frequency_hz: 22.0, gain_db: 0.0, q: 0.707 });
        notes.push("high-pass at 22 Hz: there is rumble or an offset below hearing".into());
    }
    let middle = region(heard, 250.0, 2_000.0)?;
    for (name, kind, from, to, at, usual, tolerance) in REGIONS {
        let Some(level) = region(heard, from, to) else { continue };
        let apart = level - middle - usual;
        let outside = apart - apart.clamp(-tolerance, tolerance);
        let gain_db = round((-outside / 3.0).clamp(-3.0, 3.0), 0.1);
        if gain_db.abs() >= 0.5 && heard.sample_rate as f64 > 2.2 * at {
            bands.push(EqualizerBand { kind, frequency_hz: at, gain_db, q: 0.707 });
            notes.push(format!("{name} {gain_db:+.1} dB: it lies {apart:+.1} dB off the usual balance"));
        }
    }
    (!bands.is_empty()).then_some(Module::Equalizer(EqualizerParams { bands }))
}

/// De-esser: always on watch where there is treble; it leaves what is not sibilant alone to the bit.
fn sibilance(heard: &Analysis, notes: &mut Vec<String>) -> Option<Module> {
    let (middle, upper) = (region(heard, 250.0, 2_000.0)?, region(heard, 5_000.0, 9_000.0)?);
    if upper - middle < -35.0 || heard.sample_rate < 22_050 {
        return None;
    }
    notes.push("de-esser on watch above 5.2 kHz".into());
    // Stricter than for a single voice: in a mix, cymbals must not pass for an "s".
    Some(Module::DeEsser(DeEsserParams { relative_db: -9.0, max_reduction_db: 6.0, ..DeEsserParams::default() }))
}

/// Dynamics: the more the target's loudness exceeds what the peaks leave room for, the more the bands are held together.
fn dynamics(heard: &Analysis, target: &Target, notes: &mut Vec<String>) -> Vec<Module> {
    let Some(plr) = heard.plr_lu else { return Vec::new() };
    let room = target.ceiling_dbtp - target.loudness_lufs;
    let excess = plr - room;
    if excess < -1.0 {
        notes.push(format!("no compression: the peaks have {:.1} dB of room at the target", -excess));
        return Vec::new();
    }
    let multiband = compressor(heard, excess);
    let Module::Multiband(params) = &multiband else { return Vec::new() };
    let ratio = params.bands[0].ratio;
    notes.push(format!(
        "multiband compressor {ratio:.2}:1: peaks lie {plr:.1} LU over the loudness, the target leaves {room:.1}"
    ));
    let mut modules = vec![multiband];
    if heard.loudness_range_lu.is_some_and(|l| l > 12.0) && excess > 2.0 {
        notes.push("glue compressor 1.5:1: loud and quiet passages lie far apart".into());
        modules.push(Module::Glue(GlueParams { threshold_db: -16.0, ratio: 1.5, ..GlueParams::default() }));
    }
    modules
}

/// Four bands that bring the peaks closer to the loudness by something like `excess` LU.
pub(crate) fn compressor(heard: &Analysis, excess: f64) -> Module {
    // Levels of the bands at the working level, from the 1/3 octaves: thresholds sit where the peaks begin.
    let shift = WORKING_LUFS - heard.integrated_lufs.unwrap_or(WORKING_LUFS);
    let corners = [120.0, 1_200.0, 6_000.0];
    let edges = [0.0, corners[0], corners[1], corners[2], f64::INFINITY];
    let ratio = round((1.3 + 0.12 * (excess + 3.0)).clamp(1.3, 3.0), 0.05);
    // How far a band's peaks usually stand over its mean: the higher the band, the farther.
    let above_rms = [6.0, 7.0, 10.0, 13.0].map(|db| if excess > 4.0 { db } else { db + 2.0 });
    let times = [(30.0, 180.0), (20.0, 140.0), (10.0, 100.0), (5.0, 70.0)];
    let bands = (0..4)
        .map(|i| {
            let power: f64 = heard
                .third_octave
                .iter()
                .filter(|b| b.center_hz > edges[i] && b.center_hz <= edges[i + 1])
                .map(|b| 10f64.powf(b.level_db / 10.0))
                .sum();
            let rms_db = 10.0 * (power + 1e-20).log10() + shift;
            BandParams {
                threshold_db: round((rms_db + above_rms[i]).clamp(-60.0, -6.0), 0.5),
                ratio,
                knee_db: 8.0,
                attack_ms: times[i].0,
                release_ms: times[i].1,
                slow_release_ms: 800.0,
                makeup_db: 0.0,
            }
        })
        .collect();
    Module::Multiband(MultibandParams { crossovers_hz: corners.to_vec(), bands })
}

/// Exciter: where the treble is missing rather than quiet.
fn air(heard: &Analysis, notes: &mut Vec<String>) -> Option<Module> {
    let (middle, treble) = (region(heard, 250.0, 2_000.0)?, region(heard, 8_000.0, 14_000.0)?);
    let dull = -(treble - middle + 22.0);
    if dull <= 0.0 || heard.sample_rate < 32_000 {
        return None;
    }
    let even_db = round((-30.0 + 0.6 * dull).clamp(-30.0, -18.0), 0.5);
    notes.push(format!("exciter above 4 kHz ({even_db:.1} dB): the treble is {dull:.1} dB duller than most"));
    Some(Module::Exciter(ExciterParams { frequency_hz: 4_000.0, even_db, odd_db: even_db - 6.0 }))
}

/// Width: bass to the middle, a narrow side a little wider, a mono sound left mono.
fn width(heard: &Analysis, notes: &mut Vec<String>) -> Option<Module> {
    let side = heard.width?;
    if side < 1e-4 {
        return None;
    }
    // The share of the side's energy in its bass.
    let power = |b: &crate::analyze::BandLevel| 10f64.powf(b.level_db / 10.0);
    let bass: f64 = heard.side_third_octave.iter().filter(|b| b.center_hz < 110.0).map(power).sum();
    let all: f64 = heard.side_third_octave.iter().map(power).sum();
    let mono_below_hz = if bass > 0.2 * all { 110.0 } else { 0.0 };
    let width = if side < 0.03 {
        1.15
    } else if side > 0.45 {
        0.9
    } else {
        1.0
    };
    if mono_below_hz == 0.0 && width == 1.0 {
        return None;
    }
    if mono_below_hz > 0.0 {
        notes.push("side cleared below 110 Hz: bass belongs in the middle".into());
    }
    if width != 1.0 {
        notes.push(format!("width {width:.2}: the side holds {:.0} % of the energy", side * 100.0));
    }
    Some(Module::Widener(WidenerParams { width, mono_below_hz, decorrelation: 0.0 }))
}
