//! Named deterministic signals: what the golden vectors, the tests of three languages and the benches feed to the library.

use crate::audio::AudioBuffer;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// A signal that any language can ask for by name; the same description gives the same samples everywhere.
///
/// Sines and exponentials are computed in f64 from the frame number and rounded once, so there is no drift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Signal {
    /// Zeros.
    Silence,
    /// A sine of peak `level_dbfs` on every channel, starting at `phase_deg`.
    Sine {
        /// Frequency in Hz.
        frequency_hz: f64,
        /// Peak level in dB re full scale.
        level_dbfs: f64,
        /// Phase of the first sample in degrees.
        #[serde(default)]
        phase_deg: f64,
    },
    /// An exponential sine sweep over the whole length.
    Sweep {
        /// First frequency in Hz.
        from_hz: f64,
        /// Last frequency in Hz.
        to_hz: f64,
        /// Peak level in dB re full scale.
        level_dbfs: f64,
    },
    /// White noise, uniform in ±level, from a 64-bit xorshift; channels differ.
    Noise {
        /// Peak level in dB re full scale.
        level_dbfs: f64,
        /// Any number; 0 is taken as 1.
        seed: u64,
    },
    /// One sample of value 1 at frame `at`, on every channel.
    Impulse {
        /// Frame of the impulse.
        at: usize,
    },
    /// A constant.
    Constant {
        /// The value, linear.
        value: f64,
    },
    /// A short piece with a kick, a bass, chords, a hi-hat and a sibilant "s" now and then: every processor has something to do.
    Music {
        /// Any number; chooses noise and pan.
        seed: u64,
    },
}

impl Signal {
    /// `seconds` of this signal. Errors as [`AudioBuffer::new`].
    pub fn render(&self, sample_rate: u32, channels: usize, seconds: f64) -> Result<AudioBuffer> {
        if !(seconds.is_finite() && (0.0..=86_400.0).contains(&seconds)) {
            return Err(Error::invalid(format!("seconds is {seconds}; expected 0 to 86400")));
        }
        let frames = (seconds * f64::from(sample_rate)).round() as usize;
        let mut out = AudioBuffer::new(sample_rate, channels, frames)?;
        let fs = f64::from(sample_rate);
        let tau = std::f64::consts::TAU;
        for c in 0..channels {
            let y = out.channel_mut(c);
            match *self {
                Signal::Silence => {}
                Signal::Sine { frequency_hz, level_dbfs, phase_deg } => {
                    let a = crate::units::db_to_gain(level_dbfs);
                    for (n, y) in y.iter_mut().enumerate() {
                        *y = (a * (tau * frequency_hz * n as f64 / fs + phase_deg.to_radians()).sin()) as f32;
                    }
                }
                Signal::Sweep { from_hz, to_hz, level_dbfs } => {
                    let a = crate::units::db_to_gain(level_dbfs);
                    let (t1, k) = (seconds.max(1e-9), (to_hz / from_hz).ln());
                    for (n, y) in y.iter_mut().enumerate() {
                        let t = n as f64 / fs;
                        *y = (a * (tau * from_hz * t1 / k * ((t / t1 * k).exp() - 1.0)).sin()) as f32;
                    }
                }
                Signal::Noise { level_dbfs, seed } => {
                    let a = crate::units::db_to_gain(level_dbfs);
                    let mut rng = Xorshift::new(seed.wrapping_add(c as u64 * 0x9E37_79B9));
                    for y in y.iter_mut() {
                        *y = (a * rng.bipolar()) as f32;
                    }
                }
                Signal::Impulse { at } => {
                    if let Some(y) = y.get_mut(at) {
                        *y = 1.0;
                    }
                }
                Signal::Constant { value } => y.fill(value as f32),
                Signal::Music { seed } => music(y, c, fs, seed),
            }
        }
        Ok(out)
    }
}

/// Marsaglia's 64-bit xorshift: small enough to be written again in any language.
#[derive(Debug, Clone)]
pub struct Xorshift(u64);

impl Xorshift {
    /// Starts at `seed` (0 becomes 1).
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// The next number in [−1, 1): the upper 53 bits.
    pub fn bipolar(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// Four bars at 100 bpm in D minor, over and over; about −20 LUFS with peaks near −3 dBFS.
fn music(y: &mut [f32], channel: usize, fs: f64, seed: u64) {
    use std::f64::consts::TAU;
    let mut rng = Xorshift::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(channel as u64 + 1));
    let roots = [146.83, 116.54, 174.61, 130.81]; // D  B♭  F  C
    let pan = if channel % 2 == 0 { 1.0 } else { -1.0 };
    let mut hat_lp = 0.0;
    for (n, y) in y.iter_mut().enumerate() {
        let t = n as f64 / fs;
        let beat = t * 100.0 / 60.0;
        let in_beat = beat.fract() * 0.6;
        let root = roots[(beat / 4.0) as usize % 4];
        let swell = 0.65 + 0.35 * (TAU * t / 9.6).sin();
        let kick =
            (-in_beat * 18.0).exp() * (TAU * (48.0 * in_beat + 9.0 * (1.0 - (-in_beat * 30.0).exp()) / 3.0)).sin();
        let half = (beat * 2.0).fract() * 0.3;
        let bass = (-half * 5.0).exp() * (TAU * root / 2.0 * t).sin();
        let chord = [1.0, 1.189_207, 1.498_307]
            .iter()
            .enumerate()
            .map(|(i, r)| {
                let detune = 1.0 + pan * 0.0008 * (i as f64 + 1.0);
                let w = TAU * root * 2.0 * r * detune * t;
                w.sin() + 0.35 * (2.0 * w).sin() + 0.2 * (3.0 * w).sin() + 0.1 * (5.0 * w).sin()
            })
            .sum::<f64>();
        let noise = rng.bipolar();
        hat_lp += 0.35 * (noise - hat_lp);
        let quarter = (beat * 4.0).fract() * 0.15;
        let hat = (-quarter * 45.0).exp() * (noise - hat_lp);
        let s = if beat % 8.0 > 7.5 { (TAU * 6_800.0 * t).sin() * 0.5 + (noise - hat_lp) } else { 0.0 };
        let v = 0.55 * kick + 0.18 * bass + 0.05 * swell * chord + 0.07 * hat + 0.08 * s;
        *y = v as f32;
    }
}
