//! Sample-rate conversion by a rational ratio.
//!
//! Source: the method is overlap-add in the frequency domain (J. O. Smith, "Digital Audio Resampling", and Crochiere and
//! Rabiner, "Multirate Digital Signal Processing", 1983, ch. 2): a block of `N_in` frames is transformed, low-passed by a sinc
//! under a squared Blackman–Harris window, its spectrum cut or extended to `N_out` bins and transformed back, with
//! `N_in / N_out` exactly the ratio of the rates. The crate rubato does this; only this file knows it.

use audioadapter_buffers::direct::SequentialSliceOfVecs;
use rubato::{Fft, FixedSync, Indexing, Resampler as _, WindowFunction};

use crate::audio::{AudioBuffer, Block, check_format};
use crate::error::{Error, Result};
use crate::progress::{Progress, Step, check};

/// Length of the filter, and of a block, in frames of the lower of the two rates, or a little more. The transition band is
/// then some 3 % of the Nyquist frequency wide.
const FILTER: usize = 1_024;

/// Converts a stream from one sample rate to another, block by block.
///
/// The delay of the filter is taken off, and the output has exactly `round(frames · to / from)` frames: frame `n` of the output
/// is the sound at the time `n / to`, and nothing is lost at either end. How the input is cut into blocks makes no difference.
pub struct Resampler {
    from: u32,
    to: u32,
    /// Nothing when the rates are equal.
    fft: Option<Fft<f64>>,
    /// One block of input and of output per channel.
    input: Vec<Vec<f64>>,
    output: Vec<Vec<f64>>,
    /// Frames in `input`.
    waiting: usize,
    /// Frames of the filter's delay still to be thrown away.
    delay: usize,
    /// Frames taken in and given out so far.
    taken: u64,
    given: u64,
}

impl std::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resampler").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

impl Resampler {
    /// A converter between two rates in Hz (8–384 kHz) for 1 to 8 channels.
    pub fn new(from: u32, to: u32, channels: usize) -> Result<Self> {
        check_format(from, channels)?;
        check_format(to, channels)?;
        let mut resampler = Self {
            from,
            to,
            fft: None,
            input: Vec::new(),
            output: Vec::new(),
            waiting: 0,
            delay: 0,
            taken: 0,
            given: 0,
        };
        if from != to {
            let divisor = gcd(from, to);
            let (a, b) = ((from / divisor) as usize, (to / divisor) as usize);
            // An even number of the smallest blocks that hold whole frames on both sides: the filter's centre is then a frame
            // of the input and of the output.
            let blocks = FILTER.div_ceil(a.min(b)).next_multiple_of(2);
            let fft = Fft::new_custom(
                from as usize,
                to as usize,
                a * blocks,
                1,
                channels,
                WindowFunction::BlackmanHarris2,
                FixedSync::Both,
            )
            .map_err(|e| Error::Internal(format!("rubato refuses {from} to {to} Hz: {e}")))?;
            resampler.input = vec![vec![0.0; fft.input_frames_next()]; channels];
            resampler.output = vec![vec![0.0; fft.output_frames_max()]; channels];
            resampler.delay = fft.output_delay();
            resampler.fft = Some(fft);
        } else {
            resampler.input = vec![Vec::new(); channels];
        }
        Ok(resampler)
    }

    /// How many frames come out of `frames` frames.
    pub fn output_frames(&self, frames: u64) -> u64 {
        let (from, to) = (u128::from(self.from), u128::from(self.to));
        ((u128::from(frames) * to + from / 2) / from) as u64
    }

    /// Takes a block in and appends what is ready to `output`, one vector per channel.
    ///
    /// # Panics
    /// When the block or `output` has another number of channels than the converter.
    pub fn push(&mut self, block: &Block<'_>, output: &mut [Vec<f32>]) -> Result<()> {
        let channels = self.input.len();
        assert_eq!((block.channels(), output.len()), (channels, channels), "channels of the block and of the output");
        self.taken += block.frames() as u64;
        if self.fft.is_none() {
            output.iter_mut().enumerate().for_each(|(c, y)| y.extend_from_slice(block.channel(c)));
            return Ok(());
        }
        let mut start = 0;
        while start < block.frames() {
            let n = (self.input[0].len() - self.waiting).min(block.frames() - start);
            for (c, input) in self.input.iter_mut().enumerate() {
                let x = &block.channel(c)[start..start + n];
                input[self.waiting..self.waiting + n].iter_mut().zip(x).for_each(|(y, &x)| *y = f64::from(x));
            }
            start += n;
            self.waiting += n;
            if self.waiting == self.input[0].len() {
                self.convert(output, u64::MAX)?;
            }
        }
        Ok(())
    }

    /// Appends the rest of the sound. Afterwards the converter is as new.
    pub fn finish(&mut self, output: &mut [Vec<f32>]) -> Result<()> {
        if self.fft.is_some() {
            let end = self.output_frames(self.taken);
            while self.given < end {
                self.convert(output, end)?;
            }
        }
        self.reset();
        Ok(())
    }

    /// Forgets all that was taken in.
    pub fn reset(&mut self) {
        if let Some(fft) = &mut self.fft {
            fft.reset();
            self.delay = fft.output_delay();
        }
        (self.waiting, self.taken, self.given) = (0, 0, 0);
    }

    /// Converts one block (silence where the input is short) and appends it, up to the frame `end` of the output.
    fn convert(&mut self, output: &mut [Vec<f32>], end: u64) -> Result<()> {
        let Some(fft) = &mut self.fft else { return Ok(()) };
        let channels = self.input.len();
        let failed = |e: &dyn std::fmt::Display| Error::Internal(format!("rubato fails: {e}"));
        let (frames_in, frames_out) = (self.input[0].len(), self.output[0].len());
        let made = {
            let input = SequentialSliceOfVecs::new(&self.input, channels, frames_in).map_err(|e| failed(&e))?;
            let mut out =
                SequentialSliceOfVecs::new_mut(&mut self.output, channels, frames_out).map_err(|e| failed(&e))?;
            let indexing = Indexing::new().partial_len(self.waiting);
            fft.process_into_buffer(&input, &mut out, Some(&indexing)).map_err(|e| failed(&e))?.1
        };
        self.waiting = 0;
        let skipped = self.delay.min(made);
        self.delay -= skipped;
        let wanted = usize::try_from(end - self.given).unwrap_or(usize::MAX).min(made - skipped);
        for (y, x) in output.iter_mut().zip(&self.output) {
            y.extend(x[skipped..skipped + wanted].iter().map(|&x| x as f32));
        }
        self.given += wanted as u64;
        Ok(())
    }
}

/// Frames that [`resample`] converts at a time.
const CHUNK: usize = 16_384;

/// A whole buffer at another sample rate; see [`Resampler`].
pub(crate) fn resample(buffer: &AudioBuffer, to: u32, progress: &mut dyn Progress) -> Result<AudioBuffer> {
    let mut resampler = Resampler::new(buffer.sample_rate(), to, buffer.channels())?;
    if to == buffer.sample_rate() {
        return Ok(buffer.clone());
    }
    let frames = resampler.output_frames(buffer.frames() as u64) as usize;
    let mut output = vec![Vec::with_capacity(frames); buffer.channels()];
    let mut scratch = AudioBuffer::new(buffer.sample_rate(), buffer.channels(), CHUNK.min(buffer.frames()))?;
    let mut start = 0;
    while start < buffer.frames() {
        let n = CHUNK.min(buffer.frames() - start);
        for c in 0..buffer.channels() {
            scratch.channel_mut(c)[..n].copy_from_slice(&buffer.channel(c)[start..start + n]);
        }
        resampler.push(&scratch.block_range(0, n), &mut output)?;
        start += n;
        check(progress, "resampling", Step::new("resample", start as f64 / buffer.frames() as f64))?;
    }
    resampler.finish(&mut output)?;
    AudioBuffer::from_channels(to, &output)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::NoProgress;
    use crate::testing::Signal;
    use crate::units::gain_to_db;

    fn sine(rate: u32, frequency_hz: f64, seconds: f64) -> AudioBuffer {
        Signal::Sine { frequency_hz, level_dbfs: 0.0, phase_deg: 0.0 }.render(rate, 1, seconds).unwrap()
    }

    /// The largest deviation from the sine of the same phase, and the largest sample, away from the ends.
    fn deviation(rate: u32, to: u32, frequency_hz: f64) -> (f64, f64) {
        let y = resample(&sine(rate, frequency_hz, 0.5), to, &mut NoProgress).unwrap();
        let n = y.frames();
        let middle = n / 5..n - n / 5;
        let w = std::f64::consts::TAU * frequency_hz / f64::from(to);
        let deviation =
            middle.clone().map(|i| (f64::from(y.channel(0)[i]) - (w * i as f64).sin()).abs()).fold(0.0, f64::max);
        (deviation, middle.map(|i| f64::from(y.channel(0)[i]).abs()).fold(0.0, f64::max))
    }

    const PAIRS: [(u32, u32); 10] = [
        (44_100, 48_000),
        (48_000, 44_100),
        (32_000, 44_100),
        (44_100, 96_000),
        (96_000, 44_100),
        (192_000, 48_000),
        (48_000, 192_000),
        (44_100, 8_000),
        (8_000, 384_000),
        (44_100, 47_999),
    ];

    #[test]
    fn the_passband_is_flat_and_in_time() {
        for (from, to) in PAIRS {
            let nyquist = f64::from(from.min(to)) / 2.0;
            for share in [0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95] {
                let (deviation, _) = deviation(from, to, share * nyquist);
                let db = gain_to_db(deviation);
                println!("{from} to {to} Hz, {share} of Nyquist: {db:.1} dB from the sine");
                assert!(db < -100.0, "{from} to {to} Hz, {share} of Nyquist: {db:.1} dB from the sine");
            }
        }
    }

    #[test]
    fn what_lies_above_the_new_nyquist_is_gone() {
        for (from, to) in PAIRS.into_iter().filter(|(from, to)| from > to) {
            let (low, high) = (f64::from(to) / 2.0, f64::from(from) / 2.0);
            for share in [0.0, 0.1, 0.3, 0.6, 0.9] {
                let (_, peak) = deviation(from, to, low + share * (high - low));
                let db = gain_to_db(peak);
                println!("{from} to {to} Hz, {share} above Nyquist: alias of {db:.1} dB");
                assert!(db < -100.0, "{from} to {to} Hz, {share} above Nyquist: alias of {db:.1} dB");
            }
        }
    }

    #[test]
    fn the_length_is_exact() {
        for (from, to) in PAIRS {
            for frames in [0usize, 1, 2, 3, 1_000, 4_097] {
                let buffer = AudioBuffer::new(from, 2, frames).unwrap();
                let expected = (frames as f64 * f64::from(to) / f64::from(from)).round() as usize;
                assert_eq!(
                    resample(&buffer, to, &mut NoProgress).unwrap().frames(),
                    expected,
                    "{frames} frames, {from} to {to} Hz"
                );
            }
        }
    }

    #[test]
    fn blocks_make_no_difference() {
        let mut sound = Signal::Music { seed: 4 }.render(44_100, 2, 0.3).unwrap();
        let whole = resample(&sound, 48_000, &mut NoProgress).unwrap();
        for size in [1, 64, 65, 8_192] {
            let mut resampler = Resampler::new(44_100, 48_000, 2).unwrap();
            // Twice: the second time after finish.
            for _ in 0..2 {
                let mut out = vec![Vec::new(); 2];
                for start in (0..sound.frames()).step_by(size) {
                    let end = (start + size).min(sound.frames());
                    resampler.push(&sound.block_range(start, end), &mut out).unwrap();
                }
                resampler.finish(&mut out).unwrap();
                assert_eq!(out[0], whole.channel(0));
                assert_eq!(out[1], whole.channel(1));
            }
        }
    }

    #[test]
    fn the_ends_survive() {
        // An impulse on the first and on the last frame.
        for at in [0, 4_409] {
            let x = Signal::Impulse { at }.render(44_100, 1, 0.1).unwrap();
            let y = resample(&x, 88_200, &mut NoProgress).unwrap();
            let peak =
                (0..y.frames()).max_by(|&a, &b| y.channel(0)[a].abs().total_cmp(&y.channel(0)[b].abs())).unwrap();
            assert_eq!(peak, 2 * at);
            assert!((y.channel(0)[peak] - 1.0).abs() < 0.03);
        }
    }
}
