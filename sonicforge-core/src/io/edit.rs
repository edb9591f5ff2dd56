//! What a user reaches for between reading and writing: cut, fade, mix, channels, level, rate.
//!
//! Source of the downmix: ITU-R BS.775-4, "Multichannel stereophonic sound system with and without accompanying picture",
//! annex 4, table 2: centre and surround at −3 dB, no low-frequency effects.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use crate::audio::AudioBuffer;
use crate::dsp::resample;
use crate::error::{Error, Result, in_range};
use crate::progress::{NoProgress, Progress};
use crate::units::db_to_gain;

/// The weight of every channel in the left and in the right of a stereo downmix, for the speakers that WAVE files of so many
/// channels usually have (3.0, quad, 5.0, 5.1, 6.1, 7.1).
fn downmix(channels: usize) -> &'static [(f64, f64)] {
    const L: (f64, f64) = (1.0, 0.0);
    const R: (f64, f64) = (0.0, 1.0);
    const C: (f64, f64) = (FRAC_1_SQRT_2, FRAC_1_SQRT_2);
    const LFE: (f64, f64) = (0.0, 0.0);
    const LS: (f64, f64) = (FRAC_1_SQRT_2, 0.0);
    const RS: (f64, f64) = (0.0, FRAC_1_SQRT_2);
    const CS: (f64, f64) = (0.5, 0.5);
    match channels {
        3 => &[L, R, C],
        4 => &[L, R, LS, RS],
        5 => &[L, R, C, LS, RS],
        6 => &[L, R, C, LFE, LS, RS],
        7 => &[L, R, C, LFE, CS, LS, RS],
        _ => &[L, R, C, LFE, LS, RS, LS, RS],
    }
}

impl AudioBuffer {
    /// The same sound at another sample rate (8–384 kHz), with `round(frames · to / from)` frames: aliases below −100 dB, flat
    /// to 0.95 of the lower Nyquist frequency, no delay.
    pub fn resample(&self, sample_rate: u32) -> Result<Self> {
        self.resample_with(sample_rate, &mut NoProgress)
    }

    /// As [`AudioBuffer::resample`], with news of the stage `"resample"`.
    pub fn resample_with(&self, sample_rate: u32, progress: &mut dyn Progress) -> Result<Self> {
        resample::resample(self, sample_rate, progress)
    }

    /// The part from `start_s` to `end_s`, in seconds. An end behind the end of the sound means the end of the sound.
    ///
    /// Errors when a time is negative or no number, and when the end lies before the start.
    pub fn trim(&self, start_s: f64, end_s: f64) -> Result<Self> {
        if !(start_s >= 0.0 && start_s.is_finite()) || end_s.is_nan() || end_s < start_s {
            return Err(Error::invalid(format!(
                "cannot trim from {start_s} s to {end_s} s; expected 0 <= start <= end"
            )));
        }
        let frame = |s: f64| (s * f64::from(self.sample_rate())).round().min(self.frames() as f64) as usize;
        let (start, end) = (frame(start_s), frame(end_s));
        let channels: Vec<&[f32]> = (0..self.channels()).map(|c| &self.channel(c)[start..end]).collect();
        Self::from_channels(self.sample_rate(), &channels)
    }

    /// Raises the level from silence over the first `seconds`, along half a period of a cosine. A fade longer than the sound
    /// covers all of it.
    pub fn fade_in(&mut self, seconds: f64) -> Result<()> {
        let n = self.fade_frames(seconds)?;
        for c in 0..self.channels() {
            self.channel_mut(c)[..n].iter_mut().enumerate().for_each(|(i, x)| *x *= fade(i, n));
        }
        Ok(())
    }

    /// Lowers the level to silence over the last `seconds`; see [`AudioBuffer::fade_in`].
    pub fn fade_out(&mut self, seconds: f64) -> Result<()> {
        let n = self.fade_frames(seconds)?;
        for c in 0..self.channels() {
            self.channel_mut(c).iter_mut().rev().take(n).enumerate().for_each(|(i, x)| *x *= fade(i, n));
        }
        Ok(())
    }

    fn fade_frames(&self, seconds: f64) -> Result<usize> {
        in_range("seconds", seconds, 0.0, 86_400.0)?;
        Ok(((seconds * f64::from(self.sample_rate())).round() as usize).min(self.frames()))
    }

    /// Adds `other`, at `gain_db`, from the first frame on. When it is longer, this buffer becomes as long.
    ///
    /// Errors when the sample rates or the numbers of channels differ.
    pub fn mix(&mut self, other: &Self, gain_db: f64) -> Result<()> {
        let gain = gain(gain_db)?;
        if (other.sample_rate(), other.channels()) != (self.sample_rate(), self.channels()) {
            return Err(Error::invalid(format!(
                "cannot mix {} Hz with {} channels into {} Hz with {} channels; resample it, or change its channels",
                other.sample_rate(),
                other.channels(),
                self.sample_rate(),
                self.channels()
            )));
        }
        if other.frames() > self.frames() {
            let shorter = std::mem::replace(self, Self::new(other.sample_rate(), other.channels(), 0)?);
            *self = shorter.with_frames(other.frames())?;
        }
        for c in 0..self.channels() {
            self.channel_mut(c).iter_mut().zip(other.channel(c)).for_each(|(y, &x)| *y += gain * x);
        }
        Ok(())
    }

    /// One channel: the mean of left and right. More than two channels are mixed to stereo before.
    pub fn to_mono(&self) -> Self {
        match self.channels() {
            1 => self.clone(),
            2 => self.mixed(&[&[0.5, 0.5]]),
            _ => self.to_stereo().to_mono(),
        }
    }

    /// Two channels: mono on both; 3 to 8 channels by ITU-R BS.775 (centre and surround at −3 dB, no low-frequency effects),
    /// in the order of WAVE files (L R C LFE …). A downmix may exceed full scale.
    pub fn to_stereo(&self) -> Self {
        match self.channels() {
            1 => self.mixed(&[&[1.0], &[1.0]]),
            2 => self.clone(),
            n => {
                let (left, right): (Vec<f64>, Vec<f64>) = downmix(n).iter().copied().unzip();
                self.mixed(&[&left, &right])
            }
        }
    }

    /// A buffer whose channels are weighted sums of the channels of this one.
    fn mixed(&self, weights: &[&[f64]]) -> Self {
        let mut out = Vec::with_capacity(weights.len() * self.frames());
        for weights in weights {
            out.extend((0..self.frames()).map(|i| {
                weights.iter().enumerate().map(|(c, w)| w * f64::from(self.channel(c)[i])).sum::<f64>() as f32
            }));
        }
        Self::from_planar(self.sample_rate(), weights.len(), out).expect("one or two channels at a rate that exists")
    }

    /// Changes the level by `gain_db` (−200 to 200 dB).
    pub fn apply_gain_db(&mut self, gain_db: f64) -> Result<()> {
        let gain = gain(gain_db)?;
        self.samples_mut().iter_mut().for_each(|x| *x *= gain);
        Ok(())
    }

    /// Changes the level so that the largest sample lies at `dbfs` (−200 to 0 dB re full scale). Silence stays silence; NaN
    /// and infinity are not counted.
    pub fn normalize_peak(&mut self, dbfs: f64) -> Result<()> {
        in_range("dbfs", dbfs, -200.0, 0.0)?;
        let peak = self.samples().iter().filter(|x| x.is_finite()).fold(0.0f32, |peak, x| peak.max(x.abs()));
        if peak > 0.0 {
            let gain = (db_to_gain(dbfs) / f64::from(peak)).min(f64::from(f32::MAX)) as f32;
            self.samples_mut().iter_mut().for_each(|x| *x *= gain);
        }
        Ok(())
    }
}

fn gain(gain_db: f64) -> Result<f32> {
    in_range("gain_db", gain_db, -200.0, 200.0).map(|db| db_to_gain(db) as f32)
}

/// Frame `i` of a rise over `n` frames, from just above 0 to just below 1.
fn fade(i: usize, n: usize) -> f32 {
    (0.5 - 0.5 * (PI * (i as f64 + 0.5) / n as f64).cos()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Signal;

    fn ones(channels: usize, frames: usize) -> AudioBuffer {
        AudioBuffer::from_planar(10_000, channels, vec![1.0; channels * frames]).unwrap()
    }

    #[test]
    fn trim_cuts_at_frames() {
        let a = AudioBuffer::from_planar(10_000, 2, (0..20).map(|x| x as f32).collect()).unwrap();
        let b = a.trim(0.0002, 0.0005).unwrap();
        assert_eq!((b.channel(0), b.channel(1)), (&[2.0f32, 3.0, 4.0][..], &[12.0f32, 13.0, 14.0][..]));
        assert_eq!(a.trim(0.0, f64::INFINITY).unwrap(), a);
        assert_eq!(a.trim(5.0, 6.0).unwrap().frames(), 0);
        for (start, end) in [(-1.0, 1.0), (1.0, 0.5), (f64::NAN, 1.0), (0.0, f64::NAN), (f64::INFINITY, f64::INFINITY)]
        {
            assert_eq!(a.trim(start, end).unwrap_err().code(), "SF_INVALID_ARGUMENT");
        }
    }

    #[test]
    fn fades_mirror_each_other_and_sum_to_one() {
        let (mut up, mut down) = (ones(2, 1_000), ones(2, 1_000));
        up.fade_in(0.05).unwrap();
        down.fade_out(0.05).unwrap();
        let mut mirrored = down.channel(1).to_vec();
        mirrored.reverse();
        assert_eq!(up.channel(0), mirrored);
        assert!(up.channel(0)[0] < 1e-5 && up.channel(0)[500..].iter().all(|x| *x == 1.0));
        // A cross-fade of one sound into itself is the sound.
        for i in 0..500 {
            assert!((up.channel(0)[i] + up.channel(0)[499 - i] - 1.0).abs() < 1e-6);
        }
        up.fade_in(100.0).unwrap();
        assert!(up.fade_in(-1.0).is_err() && up.fade_out(f64::NAN).is_err());
    }

    #[test]
    fn mix_adds_and_lengthens() {
        let mut a = ones(1, 2);
        a.mix(&ones(1, 3), 20.0 * 0.5f64.log10()).unwrap();
        assert_eq!(a.samples(), [1.5, 1.5, 0.5]);
        assert!(a.mix(&ones(2, 3), 0.0).is_err());
        assert!(a.mix(&AudioBuffer::new(48_000, 1, 3).unwrap(), 0.0).is_err());
        assert!(a.mix(&ones(1, 3), f64::NAN).is_err());
    }

    #[test]
    fn channels_up_and_down() {
        let s = Signal::Music { seed: 1 }.render(44_100, 1, 0.05).unwrap();
        assert_eq!(s.to_stereo().to_mono(), s);
        let a = AudioBuffer::from_channels(44_100, &[[1.0f32], [2.0], [4.0], [8.0], [16.0], [32.0]]).unwrap();
        let d = a.to_stereo();
        let k = FRAC_1_SQRT_2;
        assert_eq!(d.samples(), [(1.0 + 4.0 * k + 16.0 * k) as f32, (2.0 + 4.0 * k + 32.0 * k) as f32]);
        for n in 1..=8 {
            assert_eq!(ones(n, 5).to_stereo().channels(), 2);
            assert_eq!(ones(n, 5).to_mono().channels(), 1);
            assert_eq!(ones(n, 0).to_mono().frames(), 0);
        }
    }

    #[test]
    fn levels() {
        let mut s = Signal::Music { seed: 1 }.render(44_100, 2, 0.1).unwrap();
        s.normalize_peak(-6.0).unwrap();
        let peak = s.samples().iter().fold(0.0f32, |p, x| p.max(x.abs()));
        assert!((20.0 * peak.log10() + 6.0).abs() < 1e-5);
        s.apply_gain_db(6.0).unwrap();
        assert!((s.samples().iter().fold(0.0f32, |p, x| p.max(x.abs())) - 1.0).abs() < 1e-6);
        let mut silence = AudioBuffer::new(44_100, 2, 10).unwrap();
        silence.normalize_peak(0.0).unwrap();
        assert_eq!(silence, AudioBuffer::new(44_100, 2, 10).unwrap());
        assert!(s.normalize_peak(1.0).is_err() && s.apply_gain_db(f64::INFINITY).is_err());
    }
}
