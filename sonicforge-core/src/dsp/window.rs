//! Windows: F. J. Harris, "On the use of windows for harmonic analysis with the discrete Fourier transform", Proc. IEEE 66 (1978);
//! the Kaiser window by J. F. Kaiser, "Nonrecursive digital filter design using the I0-sinh window function", ISCAS 1974.

use std::f64::consts::PI;

/// The modified Bessel function of the first kind and order zero, by its power series (relative error below 1e-15 for |x| ≤ 30).
pub fn bessel_i0(x: f64) -> f64 {
    let q = x * x / 4.0;
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..200 {
        term *= q / f64::from(k * k);
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}

/// The Kaiser window at `u`, where −1 and 1 are its ends; 0 outside of them.
pub fn kaiser_at(u: f64, beta: f64) -> f64 {
    if u.abs() > 1.0 { 0.0 } else { bessel_i0(beta * (1.0 - u * u).sqrt()) / bessel_i0(beta) }
}

/// `n` points of a symmetric Kaiser window; the middle is 1.
pub fn kaiser(n: usize, beta: f64) -> Vec<f64> {
    symmetric(n, |u| kaiser_at(u, beta))
}

/// The β that gives a filter designed with a Kaiser window a stopband of `attenuation_db` (Kaiser's formula).
pub fn kaiser_beta(attenuation_db: f64) -> f64 {
    let a = attenuation_db;
    if a > 50.0 {
        0.1102 * (a - 8.7)
    } else if a > 21.0 {
        0.5842 * (a - 21.0).powf(0.4) + 0.078_86 * (a - 21.0)
    } else {
        0.0
    }
}

/// `n` points of a periodic Hann window (the next point would be the first again): shifted copies by n/2 add up to 1.
pub fn hann(n: usize) -> Vec<f64> {
    (0..n).map(|i| (PI * i as f64 / n as f64).sin().powi(2)).collect()
}

/// `n` points of a periodic sine window, sampled between the zeros: the squares of copies shifted by n/2 add up to 1, so
/// that a power spectrum made with it counts every sample alike.
pub fn sine(n: usize) -> Vec<f64> {
    (0..n).map(|i| (PI * (i as f64 + 0.5) / n as f64).sin()).collect()
}

fn symmetric(n: usize, at: impl Fn(f64) -> f64) -> Vec<f64> {
    match n {
        0 => Vec::new(),
        1 => vec![1.0],
        _ => (0..n).map(|i| at(2.0 * i as f64 / (n - 1) as f64 - 1.0)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bessel_agrees_with_the_tables() {
        // Abramowitz & Stegun, table 9.8 (scaled back), and scipy.special.i0.
        for (x, y) in
            [(0.0, 1.0), (1.0, 1.266_065_877_752_008_4), (5.0, 27.239_871_823_604_44), (12.0, 18_948.925_349_296_31)]
        {
            assert!((bessel_i0(x) / y - 1.0).abs() < 1e-14, "I0({x}) = {}", bessel_i0(x));
        }
    }

    #[test]
    fn kaiser_is_symmetric_and_ends_low() {
        let w = kaiser(65, 9.0);
        assert_eq!(w[32], 1.0);
        assert!((w[0] - 1.0 / bessel_i0(9.0)).abs() < 1e-15);
        for i in 0..65 {
            assert!((w[i] - w[64 - i]).abs() < 1e-15);
        }
        assert!(kaiser(0, 5.0).is_empty());
        assert_eq!(kaiser(1, 5.0), [1.0]);
    }

    #[test]
    fn half_shifted_copies_add_up() {
        let (h, s) = (hann(64), sine(64));
        for i in 0..32 {
            assert!((h[i] + h[i + 32] - 1.0).abs() < 1e-15);
            assert!((s[i] * s[i] + s[i + 32] * s[i + 32] - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn beta_follows_the_attenuation() {
        assert!((kaiser_beta(60.0) - 5.653).abs() < 1e-3);
        assert!((kaiser_beta(40.0) - 3.395).abs() < 1e-3);
        assert_eq!(kaiser_beta(20.0), 0.0);
    }
}
