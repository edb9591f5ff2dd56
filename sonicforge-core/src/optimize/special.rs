//! Functions that the posteriors need, on the pure-Rust libm: the same bits on every system.

/// e^x.
pub(super) fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// ln x.
pub(super) fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// ln Γ(x), x > 0.
pub(super) fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// The remainder of Stirling's series, ln Γ(x) − (x − ½) ln x + x − ½ ln 2π (DLMF 5.11.1), for x ≥ 10.
fn stirling(x: f64) -> f64 {
    let z = 1.0 / (x * x);
    (1.0 / 12.0
        - z * (1.0 / 360.0 - z * (1.0 / 1260.0 - z * (1.0 / 1680.0 - z * (1.0 / 1188.0 - z * 691.0 / 360_360.0)))))
        / x
}

/// ln B(a, b). For large a and b the large terms of the logarithms are cancelled before they are rounded.
pub(super) fn ln_beta(a: f64, b: f64) -> f64 {
    let (a, b) = (a.min(b), a.max(b));
    const HALF_LN_2PI: f64 = 0.918_938_533_204_672_8;
    if a >= 10.0 {
        let s = a + b;
        // (a − ½) ln(a/s) + b ln(b/s) − ½ ln b + ½ ln 2π + Stirling's remainders
        (a - 0.5) * ln(a / s) + b * libm::log1p(-a / s) - 0.5 * ln(b) + HALF_LN_2PI + stirling(a) + stirling(b)
            - stirling(s)
    } else if b >= 10.0 {
        // ln Γ(b) − ln Γ(a + b), without their common size
        let s = a + b;
        ln_gamma(a) + a - a * ln(s) + (b - 0.5) * libm::log1p(-a / s) + stirling(b) - stirling(s)
    } else {
        ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
    }
}

/// ψ′(x), x > 0 (DLMF 5.15.8 above 16, the recurrence 5.15.5 below).
pub(super) fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 16.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let z = 1.0 / (x * x);
    sum + 1.0 / x
        + z / 2.0
        + z / x * (1.0 / 6.0 - z * (1.0 / 30.0 - z * (1.0 / 42.0 - z * (1.0 / 30.0 - z * 5.0 / 66.0))))
}

/// The regularized incomplete beta function Iₓ(a, b): the distribution function of Beta(a, b).
///
/// Continued fraction DLMF 8.17.22 by Lentz's method, on the side of the mean where it converges fast.
pub(super) fn beta_cdf(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return if x <= 0.0 { 0.0 } else { 1.0 };
    }
    let front = exp(a * ln(x) + b * libm::log1p(-x) - ln_beta(a, b));
    if x <= (a + 1.0) / (a + b + 2.0) {
        front / a * beta_fraction(x, a, b)
    } else {
        1.0 - front / b * beta_fraction(1.0 - x, b, a)
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let guard = |v: f64| if v.abs() < TINY { TINY } else { v };
    let (mut c, mut d) = (1.0, 1.0 / guard(1.0 - (a + b) * x / (a + 1.0)));
    let mut h = d;
    for m in 1..10_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        h *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    h
}

/// The q-quantile of Beta(a, b), by bisection: q within 10⁻¹⁵, or x to the last bit.
pub(super) fn beta_quantile(q: f64, a: f64, b: f64) -> f64 {
    bisect(0.0, 1.0, |x| beta_cdf(x, a, b) < q)
}

/// Where `below` turns from true to false.
pub(super) fn bisect(mut low: f64, mut high: f64, below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if below(middle) { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Φ(x).
pub(super) fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Φ⁻¹(p) after Acklam (relative error 1.15·10⁻⁹), made exact by one step of Halley.
pub(super) fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 {
        return if p <= 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    let horner = |c: &[f64], x: f64| c.iter().fold(0.0, |s, c| s * x + c);
    let tail = |q: f64| horner(&C, q) / (horner(&D, q) * q + 1.0);
    let x = if p < 0.02425 {
        tail(libm::sqrt(-2.0 * ln(p)))
    } else if p > 1.0 - 0.02425 {
        -tail(libm::sqrt(-2.0 * ln(1.0 - p)))
    } else {
        let q = p - 0.5;
        let r = q * q;
        horner(&A, r) * q / (horner(&B, r) * r + 1.0)
    };
    let e = (normal_cdf(x) - p) * libm::sqrt(2.0 * std::f64::consts::PI) * exp(x * x / 2.0);
    x - e / (1.0 + x * e / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn against_known_values() {
        // mpmath 1.3 at 40 digits; the normal quantile from scipy 1.17.
        let close = |a: f64, b: f64| assert!((a - b).abs() <= 2e-13 * b.abs().max(1.0), "{a} {b}");
        close(ln_beta(3.0, 0.5), 0.064_538_521_137_571_2);
        close(ln_beta(12.5, 40.0), -29.016_702_862_091_727);
        close(ln_beta(2.5, 3_000.0), -19.731_860_909_807_196);
        close(ln_beta(1e6, 2e6), -1_909_548.290_968_533);
        close(beta_cdf(0.3, 2.0, 5.0), 0.579_825);
        close(beta_cdf(0.6, 61.0, 41.0), 0.510_806_827_883_626_5);
        close(trigamma(0.5), std::f64::consts::PI.powi(2) / 2.0);
        close(trigamma(1.0), std::f64::consts::PI.powi(2) / 6.0);
        close(normal_quantile(0.975), 1.959_963_984_540_054);
        close(normal_quantile(1e-9), -5.997_807_015_007_686_5);
        for (a, b) in [(1.0, 1.0), (0.5, 30.0), (700.0, 20.0)] {
            for q in [1e-6, 0.025, 0.5, 0.975] {
                close(beta_cdf(beta_quantile(q, a, b), a, b), q);
            }
        }
    }
}
