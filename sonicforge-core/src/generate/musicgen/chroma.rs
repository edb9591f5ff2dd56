//! Which of the twelve pitch classes sounds strongest, frame by frame: what a melody model listens to.
//!
//! Source: transformers' `MusicgenMelodyFeatureExtractor`, after librosa's chroma filter bank (Ellis, "Chroma feature
//! analysis and synthesis", 2007): a power spectrogram of 16384 points every 4096, folded onto the pitch classes by
//! Gaussian windows one semitone wide on the log-frequency axis, weighted around 5 octaves above 27.5 Hz.

use realfft::RealFftPlanner;

use crate::audio::AudioBuffer;
use crate::error::{Error, Result};

/// Points of the transform.
const N_FFT: usize = 16_384;
/// Samples from frame to frame.
const HOP: usize = 4096;

/// The strongest class of each frame; `audio` at the model's rate, its channels are averaged.
pub(crate) fn strongest(audio: &AudioBuffer, classes: usize) -> Result<Vec<usize>> {
    if audio.frames() == 0 {
        return Err(Error::invalid("the melody has no frames; expected at least one"));
    }
    let mono = audio.to_mono();
    let mut wave = mono.channel(0).to_vec();
    if wave.len() < N_FFT {
        // Short ones are centred in silence.
        let pad = N_FFT - wave.len();
        let mut longer = vec![0.0; pad / 2];
        longer.append(&mut wave);
        longer.resize(N_FFT, 0.0);
        wave = longer;
    }
    let bank = filter_bank(audio.sample_rate(), classes);
    let window: Vec<f32> =
        (0..N_FFT).map(|n| (0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / N_FFT as f64).cos()) as f32).collect();
    let fft = RealFftPlanner::<f32>::new().plan_fft_forward(N_FFT);
    let (mut input, mut output) = (fft.make_input_vec(), fft.make_output_vec());
    let half = N_FFT as isize / 2;
    let mut strongest = Vec::with_capacity(wave.len() / HOP + 1);
    for frame in 0..=wave.len() / HOP {
        for (i, slot) in input.iter_mut().enumerate() {
            let at = (frame * HOP + i) as isize - half;
            *slot = reflected(&wave, at) * window[i];
        }
        fft.process(&mut input, &mut output)
            .map_err(|e| Error::Internal(format!("the chroma transform failed: {e}")))?;
        let mut sums = vec![0.0f64; classes];
        for (class, sum) in sums.iter_mut().enumerate() {
            *sum = output.iter().zip(&bank[class]).map(|(bin, w)| f64::from(bin.norm_sqr()) * w).sum();
        }
        let mut best = 0;
        for (class, sum) in sums.iter().enumerate() {
            if *sum > sums[best] {
                best = class;
            }
        }
        strongest.push(best);
    }
    Ok(strongest)
}

/// The wave mirrored at its ends, without repeating the end sample.
fn reflected(wave: &[f32], at: isize) -> f32 {
    let last = wave.len() as isize - 1;
    let at = if at < 0 { -at } else { at };
    let at = if at > last { 2 * last - at } else { at };
    wave.get(at as usize).copied().unwrap_or(0.0)
}

/// `[class][bin]` weights of the bins 0 to N/2.
///
/// Every bin has a place on a circle of `classes` semitones, class 0 being C; its weight falls with the distance to a class
/// as a Gaussian whose width is the spacing of the bins there, at least one class. The weights of a bin have length 1, and
/// octaves far from the fifth count less.
fn filter_bank(sample_rate: u32, classes: usize) -> Vec<Vec<f64>> {
    let (n, rate) = (classes as f64, f64::from(sample_rate));
    // Bin 0 is taken one and a half octaves below bin 1.
    let mut places: Vec<f64> =
        (1..N_FFT).map(|bin| n * (bin as f64 * rate / N_FFT as f64 / (440.0 / 16.0)).log2()).collect();
    places.insert(0, places[0] - 1.5 * n);
    let width = |bin: usize| if bin + 1 < N_FFT { (places[bin + 1] - places[bin]).max(1.0) } else { 1.0 };
    let half = (n / 2.0).round_ties_even();
    let mut bank = vec![vec![0.0; N_FFT / 2 + 1]; classes];
    for bin in 0..=N_FFT / 2 {
        let weights: Vec<f64> = (0..classes)
            .map(|class| {
                let distance = (places[bin] - class as f64 + half + 10.0 * n).rem_euclid(n) - half;
                (-0.5 * (2.0 * distance / width(bin)).powi(2)).exp()
            })
            .collect();
        let length = weights.iter().map(|w| w * w).sum::<f64>().sqrt();
        let octave = (-0.5 * ((places[bin] / n - 5.0) / 2.0).powi(2)).exp();
        for class in 0..classes {
            // The circle begins at A; class 0 is C, three semitones up.
            bank[(class + classes - 3 * (classes / 12)) % classes][bin] = weights[class] / length * octave;
        }
    }
    bank
}
