//! Decibels and the other units that numbers wear when they cross a wall.

/// Gain of a level in dB: `10^(dB/20)`.
#[inline]
pub fn db_to_gain(db: f64) -> f64 {
    10f64.powf(db / 20.0)
}

/// Level in dB of a gain: `20·log10(gain)`; minus infinity for zero.
#[inline]
pub fn gain_to_db(gain: f64) -> f64 {
    20.0 * gain.log10()
}

/// Level in dB of a power ratio: `10·log10(power)`; minus infinity for zero.
#[inline]
pub fn power_to_db(power: f64) -> f64 {
    10.0 * power.log10()
}

/// `Some(x)` when finite: how "there was nothing to measure" travels through JSON and the bindings.
#[inline]
pub fn finite(x: f64) -> Option<f64> {
    x.is_finite().then_some(x)
}
