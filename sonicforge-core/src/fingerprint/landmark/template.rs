//! A last, closer look at the few best places: all that surrounds each peak of the track, in time and in frequency, as windows of
//! three lengths hear it.
//!
//! A peak that the track has is seen in the query not in one point: a short window tells when it begins, a long one how high it
//! is, and a room lets it ring. What is heard around all peaks is added up to one picture, of which a linear discriminant (R. A.
//! Fisher, "The Use of Multiple Measurements in Taxonomic Problems", Annals of Eugenics 1936) tells the pictures of tracks that
//! sound in the query from those of the best places of tracks that do not.

use super::constellation::Star;
use super::spectrogram::{Levels, Spectrogram, WINDOW};
use super::verify::{Hypothesis, MIN_STARS, WEIGHTS, gains, surprise};
use super::whitening::Whitening;
use super::{BANDS, HOP};

/// Lengths of the windows, in samples at 11 025 Hz.
const WINDOWS: [usize; 3] = [WINDOW / 2, WINDOW, 2 * WINDOW];
/// Frames before a peak that are looked at, and behind it.
const BEFORE: usize = 12;
const BEHIND: usize = 16;
/// Bands on either side.
const BESIDE: usize = 1;
/// Numbers of one frame of the table.
const WIDTH: usize = (BANDS + 2 * BESIDE) * WINDOWS.len();
/// Numbers of one frame of a picture: bands × windows.
const ROW: usize = (2 * BESIDE + 1) * WINDOWS.len();
/// Numbers of a picture: frames × bands × windows.
const PICTURE: usize = (BEFORE + 1 + BEHIND) * ROW;
/// A band that varies less, in square nepers, says nothing.
const SILENT: f32 = 2e-3;
/// The discriminant is kept in steps of this part.
const STEPS: f32 = 256.0;
/// What each number of a picture says for the track: per frame, of the band of the peaks and of the mean of those beside it, through each
/// window. Trained on 6 465 excerpts of known tracks and 7 595 of unknown ones (docs/measurements.md).
const DISCRIMINANT: [[[i8; WINDOWS.len()]; 2]; BEFORE + 1 + BEHIND] = [
    [[-8, -11, -6], [1, 6, 11]],
    [[-9, 2, 11], [3, 5, 16]],
    [[-10, -9, 10], [3, -7, 6]],
    [[-9, 2, 3], [-2, 1, -1]],
    [[-10, 0, -16], [2, 4, -1]],
    [[-10, -3, -21], [0, 9, 15]],
    [[-9, -4, 6], [1, 3, 25]],
    [[-13, -14, 17], [0, 13, -1]],
    [[-13, -21, 13], [-3, 46, -36]],
    [[-29, -5, 17], [22, 15, -31]],
    [[-32, 16, 15], [34, -69, -2]],
    [[30, 75, -1], [-12, -33, 13]],
    [[40, 117, 5], [-38, 6, 25]],
    [[18, 76, 1], [-18, -29, 9]],
    [[-30, 20, 13], [33, -27, -13]],
    [[-17, -16, 16], [0, 29, -34]],
    [[-5, -3, 4], [-9, 29, -38]],
    [[-4, -6, -2], [-2, 7, -9]],
    [[-5, -5, 7], [2, 9, 20]],
    [[-10, -1, 5], [9, 4, 17]],
    [[-5, -2, 0], [6, -3, 7]],
    [[-1, -7, 1], [2, -5, 9]],
    [[-3, -4, 2], [-8, -8, 7]],
    [[-2, -2, 4], [-5, -3, 7]],
    [[-3, -5, 8], [1, 3, 13]],
    [[-2, -11, 9], [1, 0, 15]],
    [[-7, -9, 8], [-3, 2, 8]],
    [[-9, 24, 2], [0, 28, -5]],
    [[2, -25, -3], [14, -26, -23]],
];

/// What is heard in a stretch of a query.
pub(super) struct Closer {
    /// Frames × bands × windows, with nothing at the edges.
    table: Vec<f32>,
    frames: usize,
    /// Variance of each band in the middle window.
    spread: [f32; BANDS],
}

impl Closer {
    /// Of these samples, in which windows of the middle length have `frames` frames.
    pub fn new(samples: &[i16], frames: usize) -> Self {
        let mut table = vec![0.0; (BEFORE + frames + BEHIND) * WIDTH];
        let mut spread = [1.0; BANDS];
        for (w, len) in WINDOWS.into_iter().enumerate() {
            let white = whitened(samples, frames, len);
            let means: Vec<i16> =
                white.iter().map(|f| (f.iter().map(|&x| i32::from(x)).sum::<i32>() / BANDS as i32) as i16).collect();
            let (values, variances) = surprise(frames, |t, b| white[t][b].saturating_sub(means[t]));
            let (wide, gain, most) = gains(&variances);
            for (t, row) in values.chunks_exact(BANDS).enumerate() {
                for (b, (x, g)) in row.iter().zip(&gain).enumerate() {
                    table[(BEFORE + t) * WIDTH + (BESIDE + b) * WINDOWS.len() + w] = x * g / most;
                }
            }
            if len == WINDOW {
                spread = std::array::from_fn(|b| (wide[b] * (gain[b] / most).powi(2)).max(SILENT));
            }
        }
        Self { table, frames, spread }
    }

    /// How far the picture around all peaks of the track is that of a track that is heard; of the best places of tracks that are
    /// not, it is 1 in standard deviation. 0 when there are too few peaks.
    pub fn score(&self, stars: &[Star], h: &Hypothesis) -> f32 {
        let (picture, squares, count) = self.picture(stars, h);
        if count < MIN_STARS {
            return 0.0;
        }
        let sum: f32 = picture
            .chunks_exact(ROW)
            .zip(&DISCRIMINANT)
            .map(|(row, [center, side])| {
                let (below, rest) = row.split_at(WINDOWS.len());
                let (at, above) = rest.split_at(WINDOWS.len());
                let sides = side.iter().zip(below).zip(above).map(|((w, a), b)| 0.5 * f32::from(*w) * (a + b));
                center.iter().zip(at).map(|(w, x)| f32::from(*w) * x).sum::<f32>() + sides.sum::<f32>()
            })
            .sum();
        sum / (squares.sqrt() * STEPS)
    }

    /// What is heard around all peaks of the track, the sum of the squares of their weights times the variances of their bands,
    /// and how many they are.
    fn picture(&self, stars: &[Star], h: &Hypothesis) -> ([f32; PICTURE], f32, usize) {
        let mut picture = [0.0; PICTURE];
        let (mut squares, mut count) = (0.0, 0);
        for s in stars {
            let Some((t, band)) = h.place(s, self.frames) else { continue };
            let t = (t + 0.5) as usize;
            let weight = WEIGHTS[usize::from(s.rank)];
            for (row, sums) in picture.chunks_exact_mut(ROW).enumerate() {
                let from = (t + row) * WIDTH + band * WINDOWS.len();
                sums.iter_mut().zip(&self.table[from..from + ROW]).for_each(|(sum, x)| *sum += weight * x);
            }
            squares += weight * weight * self.spread[band];
            count += 1;
        }
        (picture, squares, count)
    }
}

/// The whitened spectrogram through windows of this length, whose middles are those of the `frames` windows of the middle length.
fn whitened(samples: &[i16], frames: usize, len: usize) -> Vec<Levels> {
    let heard = (frames - 1) * HOP + len;
    let mut around = vec![0; len.saturating_sub(WINDOW) / 2];
    around.extend_from_slice(&samples[WINDOW.saturating_sub(len) / 2..]);
    around.resize(heard, 0);
    let (mut spectrogram, mut whitening, mut out) = (Spectrogram::with_window(len), Whitening::default(), Vec::new());
    let mut hear = |levels: &Levels| whitening.push(levels, |white| out.push(*white));
    spectrogram.push(&around, &mut hear);
    spectrogram.finish(&mut hear);
    whitening.finish(|white| out.push(*white));
    out
}

#[cfg(test)]
mod tests {
    use super::super::sketch::Sketch;
    use super::*;
    use crate::audio::AudioBuffer;
    use crate::fingerprint::Fingerprint;
    use crate::testing::Xorshift;

    const RATE: u32 = 11_025;

    /// Ten seconds of notes drawn at random, each of 0.15 s.
    fn notes(rng: &mut Xorshift) -> Vec<f32> {
        let note = |_| {
            let step = std::f64::consts::TAU * 200.0 * (2.0 * (rng.bipolar() + 1.0)).exp2() / f64::from(RATE);
            (0..1_654).map(move |n| (0.3 * (-0.001 * f64::from(n)).exp() * (step * f64::from(n)).sin()) as f32)
        };
        (0..67).flat_map(note).collect()
    }

    #[test]
    fn a_track_that_noise_drowns_is_told_from_the_same_elsewhere_and_from_silence() {
        let sound = |samples: Vec<f32>| AudioBuffer::from_planar(RATE, 1, samples).unwrap();
        let mut rng = Xorshift::new(7);
        let music = notes(&mut rng);
        let noisy = music.iter().map(|x| x + 0.2 * rng.bipolar() as f32).collect();
        let stars = Fingerprint::of(&sound(music)).unwrap().landmarks.stars().to_vec();
        let sketch = Sketch::of(&sound(noisy)).unwrap();
        let frames = sketch.frames.len();
        let closer = Closer::new(&sketch.samples, frames);
        let h = Hypothesis { center: frames as f32 / 2.0, pitch: 0.0, rate: 1.0 };
        let there = closer.score(&stars, &h);
        for wrong in [
            Hypothesis { center: h.center + 37.0, ..h },
            Hypothesis { pitch: 5.0, ..h },
            Hypothesis { rate: 1.07, ..h },
        ] {
            let other = closer.score(&stars, &wrong);
            assert!(there > 12.0 && other < 0.3 * there, "{there} there, {other} at {wrong:?}");
        }
        assert_eq!(closer.score(&stars[..MIN_STARS - 1], &h), 0.0);
        let silence = Closer::new(&vec![0; sketch.samples.len()], frames);
        assert!(silence.score(&stars, &h).abs() < 1e-3);
    }
}
