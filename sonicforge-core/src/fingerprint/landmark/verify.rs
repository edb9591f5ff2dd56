//! Does the track sound in the query, there, in that key and at that speed? A matched filter: the energy of the query's
//! spectrogram where the track has its peaks.
//!
//! Peaks that noise has hidden from a peak picker still lift the spectrogram a little; what counts is the sum. `evidence` is
//! −ln(1 − u), u being the share of the spectrogram that is weaker: exponential of mean 1 where there is nothing but chance.
//! Its means over each frame and each band are taken away, so that a shared beat or a shared chord proves nothing. Bands that
//! vary no more than noise does count less, and so do weaker peaks: by the mean evidence that peaks of each rank had in noise
//! of 0 and −5 dB. The log-likelihood ratio of this evidence, measured there, is nearly a straight line, so a weighted sum is
//! close to the best test. It is `z` standard deviations off.

use super::BANDS;
use super::constellation::{KEEP, Star};
use super::spectrogram::Levels;

/// Evidence is kept in steps of this part.
const STEPS: f32 = 24.0;
/// Evidence above this is no better.
const MOST: f32 = 4.6;
/// What is sharpened stands out from this many bands on either side.
const NEAR: usize = 12;
/// Bands below this are left aside there: each hears but a few bins, so that noise varies more in them.
const BASS: usize = 36;
/// Variance of a middling band, in square nepers, of noise (which has .085), and of what is not mainly noise.
const NOISE: (f32, f32) = (0.1, 0.15);
/// What varies less is silence or a held tone, not noise.
const STILL: f32 = 0.06;
/// Frames on either side that a first look does not tell apart.
const COARSE: usize = 3;
/// Fewer peaks prove nothing.
pub(super) const MIN_STARS: usize = 24;

/// The strongest peaks are the last to drown: the mean evidence of each rank.
pub(super) const WEIGHTS: [f32; KEEP as usize] =
    [2.30, 2.08, 1.84, 1.69, 1.62, 1.49, 1.43, 1.34, 1.21, 1.20, 1.15, 1.10, 1.00, 0.95, 0.94, 0.87];

/// The same in whole numbers.
const COARSE_WEIGHTS: [i32; KEEP as usize] = [16, 15, 14, 13, 12, 12, 11, 11, 10, 9, 9, 8, 8, 7, 7, 6];

/// Where a track might be in the query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hypothesis {
    /// Frame of the track at the middle of the evidence.
    pub center: f32,
    /// Bands that the query is higher than the track.
    pub pitch: f32,
    /// Frames of the track per frame of the query.
    pub rate: f32,
}

impl Hypothesis {
    /// Whether another one is the same within half a window, a quarter of a semitone and 2 ‰ of speed.
    pub fn is_near(&self, other: &Self) -> bool {
        let (time, pitch) = ((self.center - other.center).abs(), (self.pitch - other.pitch).abs());
        time < 4.0 && pitch < 0.75 && (self.rate - other.rate).abs() < 0.002
    }
}

impl Hypothesis {
    /// Where in `frames` frames of the query a peak of the track must be, and in which band; if it is there at all.
    pub fn place(&self, star: &Star, frames: usize) -> Option<(f32, usize)> {
        let t = frames as f32 / 2.0 + (star.frame as f32 - self.center) / self.rate;
        let band = (f32::from(star.band) + self.pitch).round();
        let there = t >= 0.0 && t < frames as f32 - 0.5 && band >= 0.0 && band < BANDS as f32;
        there.then_some((t, band as usize))
    }
}

/// The evidence of a stretch of the query.
#[derive(Debug)]
pub(super) struct Evidence {
    /// Frames × bands.
    table: Vec<i8>,
    frames: usize,
    /// Standard deviation of the table.
    deviation: f32,
    /// Variance of each band.
    spread: Vec<f32>,
    /// From 0 to 1: how far it sounds like noise.
    noise: f32,
    /// The best within `COARSE` frames less the mean of that, and its standard deviation.
    coarse: Vec<i8>,
    coarse_deviation: f32,
}

impl Evidence {
    pub fn new(white: &[Levels]) -> Self {
        let frames = white.len();
        // The mean of three frames: less noise, and a peak may lie one frame off. Less the level of the frame, so that a beat,
        // and the edge of what was spliced in, which the whitening has blurred, do not matter.
        let means: Vec<i32> =
            white.iter().map(|f| f.iter().map(|&x| i32::from(x)).sum::<i32>() / BANDS as i32).collect();
        let wide = |t: usize, b: usize| {
            let at = |t: usize| i32::from(white[t][b]) - means[t];
            ((at(t.saturating_sub(1)) + 2 * at(t) + at((t + 1).min(frames - 1))) >> 2) as i16
        };
        let (values, variances) = surprise(frames, wide);
        let (wide, gain, most) = gains(&variances);
        let mut square = 0.0f64;
        let mut table = Vec::with_capacity(values.len());
        for row in values.chunks_exact(BANDS) {
            for (x, g) in row.iter().zip(&gain) {
                let y = x * g / most * STEPS;
                square += f64::from(y * y);
                table.push(y.round().clamp(-127.0, 127.0) as i8);
            }
        }
        let spread: Vec<f32> = (0..BANDS).map(|b| (wide[b] * (gain[b] / most * STEPS).powi(2)).max(1.0)).collect();
        let (coarse, coarse_deviation) = coarse(&table);
        let deviation = (square / (frames * BANDS).max(1) as f64).sqrt().max(1.0) as f32;
        Self { table, frames, deviation, spread, noise: noise(white), coarse, coarse_deviation }
    }

    /// The same less the mean of the bands nearby in the same frame. Drums that two recordings have in common lift many bands at
    /// once; a melody, few.
    pub fn sharpened(&self) -> Self {
        let mut table = Vec::with_capacity(self.table.len());
        let mut squares = [0u32; BANDS];
        for row in self.table.chunks_exact(BANDS) {
            let mut sums = [0i32; BANDS + 1];
            for b in 0..BANDS {
                sums[b + 1] = sums[b] + i32::from(row[b]);
            }
            for b in 0..BANDS {
                let (from, to) = (b.saturating_sub(NEAR), (b + NEAR + 1).min(BANDS));
                let y = i32::from(row[b]) - (sums[to] - sums[from]) / (to - from) as i32;
                squares[b] += (y * y) as u32;
                table.push(y.clamp(-127, 127) as i8);
            }
        }
        let frames = self.frames.max(1) as f32;
        let spread: Vec<f32> = near(&squares.map(|x| x as f32 / frames)).iter().map(|v| v.max(1.0)).collect();
        let deviation = (squares.iter().map(|&x| x as f32).sum::<f32>() / (frames * BANDS as f32)).sqrt().max(1.0);
        Self { table, deviation, spread, coarse: Vec::new(), coarse_deviation: 1.0, ..*self }
    }

    /// From 0 to 1: how far the query sounds like noise and nothing else. Then nothing in it agrees with other music but by chance.
    pub fn noise(&self) -> f32 {
        self.noise
    }

    /// About what [`Evidence::score`] would say somewhere near, for a whole number of bands.
    pub fn coarse(&self, stars: &[Star], center: f32, pitch: i32, rate: f32) -> f32 {
        let (mut sum, mut squares, mut count) = (0i32, 0i32, 0);
        // In 1/65536 frames.
        let inverse = (65_536.0 / rate) as i64;
        let origin = ((self.frames as f32 / 2.0 + 0.5) * 65_536.0) as i64 - (center * (65_536.0 / rate)) as i64;
        for s in stars {
            let t = (origin + i64::from(s.frame) * inverse) >> 16;
            let band = i32::from(s.band) + pitch;
            if t < 0 || t >= self.frames as i64 || band < 0 || band >= BANDS as i32 {
                continue;
            }
            let weight = COARSE_WEIGHTS[usize::from(s.rank)];
            sum += weight * i32::from(self.coarse[t as usize * BANDS + band as usize]);
            squares += weight * weight;
            count += 1;
        }
        if count < MIN_STARS { 0.0 } else { sum as f32 / (self.coarse_deviation * (squares as f32).sqrt()) }
    }

    /// Frames of the query.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// First and last frame of the track that the query covers.
    pub fn span(&self, h: &Hypothesis) -> (f32, f32) {
        let half = self.frames as f32 / 2.0 * h.rate;
        (h.center - half, h.center + half)
    }

    /// Standard deviations above chance, and from how many peaks. `stars` are those within [`Evidence::span`], more do no harm.
    pub fn score(&self, stars: &[Star], h: &Hypothesis) -> (f32, usize) {
        let (mut sum, mut squares, mut count) = (0.0f32, 0.0f32, 0);
        let inverse = 1.0 / h.rate;
        let middle = self.frames as f32 / 2.0;
        let low = h.pitch.floor();
        let part = h.pitch - low;
        let low = low as i32;
        for s in stars {
            let t = middle + (s.frame as f32 - h.center) * inverse;
            if t < 0.0 || t >= self.frames as f32 - 0.5 {
                continue;
            }
            let band = i32::from(s.band) + low;
            if band < 0 || band + 1 >= BANDS as i32 {
                continue;
            }
            let at = (t + 0.5) as usize * BANDS + band as usize;
            let (a, b) = (f32::from(self.table[at]), f32::from(self.table[at + 1]));
            let weight = WEIGHTS[usize::from(s.rank)];
            sum += weight * (a + (b - a) * part);
            squares += weight * weight * self.spread[band as usize];
            count += 1;
        }
        if count < MIN_STARS { (0.0, count) } else { (sum / squares.sqrt(), count) }
    }

    /// What each peak says: frame of the query, and evidence in standard deviations.
    pub fn each<'a>(&'a self, stars: &'a [Star], h: &'a Hypothesis) -> impl Iterator<Item = (f32, f32)> + 'a {
        stars.iter().filter_map(move |s| {
            let (t, band) = h.place(s, self.frames)?;
            let at = (t + 0.5) as usize * BANDS + band;
            Some((t, f32::from(self.table[at]) / self.deviation))
        })
    }
}

/// −ln(1 − u) of the level of each band of each frame, u being the share of all levels that are lower, less the means of its frame
/// and of its band; and the variance of each band.
pub(super) fn surprise(frames: usize, level: impl Fn(usize, usize) -> i16) -> (Vec<f32>, [f32; BANDS]) {
    // How much of it is weaker, by counting.
    let mut counts = vec![0u32; 1 << 12];
    let class = |x: i16| ((i32::from(x) + (1 << 13)) >> 2).clamp(0, (1 << 12) - 1) as usize;
    let mut levels = vec![0u16; frames * BANDS];
    for t in 0..frames {
        for b in 0..BANDS {
            let c = class(level(t, b));
            levels[t * BANDS + b] = c as u16;
            counts[c] += 1;
        }
    }
    let total = (frames * BANDS).max(1) as f32;
    let mut below = 0u32;
    let evidence: Vec<f32> = counts
        .iter()
        .map(|&n| {
            let u = (below as f32 + 0.5 * n as f32) / total;
            below += n;
            (-(1.0 - u).max(1e-6).ln()).min(MOST)
        })
        .collect();
    let mut values: Vec<f32> = levels.iter().map(|&c| evidence[usize::from(c)]).collect();
    let mut of_band = [0.0f32; BANDS];
    for row in values.chunks_exact_mut(BANDS) {
        let mean = row.iter().sum::<f32>() / BANDS as f32;
        row.iter_mut().for_each(|x| *x -= mean);
        of_band.iter_mut().zip(&*row).for_each(|(m, x)| *m += x / frames as f32);
    }
    let mut variances = [0.0f32; BANDS];
    for row in values.chunks_exact_mut(BANDS) {
        for ((x, mean), v) in row.iter_mut().zip(&of_band).zip(&mut variances) {
            *x -= mean;
            *v += *x * *x / frames as f32;
        }
    }
    (values, variances)
}

/// Variances around each band, what each band counts for, and the most that one does. Noise fluctuates everywhere alike; where
/// there is music too, bands vary more.
pub(super) fn gains(variances: &[f32; BANDS]) -> ([f32; BANDS], [f32; BANDS], f32) {
    let wide = near(variances);
    let mut sorted = wide;
    sorted.sort_unstable_by(f32::total_cmp);
    let least = sorted[BANDS / 10];
    let gain: [f32; BANDS] = std::array::from_fn(|b| (1.0 - 0.8 * least / wide[b].max(1e-6)).max(0.2));
    let most = gain.iter().fold(0.0f32, |a, &b| a.max(b));
    (wide, gain, most)
}

/// Means of each band and six on either side.
fn near(variances: &[f32; BANDS]) -> [f32; BANDS] {
    std::array::from_fn(|b| {
        let near = &variances[b.saturating_sub(6)..(b + 7).min(BANDS)];
        near.iter().sum::<f32>() / near.len() as f32
    })
}

/// How far the levels vary as those of noise do: by the middling band.
fn noise(white: &[Levels]) -> f32 {
    let (mut sums, mut squares) = ([0i64; BANDS], [0i64; BANDS]);
    for row in white {
        for ((sum, square), &x) in sums.iter_mut().zip(&mut squares).zip(row) {
            *sum += i64::from(x);
            *square += i64::from(x) * i64::from(x);
        }
    }
    let n = white.len().max(1) as i64;
    let mut variances: [f32; BANDS] =
        std::array::from_fn(|b| (squares[b] / n - (sums[b] / n).pow(2)) as f32 / (256.0 * 256.0));
    let variances = &mut variances[BASS..];
    variances.sort_unstable_by(f32::total_cmp);
    let (noise, music) = NOISE;
    let middling = variances[variances.len() / 2];
    if middling < STILL {
        return 0.0;
    }
    ((music / middling).ln() / (music / noise).ln()).clamp(0.0, 1.0)
}

/// The best within [`COARSE`] frames less the mean of that, and its standard deviation.
fn coarse(table: &[i8]) -> (Vec<i8>, f32) {
    let frames = table.len() / BANDS;
    let mut rows = vec![0i8; table.len()];
    for t in 0..frames {
        let row = &mut rows[t * BANDS..(t + 1) * BANDS];
        let (from, to) = (t.saturating_sub(COARSE), (t + COARSE).min(frames - 1));
        row.copy_from_slice(&table[from * BANDS..(from + 1) * BANDS]);
        for other in table[(from + 1) * BANDS..(to + 1) * BANDS].chunks_exact(BANDS) {
            row.iter_mut().zip(other).for_each(|(m, &x)| *m = (*m).max(x));
        }
    }
    let n = rows.len().max(1) as i64;
    let sum: i64 = rows.iter().map(|&x| i64::from(x)).sum();
    let squares: i64 = rows.iter().map(|&x| i64::from(x) * i64::from(x)).sum();
    let mean = sum / n;
    let deviation = ((squares / n - mean * mean).max(1) as f32).sqrt();
    rows.iter_mut().for_each(|x| *x = (i64::from(*x) - mean).clamp(-127, 127) as i8);
    (rows, deviation)
}

#[cfg(test)]
mod tests {
    use super::super::sketch::Sketch;
    use super::*;
    use crate::testing::Signal;

    #[test]
    fn noise_is_told_from_silence_and_from_music() {
        let of = |signal: Signal| noise(&Sketch::of(&signal.render(22_050, 1, 10.0).unwrap()).unwrap().frames);
        assert!(of(Signal::Noise { seed: 1, level_dbfs: -20.0 }) > 0.9);
        assert_eq!(of(Signal::Silence), 0.0);
        assert_eq!(of(Signal::Music { seed: 1 }), 0.0);
        assert_eq!(noise(&[]), 0.0);
    }
}
