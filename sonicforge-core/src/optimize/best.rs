//! P(best) by quadrature: pᵢ = ∫ fᵢ(x) Πⱼ≠ᵢ Fⱼ(x) dx, and E[max].
//!
//! The line is cut into panels as wide as the narrowest density there is smooth; on each panel the densities are known at the
//! Gauss–Legendre nodes, and the polynomial through them is integrated up to every node (spectral integration), so that the
//! distribution functions come with the same evaluations. Beta densities are taken over the logit, where they have no edges.
//! Equal posteriors are one group with a power.

use std::sync::OnceLock;

use super::posterior::{Curve, Posterior};

const NODES: usize = 10;
/// Width of a panel in scales of the narrowest density on it.
const PANEL: f64 = 2.5;
/// No more panels than this.
const MAX_PANELS: usize = 200_000;

/// What the quadrature finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// P(best) of each, summing to 1.
    pub probabilities: Vec<f64>,
    /// E[maxᵢ θᵢ].
    pub expected_max: f64,
}

struct Rule {
    node: [f64; NODES],
    weight: [f64; NODES],
    /// `to[j][k]`: the weight of node k in the integral from −1 to node j.
    to: [[f64; NODES]; NODES],
}

fn rule() -> &'static Rule {
    static RULE: OnceLock<Rule> = OnceLock::new();
    RULE.get_or_init(|| {
        /// P₀ … P_NODES at x (DLMF 18.9.1).
        fn legendre(x: f64) -> [f64; NODES + 1] {
            let mut p = [1.0; NODES + 1];
            p[1] = x;
            for n in 1..NODES {
                let m = n as f64;
                p[n + 1] = ((2.0 * m + 1.0) * x * p[n] - m * p[n - 1]) / (m + 1.0);
            }
            p
        }
        let n = NODES as f64;
        let slope = |x: f64, p: &[f64; NODES + 1]| n * (x * p[NODES] - p[NODES - 1]) / (x * x - 1.0);
        let node: [f64; NODES] = std::array::from_fn(|i| {
            let mut x = -libm::cos(std::f64::consts::PI * (i as f64 + 0.75) / (n + 0.5));
            for _ in 0..20 {
                let p = legendre(x);
                x -= p[NODES] / slope(x, &p);
            }
            x
        });
        let weight = node.map(|x| {
            let d = slope(x, &legendre(x));
            2.0 / ((1.0 - x * x) * d * d)
        });
        // The polynomial through f has the Legendre coefficients (2n+1)/2 Σₖ wₖ Pₙ(xₖ) fₖ, and ∫₋₁ˣ Pₙ = (Pₙ₊₁ − Pₙ₋₁)/(2n+1).
        let to = node.map(|x| {
            let px = legendre(x);
            std::array::from_fn(|k| {
                let pk = legendre(node[k]);
                let rest: f64 = (1..NODES).map(|n| 0.5 * pk[n] * (px[n + 1] - px[n - 1])).sum();
                weight[k] * (0.5 * (x + 1.0) + rest)
            })
        });
        Rule { node, weight, to }
    })
}

/// xⁿ by squaring: the same on every system.
fn power(mut x: f64, mut n: u64) -> f64 {
    let mut y = 1.0;
    while n > 0 {
        if n & 1 == 1 {
            y *= x;
        }
        x *= x;
        n >>= 1;
    }
    y
}

struct Group {
    curve: Curve,
    mean: f64,
    members: Vec<usize>,
}

/// P(best) of independent posteriors. Those of one call must be of one kind, or Beta among others, which then is taken as the normal
/// of its mean and variance. `optimistic` replaces every draw by max(draw, mean) (May et al., 2012), which never hurts an arm for
/// being uncertain. Of no posteriors there is none best.
pub fn best(posteriors: &[Posterior], optimistic: bool) -> Best {
    let groups = group(posteriors);
    let mut out = Best { probabilities: vec![0.0; posteriors.len()], expected_max: 0.0 };
    if groups.is_empty() {
        return out;
    }
    let (each, expected_max) = integrate(&groups, posteriors.len(), optimistic);
    for (group, p) in groups.iter().zip(&each) {
        group.members.iter().for_each(|&i| out.probabilities[i] = *p);
    }
    let sum: f64 = out.probabilities.iter().sum();
    out.probabilities.iter_mut().for_each(|p| *p /= sum);
    out.expected_max = expected_max / sum;
    out
}

fn group(posteriors: &[Posterior]) -> Vec<Group> {
    let is_beta = |p: &Posterior| matches!(p, Posterior::Beta { .. });
    let mixed = posteriors.iter().any(is_beta) && !posteriors.iter().all(is_beta);
    let key = |p: &Posterior| match *p {
        Posterior::Beta { a, b } if mixed => [0, p.mean().to_bits(), p.variance().to_bits(), a.to_bits() ^ b.to_bits()],
        Posterior::Beta { a, b } => [1, a.to_bits(), b.to_bits(), 0],
        Posterior::Normal { mean, sd } => [2, mean.to_bits(), sd.to_bits(), 0],
        Posterior::StudentT { location, scale, dof } => [3, location.to_bits(), scale.to_bits(), dof.to_bits()],
        Posterior::LogitNormal { mean, sd } => [4, mean.to_bits(), sd.to_bits(), 0],
    };
    let mut order: Vec<usize> = (0..posteriors.len()).collect();
    order.sort_by_key(|&i| (key(&posteriors[i]), i));
    let mut groups: Vec<Group> = Vec::new();
    for (at, &i) in order.iter().enumerate() {
        let p = &posteriors[i];
        if at > 0 && key(p) == key(&posteriors[order[at - 1]]) {
            groups.last_mut().expect("there is one before").members.push(i);
            continue;
        }
        let taken =
            if mixed && is_beta(p) { Posterior::Normal { mean: p.mean(), sd: libm::sqrt(p.variance()) } } else { *p };
        groups.push(Group { curve: taken.curve(), mean: p.mean(), members: vec![i] });
    }
    groups
}

/// P(best) of one member of each group, and E[max].
fn integrate(groups: &[Group], arms: usize, optimistic: bool) -> (Vec<f64>, f64) {
    let rule = rule();
    let fold = |start: f64, f: fn(f64, f64) -> f64, of: &dyn Fn(&Group) -> f64| groups.iter().map(of).fold(start, f);
    let end = fold(f64::NEG_INFINITY, f64::max, &|g| g.curve.high);
    let mean = fold(f64::NEG_INFINITY, f64::max, &|g| g.curve.coordinate(g.mean));
    // Below the highest lower edge somebody is certainly better; optimistically so below the highest mean.
    let start = if optimistic { mean } else { fold(f64::NEG_INFINITY, f64::max, &|g| g.curve.low) };
    let alive: Vec<usize> = (0..groups.len()).filter(|&g| groups[g].curve.high > start).collect();
    // The largest of n draws varies over a 1/√(2 ln n) of the scale.
    let panel =
        PANEL / (1.0 + 2.0 * super::special::ln(arms as f64)).sqrt().max(1.0) * if arms > 8 { 1.3 } else { 1.0 };
    let panels = panels(groups, &alive, start, end, panel);

    let n = alive.len();
    // Of each panel and node and group: density, and mass since the start.
    let mut density = vec![0.0; panels.len() * NODES * n];
    let mut mass = vec![0.0; panels.len() * NODES * n];
    let mut total = vec![0.0; n];
    for (at, &(left, width)) in panels.iter().enumerate() {
        let half = 0.5 * width;
        for (i, &g) in alive.iter().enumerate() {
            let curve = &groups[g].curve;
            let place = |k: usize| (at * NODES + k) * n + i;
            if left > curve.high || left + width < curve.low {
                (0..NODES).for_each(|k| mass[place(k)] = total[i]);
                continue;
            }
            let f: [f64; NODES] = std::array::from_fn(|k| curve.density(left + half * (1.0 + rule.node[k])));
            for j in 0..NODES {
                density[place(j)] = f[j];
                mass[place(j)] = total[i] + half * rule.to[j].iter().zip(&f).map(|(w, f)| w * f).sum::<f64>();
            }
            total[i] += half * rule.weight.iter().zip(&f).map(|(w, f)| w * f).sum::<f64>();
        }
    }

    let mut each = vec![0.0; groups.len()];
    let mut expected_max = 0.0;
    let (mut f, mut before) = (vec![0.0; n], vec![0.0; n + 1]);
    let sizes: Vec<u64> = alive.iter().map(|&g| groups[g].members.len() as u64).collect();
    // What begins before the start has 1 − total there; what begins after it has all its mass, and is held to that.
    let base: Vec<(f64, f64)> = alive
        .iter()
        .zip(&total)
        .map(|(&g, &t)| if groups[g].curve.low >= start && !optimistic { (0.0, 1.0 / t) } else { (1.0 - t, 1.0) })
        .collect();
    for (at, &(left, width)) in panels.iter().enumerate() {
        for k in 0..NODES {
            let row = (at * NODES + k) * n;
            before[0] = 1.0;
            for i in 0..n {
                f[i] = (base[i].0 + base[i].1 * mass[row + i]).clamp(0.0, 1.0);
                before[i + 1] = before[i] * power(f[i], sizes[i]);
            }
            let mut after = 0.5 * width * rule.weight[k];
            let x = groups[alive[0]].curve.value(left + 0.5 * width * (1.0 + rule.node[k]));
            for i in (0..n).rev() {
                let less = power(f[i], sizes[i] - 1);
                let p = before[i] * after * less * density[row + i] * base[i].1;
                each[alive[i]] += p;
                expected_max += x * p * sizes[i] as f64;
                after *= less * f[i];
            }
        }
    }
    if optimistic {
        // All draws below the highest mean: those that have it win, each as likely.
        let all: f64 = base.iter().zip(&sizes).map(|(b, &n)| power(b.0.clamp(0.0, 1.0), n)).product();
        let top = fold(f64::NEG_INFINITY, f64::max, &|g| g.mean);
        let winners = groups.iter().filter(|g| g.mean == top).map(|g| g.members.len()).sum::<usize>();
        for (g, group) in groups.iter().enumerate() {
            if group.mean == top {
                each[g] += all / winners as f64;
            }
        }
        expected_max += all * top;
    }
    (each, expected_max)
}

/// (left, width) of panels from start to end.
fn panels(groups: &[Group], alive: &[usize], start: f64, end: f64, panel: f64) -> Vec<(f64, f64)> {
    let mut out = Vec::new();
    let mut x = start;
    while x < end && out.len() < MAX_PANELS {
        let mut width = end - x;
        for &g in alive {
            let curve = &groups[g].curve;
            if curve.high > x {
                // What is not there yet may be stepped towards.
                width = width.min((panel * curve.scale_at(x)).max(curve.low - x));
            }
        }
        // A width that vanishes beside x would never arrive.
        width = width.max((x.abs() + end.abs()) * 1e-15);
        out.push((x, width));
        x += width;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beta(a: f64, b: f64) -> Posterior {
        Posterior::Beta { a, b }
    }

    #[test]
    fn two_uniforms_and_symmetry() {
        let b = best(&[beta(1.0, 1.0), beta(1.0, 1.0)], false);
        assert!((b.probabilities[0] - 0.5).abs() < 1e-12 && (b.expected_max - 2.0 / 3.0).abs() < 1e-10, "{b:?}");
        // P(Beta(a, 1) > Beta(b, 1)) = a / (a + b).
        let b = best(&[beta(7.0, 1.0), beta(3.0, 1.0)], false);
        assert!((b.probabilities[0] - 0.7).abs() < 1e-10, "{b:?}");
        // Ten thousand equal ones and one that is better: ∫ 2x · x^n = 2/(n+2).
        let mut many = vec![beta(1.0, 1.0); 10_000];
        many.push(beta(2.0, 1.0));
        let b = best(&many, false);
        assert!((b.probabilities[10_000] - 2.0 / 10_002.0).abs() < 1e-12, "{}", b.probabilities[10_000]);
    }

    #[test]
    fn normals_and_students_against_what_is_known() {
        // P(N(μ, σ²) > N(0, τ²)) = Φ(μ/√(σ² + τ²)).
        let b = best(&[Posterior::Normal { mean: 1.0, sd: 0.1 }, Posterior::Normal { mean: 0.0, sd: 2.0 }], false);
        let expected = super::super::special::normal_cdf(1.0 / 4.01f64.sqrt());
        assert!((b.probabilities[0] - expected).abs() < 1e-10, "{b:?}");
        // A Student t against a needle: its distribution function.
        let t = Posterior::StudentT { location: 0.5, scale: 0.7, dof: 2.0 };
        for needle in [-30.0, 0.4, 2.0, 50.0] {
            let b = best(&[t, Posterior::Normal { mean: needle, sd: 1e-6 }], false);
            assert!((b.probabilities[1] - t.cdf(needle)).abs() < 1e-8, "{needle} {b:?} {}", t.cdf(needle));
        }
    }

    #[test]
    fn optimism_by_drawing() {
        use rand_core::SeedableRng;
        let shapes = [(3.0, 2.0), (30.0, 22.0), (1.0, 1.0), (1.0, 1.0), (6.0, 4.0)];
        let posteriors: Vec<_> = shapes.iter().map(|&(a, b)| beta(a, b)).collect();
        let b = best(&posteriors, true);
        assert!((b.probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-15);
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(9);
        let n = 100_000;
        let mut wins = [0.0; 5];
        for _ in 0..n {
            let draws = shapes.map(|(a, b)| {
                let u = (rand_core::Rng::next_u64(&mut rng) >> 11) as f64 / (1u64 << 53) as f64;
                super::super::special::beta_quantile(u, a, b).max(a / (a + b))
            });
            let top = draws.iter().copied().fold(0.0, f64::max);
            let winners = draws.iter().filter(|d| **d == top).count() as f64;
            (0..5).filter(|&i| draws[i] == top).for_each(|i| wins[i] += 1.0 / winners);
        }
        for (w, p) in wins.iter().zip(&b.probabilities) {
            assert!((w / f64::from(n) - p).abs() < 4.0 * (p / f64::from(n)).sqrt(), "{wins:?} {b:?}");
        }
    }
}
