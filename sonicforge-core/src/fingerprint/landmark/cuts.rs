//! Where does a query change at once and for good? There it may have been cut.
//!
//! Short spectra, 23 ms each, before a moment are compared with those behind it, band by band: the difference of their mean
//! levels in standard deviations of them. Over 46 ms it shows what begins and what ends in an instant. Much in music begins so;
//! next to nothing ends so unless it is cut off, as sounds die away. Over half a second it shows what stays changed, which a
//! drum does not. As no two queries change alike, each of these counts by how rare it is in the query: by the logarithm of the
//! share of all moments at which it is as great (R. A. Fisher, "Statistical Methods for Research Workers", 1932, adds up those of
//! several tests).

use std::f64::consts::TAU;

use super::spectrogram::half_ln;
use crate::dsp::stft::PairStft;

/// Samples per spectrum: 23 ms.
const WINDOW: usize = 256;
/// Samples from one moment to the next: half a window.
pub(super) const STEP: usize = WINDOW / 2;
/// Where the bands begin and end, in bins of 43 Hz: a quarter to a half of an octave each.
const EDGES: [usize; BANDS + 1] = [1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 23, 31, 41, 54, 72, 95, 126];
const BANDS: usize = 16;
/// Power that is added to every band: that of the last bit.
const FLOOR: f32 = 100.0;
/// Spectra on either side of a moment: 46 ms, and half a second.
const SHORT: usize = 3;
const LONG: usize = 43;
/// Levels that vary less, in 1/256 neper, count as if they varied so: 1.3 dB.
const LEAST: f32 = 38.0;

/// Levels of the bands of a spectrum, in 1/256 neper.
type Spectrum = [i32; BANDS];

/// How rare in the query is what happens at each moment, in nepers: moment i is [`STEP`]·i samples from the beginning.
#[derive(Debug, Clone)]
pub(super) struct Cuts {
    /// If something were cut in there.
    pub begin: Vec<f32>,
    /// If something that was cut in ended there.
    pub end: Vec<f32>,
}

impl Cuts {
    /// At so many moments; without samples all are alike.
    pub fn of(samples: &[i16], moments: usize) -> Self {
        let spectra = spectra(samples);
        let at_once = Changes::of(&spectra, SHORT, moments);
        let for_good = Changes::of(&spectra, LONG, moments);
        let changed = sums(&for_good.rises, &for_good.falls);
        let end = rarity(&sums(&rarity(&at_once.falls), &rarity(&changed)));
        // What is cut in takes the place of what ends there, or it is added to what goes on.
        let added = rarity(&sums(&rarity(&at_once.rises), &rarity(&for_good.rises)));
        let either: Vec<f32> = end.iter().zip(&added).map(|(a, b)| a.max(*b)).collect();
        Self { begin: rarity(&either), end }
    }
}

fn sums(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// Spectrum i begins at sample [`STEP`]·i.
fn spectra(samples: &[i16]) -> Vec<Spectrum> {
    let step = TAU / WINDOW as f64;
    let window: Vec<f64> = (0..WINDOW).map(|n| 0.5 - 0.5 * (step * n as f64).cos()).collect();
    let mut stft = PairStft::new(&window);
    let (from, to) = (EDGES[0], EDGES[BANDS]);
    let (mut first, mut second) = (vec![0.0f32; to - from], vec![0.0f32; to - from]);
    let mut out = Vec::with_capacity(samples.len() / STEP);
    // Two windows at once, half a window apart.
    let mut at = 0;
    while let Some(both) = samples.get(at..at + WINDOW + STEP) {
        stft.power(&both[..WINDOW], &both[STEP..], from, [&mut first, &mut second]);
        out.extend([levels(&first), levels(&second)]);
        at += 2 * STEP;
    }
    out
}

/// The levels of bands of bins, the first of which is `EDGES[0]`.
fn levels(power: &[f32]) -> Spectrum {
    std::array::from_fn(|band| {
        let bins = &power[EDGES[band] - EDGES[0]..EDGES[band + 1] - EDGES[0]];
        i32::from(half_ln(bins.iter().sum::<f32>() / bins.len() as f32 + FLOOR))
    })
}

/// Spectra on one side of a moment.
#[derive(Default)]
struct Side {
    sums: Spectrum,
    squares: Spectrum,
}

impl Side {
    fn of(spectra: &[Spectrum]) -> Self {
        let mut side = Self::default();
        spectra.iter().for_each(|s| side.add(s, 1));
        side
    }

    /// Adds a spectrum, or takes it away when `sign` is −1.
    fn add(&mut self, spectrum: &Spectrum, sign: i32) {
        for ((sum, square), x) in self.sums.iter_mut().zip(&mut self.squares).zip(spectrum) {
            *sum += sign * x;
            *square += sign * x * x;
        }
    }

    /// Mean and variance of a band of `n` spectra.
    fn band(&self, band: usize, n: usize) -> (f32, f32) {
        let (sum, square) = (i64::from(self.sums[band]), i64::from(self.squares[band]));
        // In whole numbers, as both terms are large and their difference is small.
        let spread = n as i64 * square - sum * sum;
        (sum as f32 / n as f32, spread as f32 / (n * n) as f32)
    }
}

/// How much the bands rise and fall at each moment.
struct Changes {
    rises: Vec<f32>,
    falls: Vec<f32>,
}

impl Changes {
    /// At so many moments, from `n` spectra before each to `n` behind it, where there are as many: sums over the bands of squares
    /// of standard deviations.
    fn of(spectra: &[Spectrum], n: usize, moments: usize) -> Self {
        let mut out = Self { rises: vec![0.0; moments], falls: vec![0.0; moments] };
        // The last spectrum that ends at moment i is i − 2, the first that begins there is i.
        let end = (spectra.len() + 1).saturating_sub(n).min(moments);
        if end <= n + 1 {
            return out;
        }
        let (mut before, mut behind) = (Side::of(&spectra[..n]), Side::of(&spectra[n + 1..2 * n + 1]));
        for moment in n + 1..end {
            for band in 0..BANDS {
                let ((a, u), (b, v)) = (before.band(band, n), behind.band(band, n));
                let rise = (b - a) / (0.5 * (u + v) + LEAST * LEAST).sqrt();
                let side = if rise > 0.0 { &mut out.rises } else { &mut out.falls };
                side[moment] += rise * rise;
            }
            if moment + 1 < end {
                before.add(&spectra[moment - 1], 1);
                before.add(&spectra[moment - 1 - n], -1);
                behind.add(&spectra[moment + n], 1);
                behind.add(&spectra[moment], -1);
            }
        }
        out
    }
}

/// −ln of the share of all values that are as great.
fn rarity(values: &[f32]) -> Vec<f32> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let all = values.len() as f32;
    values.iter().map(|v| (all / (sorted.len() - sorted.partition_point(|s| s < v)) as f32).ln()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Xorshift;

    /// Six tones drawn at random, each of which swells and fades once a second or so.
    fn tones(seed: u64, samples: usize) -> Vec<f64> {
        let mut rng = Xorshift::new(seed);
        let tones: [(f64, f64); 6] =
            std::array::from_fn(|_| (200.0 * (2.0 * rng.bipolar() + 2.0).exp2(), rng.bipolar() + 1.5));
        let at = |t: f64, (hz, swells): (f64, f64)| (TAU * hz * t).sin() * (1.0 + 0.8 * (TAU * swells * t).sin());
        (0..samples).map(|n| 1_000.0 * tones.iter().map(|&tone| at(n as f64 / 11_025.0, tone)).sum::<f64>()).collect()
    }

    #[test]
    fn what_is_cut_in_begins_and_ends_where_it_was_cut() {
        let (from, to) = (60_070, 120_010);
        for goes_on in [false, true] {
            let mut query = tones(1, 220_500);
            let guest = tones(2, to - from);
            query[from..to].iter_mut().zip(guest).for_each(|(x, y)| *x = y + if goes_on { *x } else { 0.0 });
            let samples: Vec<i16> = query.iter().map(|&x| x as i16).collect();
            let cuts = Cuts::of(&samples, samples.len() / STEP);
            let near = |cuts: &[f32], sample: usize| {
                let moment = sample / STEP;
                cuts[moment - 2..=moment + 2].iter().fold(0.0f32, |a, &b| a.max(b))
            };
            // Of the 1 722 moments at most eleven are as rare.
            assert!(near(&cuts.begin, from) > 5.0, "{goes_on} {}", near(&cuts.begin, from));
            assert!(near(&cuts.end, to) > 5.0, "{goes_on} {}", near(&cuts.end, to));
        }
    }

    #[test]
    fn without_samples_all_moments_are_alike() {
        for samples in [&[][..], &[0; 100], &[0; 20_000]] {
            let cuts = Cuts::of(samples, 40);
            assert!(cuts.begin.iter().chain(&cuts.end).all(|&c| c == 0.0), "{}", samples.len());
            assert_eq!((cuts.begin.len(), cuts.end.len()), (40, 40));
        }
    }
}
