//! Melodies drawn at random, which landmarks tell apart.

use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::testing::Xorshift;

/// Hz.
pub const RATE: u32 = 22_050;

/// Notes of a plucked instrument, at random times and heights; every seed is another piece.
pub fn piece(seed: u64, seconds: f64) -> AudioBuffer {
    let mut rng = Xorshift::new(seed * 7_919 + 1);
    let mut out = vec![0.0f32; (seconds * f64::from(RATE)) as usize];
    let mut at = 0.0;
    while at < seconds {
        let hz = 180.0 * (((rng.bipolar() + 1.0) * 22.0).floor() / 12.0).exp2();
        let (w, decay) = (std::f64::consts::TAU * hz / f64::from(RATE), (-4.0 / f64::from(RATE)).exp());
        let mut level = 0.2;
        for (n, y) in out[(at * f64::from(RATE)) as usize..].iter_mut().take(RATE as usize).enumerate() {
            let phase = w * n as f64;
            *y += (level * (phase.sin() + 0.5 * (2.0 * phase).sin() + 0.25 * (3.0 * phase).sin())) as f32;
            level *= decay;
        }
        at += 0.06 + 0.12 * (rng.bipolar() + 1.0);
    }
    AudioBuffer::from_planar(RATE, 1, out).unwrap()
}
