//! Reference matching: a plan that gives one track the loudness, tone, width and dynamics of another.
//!
//! The tone is matched by a graphic equalizer that a person can read: peaks at fixed frequencies, whose gains are the least
//! squares fit (Gauss–Newton on the true responses of the sections, Tikhonov-regularised so that neighbours do not fight) to
//! the difference of the two 1/3-octave spectra.

use serde::{Deserialize, Serialize};

use crate::analyze::Analysis;
use crate::error::{Error, Result};
use crate::master::chain::Module;
use crate::master::equalizer::{BandKind, EqualizerBand, EqualizerParams};
use crate::master::plan::{Plan, check_channels, compressor, level};
use crate::master::preset::Preset;
use crate::master::target::Target;
use crate::master::widener::WidenerParams;

/// Which parts of the reference are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MatchParts {
    /// Integrated loudness; without it the track keeps its own.
    pub loudness: bool,
    /// 1/3-octave spectrum.
    pub spectrum: bool,
    /// Share of the side.
    pub width: bool,
    /// Distance from the peaks to the loudness.
    pub dynamics: bool,
}

impl Default for MatchParts {
    fn default() -> Self {
        Self { loudness: true, spectrum: true, width: true, dynamics: true }
    }
}

/// The most a band of the matching equalizer is turned, in dB.
const MAX_GAIN_DB: f64 = 12.0;
/// Corner to corner of the peaks: about 0.6 octaves.
const CENTERS_HZ: [f64; 16] = [
    32.0, 48.0, 72.0, 108.0, 162.0, 243.0, 365.0, 547.0, 820.0, 1_230.0, 1_850.0, 2_770.0, 4_160.0, 6_240.0, 9_360.0,
    14_000.0,
];
const Q: f64 = 1.6;
/// Ceiling of the plan, as nothing is gained from copying a reference's overs.
const CEILING_DBTP: f64 = -1.0;

/// Plans how `heard` gets the chosen parts of `reference`.
///
/// Errors when either has no loudness (silence, or shorter than 0.4 s), or more than two channels.
pub fn plan_match(heard: &Analysis, reference: &Analysis, parts: &MatchParts) -> Result<Plan> {
    check_channels(heard.channels)?;
    let loudness_of = |a: &Analysis, who: &str| {
        a.integrated_lufs.ok_or_else(|| {
            Error::invalid(format!(
                "{who} has no loudness: it is silent or shorter than 0.4 s, so there is nothing to match"
            ))
        })
    };
    let own = loudness_of(heard, "the track")?;
    let theirs = loudness_of(reference, "the reference")?;
    let mut notes = Vec::new();
    let loudness = if parts.loudness { theirs } else { own };
    let mut target = Target::custom(loudness.clamp(-40.0, -5.0), CEILING_DBTP)?;
    target.name = "reference".into();
    if parts.loudness {
        notes.push(format!("loudness of the reference: {theirs:.2} LUFS (the track has {own:.2})"));
    }
    let mut modules: Vec<Module> = level(own).into_iter().collect();
    if parts.spectrum
        && let Some(equalizer) = spectrum(heard, reference)
    {
        let most = equalizer.bands.iter().fold(0.0f64, |m, b| m.max(b.gain_db.abs()));
        notes.push(format!("tone of the reference: {} bands, {most:.1} dB at most", equalizer.bands.len()));
        modules.push(Module::Equalizer(equalizer));
    }
    if parts.dynamics
        && let (Some(a), Some(b)) = (heard.plr_lu, reference.plr_lu)
    {
        let excess = a - b;
        if excess > 1.0 {
            notes.push(format!("dynamics of the reference: peaks {excess:.1} LU closer to the loudness"));
            modules.push(compressor(heard, excess));
        }
    }
    if parts.width
        && let Some(widener) = width(heard, reference, &mut notes)
    {
        modules.push(widener);
    }
    let mut plan = Plan::new(target, Preset::new("for a reference", modules))?;
    plan.notes = notes;
    Ok(plan)
}

/// The equalizer whose response comes closest to the difference of the spectra.
fn spectrum(heard: &Analysis, reference: &Analysis) -> Option<EqualizerParams> {
    let rate = heard.sample_rate;
    let top = 0.45 * f64::from(rate.min(reference.sample_rate));
    // Bands that both have, with what is wished there; what is near silence in either does not count.
    let loudest = |a: &Analysis| a.third_octave.iter().fold(-200.0, |m: f64, b| m.max(b.level_db));
    let (own, theirs) = (loudest(heard), loudest(reference));
    let mut points: Vec<(f64, f64)> = heard
        .third_octave
        .iter()
        .filter_map(|h| {
            let r = reference.third_octave.iter().find(|r| r.center_hz == h.center_hz)?;
            let heard_at_all = h.level_db > own - 70.0 && r.level_db > theirs - 70.0;
            (h.center_hz < top && heard_at_all).then_some((h.center_hz, r.level_db - h.level_db))
        })
        .collect();
    if points.len() < 6 {
        return None;
    }
    // The overall level is the limiter's business.
    let mean = points.iter().map(|p| p.1).sum::<f64>() / points.len() as f64;
    points.iter_mut().for_each(|p| p.1 = (p.1 - mean).clamp(-1.3 * MAX_GAIN_DB, 1.3 * MAX_GAIN_DB));
    let (low, high) = (points[0].0, points[points.len() - 1].0);
    let centers: Vec<f64> = CENTERS_HZ.into_iter().filter(|&f| f > 0.8 * low && f < 1.2 * high).collect();
    let mut params = EqualizerParams {
        bands: centers
            .iter()
            .map(|&frequency_hz| EqualizerBand { kind: BandKind::Peak, frequency_hz, gain_db: 0.0, q: Q })
            .collect(),
    };
    let n = centers.len();
    for _ in 0..3 {
        // Jacobian by a difference of 0.5 dB; a constant is fitted along and thrown away.
        let now: Vec<f64> = points.iter().map(|p| params.magnitude_db(rate, p.0)).collect();
        let mut jacobian = vec![vec![0.0; n + 1]; points.len()];
        for i in 0..n {
            let mut moved = params.clone();
            moved.bands[i].gain_db += 0.5;
            for (row, (p, before)) in jacobian.iter_mut().zip(points.iter().zip(&now)) {
                row[i] = (moved.magnitude_db(rate, p.0) - before) / 0.5;
            }
        }
        jacobian.iter_mut().for_each(|row| row[n] = 1.0);
        let wish: Vec<f64> = points.iter().zip(&now).map(|(p, before)| p.1 - before).collect();
        let gains: Vec<f64> = params.bands.iter().map(|b| b.gain_db).collect();
        let step = least_squares(&jacobian, &wish, &gains, 0.02);
        for (b, s) in params.bands.iter_mut().zip(step) {
            b.gain_db = (b.gain_db + s).clamp(-MAX_GAIN_DB, MAX_GAIN_DB);
        }
    }
    for b in &mut params.bands {
        b.gain_db = (b.gain_db * 10.0).round() / 10.0;
    }
    params.bands.retain(|b| b.gain_db != 0.0);
    (!params.bands.is_empty()).then_some(params)
}

/// Solves `(JᵀJ + λ·I)·x = Jᵀ·wish − λ·now` by Gaussian elimination with pivoting: the step that fits `wish` while the
/// values `now + x` stay small. The last column is not regularised.
fn least_squares(jacobian: &[Vec<f64>], wish: &[f64], now: &[f64], lambda: f64) -> Vec<f64> {
    let n = jacobian[0].len();
    let mut a = vec![vec![0.0; n + 1]; n];
    for (row, w) in jacobian.iter().zip(wish) {
        for i in 0..n {
            for j in 0..n {
                a[i][j] += row[i] * row[j];
            }
            a[i][n] += row[i] * w;
        }
    }
    for (i, &x) in now.iter().enumerate() {
        a[i][i] += lambda;
        a[i][n] -= lambda * x;
    }
    for i in 0..n {
        let pivot = (i..n).max_by(|&p, &q| a[p][i].abs().total_cmp(&a[q][i].abs())).unwrap_or(i);
        a.swap(i, pivot);
        if a[i][i].abs() < 1e-12 {
            continue;
        }
        for r in i + 1..n {
            let f = a[r][i] / a[i][i];
            for c in i..=n {
                a[r][c] -= f * a[i][c];
            }
        }
    }
    let mut x = vec![0.0; n];
    for i in (0..n).rev() {
        let rest: f64 = (i + 1..n).map(|j| a[i][j] * x[j]).sum();
        x[i] = if a[i][i].abs() < 1e-12 { 0.0 } else { (a[i][n] - rest) / a[i][i] };
    }
    x.truncate(now.len());
    x
}

/// The side's gain that makes the shares of the sides equal.
fn width(heard: &Analysis, reference: &Analysis, notes: &mut Vec<String>) -> Option<Module> {
    let (own, theirs) = (heard.width?, reference.width?);
    let ratio = |w: f64| w / (1.0 - w).max(1e-6);
    if own < 1e-4 {
        if theirs < 0.01 {
            return None;
        }
        notes.push("width: the track is mono, a decorrelated side is made".into());
        let decorrelation = (ratio(theirs).sqrt()).min(1.0);
        return Some(Module::Widener(WidenerParams { width: 1.0, mono_below_hz: 110.0, decorrelation }));
    }
    let width = (ratio(theirs) / ratio(own)).sqrt().clamp(0.5, 2.0);
    let width = (width * 100.0).round() / 100.0;
    if (width - 1.0).abs() < 0.05 {
        return None;
    }
    notes.push(format!(
        "width {width:.2}: side {:.0} % of the energy, {:.0} % in the reference",
        own * 100.0,
        theirs * 100.0
    ));
    Some(Module::Widener(WidenerParams { width, mono_below_hz: 0.0, decorrelation: 0.0 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::analyze;
    use crate::master::chain::MasteringChain;
    use crate::testing::Signal;

    #[test]
    fn a_known_equalizer_is_found_again() {
        let track = Signal::Noise { level_dbfs: -12.0, seed: 1 }.render(48_000, 2, 20.0).unwrap();
        let mut reference = track.clone();
        let eq = EqualizerParams {
            bands: vec![
                EqualizerBand { kind: BandKind::LowShelf, frequency_hz: 150.0, gain_db: 5.0, q: 0.7 },
                EqualizerBand { kind: BandKind::Peak, frequency_hz: 2_500.0, gain_db: -4.0, q: 1.0 },
                EqualizerBand { kind: BandKind::HighShelf, frequency_hz: 8_000.0, gain_db: 3.0, q: 0.7 },
            ],
        };
        MasteringChain::new(&Preset::new("", vec![Module::Equalizer(eq)])).unwrap().render(&mut reference).unwrap();
        let (a, b) = (analyze(&track).unwrap(), analyze(&reference).unwrap());
        let parts = MatchParts { loudness: false, width: false, dynamics: false, spectrum: true };
        let plan = plan_match(&a, &b, &parts).unwrap();
        let mut matched = track.clone();
        MasteringChain::new(&plan.chain).unwrap().render(&mut matched).unwrap();
        let c = analyze(&matched).unwrap();
        let apart: Vec<f64> =
            c.third_octave.iter().zip(&b.third_octave).map(|(x, y)| x.level_db - y.level_db).collect();
        let mean = apart.iter().sum::<f64>() / apart.len() as f64;
        let rms = (apart.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / apart.len() as f64).sqrt();
        assert!(rms < 0.7, "{rms} dB RMS");
        assert!(plan.target.loudness_lufs == a.integrated_lufs.unwrap());
    }

    #[test]
    fn a_silent_reference_is_an_error() {
        let track = Signal::Music { seed: 1 }.render(48_000, 2, 3.0).unwrap();
        let silence = Signal::Silence.render(48_000, 2, 3.0).unwrap();
        let e = plan_match(&analyze(&track).unwrap(), &analyze(&silence).unwrap(), &MatchParts::default()).unwrap_err();
        assert!(e.to_string().contains("the reference has no loudness"), "{e}");
    }
}
