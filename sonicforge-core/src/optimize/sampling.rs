//! Thompson sampling by drawing: the arm whose draw from Beta(a, b) is the largest.
//!
//! A Beta draw is a ratio of Gamma draws, X / (X + Y), and X / Y orders arms as well. Gamma draws after Marsaglia & Tsang (2000,
//! "A simple method for generating gamma variables"), normal draws by their ziggurat (2000) with 256 layers. One 64-bit number
//! feeds both: 8 bits of layer, one sign, 31 bits of abscissa, 24 bits for the squeeze, which are refined when they are not enough.
//!
//! Arms with equal posteriors are one group: the largest of n draws is the U^(1/n)-quantile of one, and each member is as likely to
//! have drawn it. That is exact, and makes a cold start with ten thousand arms as cheap as one with five.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rand_core::Rng;

use crate::error::{Error, Result};

use super::special::{beta_quantile, exp, ln};

const LAYERS: usize = 256;
/// Where the tail begins, and the area of each layer, for 256 layers.
const TAIL: f64 = 3.654_152_885_361_009;
const AREA: f64 = 0.004_928_673_233_992_336;

struct Ziggurat {
    x: [f64; LAYERS + 1],
    y: [f64; LAYERS + 1],
}

fn ziggurat() -> &'static Ziggurat {
    static TABLE: OnceLock<Ziggurat> = OnceLock::new();
    TABLE.get_or_init(|| {
        let density = |x: f64| exp(-0.5 * x * x);
        let mut x = [0.0; LAYERS + 1];
        x[0] = AREA / density(TAIL);
        x[1] = TAIL;
        for i in 2..LAYERS {
            x[i] = libm::sqrt(-2.0 * ln(density(x[i - 1]) + AREA / x[i - 1]));
        }
        let y = std::array::from_fn(|i| density(x[i]));
        Ziggurat { x, y }
    })
}

/// A number from 0 to 1 (exclusive both) of 53 bits.
fn unit(rng: &mut impl Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
}

/// A standard normal number from 40 of the bits, and more of them when the first do not suffice.
#[inline(always)]
fn normal(table: &Ziggurat, mut bits: u64, rng: &mut impl Rng) -> f64 {
    loop {
        let layer = (bits & 0xff) as usize;
        // Signed, 32 bits, centred between the steps: never 0.
        let u = (f64::from((bits >> 8) as u32 as i32) + 0.5) * (1.0 / 2_147_483_648.0);
        let x = u * table.x[layer];
        if x.abs() < table.x[layer + 1] {
            return x;
        }
        if layer == 0 {
            loop {
                let a = -ln(unit(rng)) / TAIL;
                if -2.0 * ln(unit(rng)) >= a * a {
                    return if u < 0.0 { -TAIL - a } else { TAIL + a };
                }
            }
        }
        let y = table.y[layer] + unit(rng) * (table.y[layer + 1] - table.y[layer]);
        if y < exp(-0.5 * x * x) {
            return x;
        }
        bits = rng.next_u64();
    }
}

/// A draw x is accepted with probability exp(−d·a(t)), t = cx, where a(t) = (1 + t)³ − 1 − 3 ln(1 + t) − 9t²/2 ≥ 0 and x⁴ = 81d²t⁴.
/// What a squeeze 1 − s·x⁴ must not be above is 1 − s·81d²t⁴ ≤ exp(−d·a), or d·s ≥ (1 − exp(−d·a)) / (81·d·t⁴), which at every t falls
/// with d. The paper's s = .0331 holds at the smallest d = 2/3, and so s = .0331 · (2/3) / d holds at each. The paper keeps .0331, which
/// sends a tenth of all draws to the logarithms, this one a fifteenth of 1/d.
const SQUEEZE: f64 = 0.0331 * 2.0 / 3.0;

/// A Gamma distribution of this shape, ready for drawing.
#[derive(Debug, Clone, Copy)]
struct Gamma {
    d: f64,
    c: f64,
    /// Of the squeeze 1 − s·x⁴.
    s: f64,
    /// 1/shape where the shape is below 1 (and `d` is of shape + 1), else 0.
    boost: f64,
}

impl Gamma {
    fn new(shape: f64) -> Self {
        let boost = if shape < 1.0 { 1.0 / shape } else { 0.0 };
        let d = if shape < 1.0 { shape + 2.0 / 3.0 } else { shape - 1.0 / 3.0 };
        Self { d, c: 1.0 / libm::sqrt(9.0 * d), s: SQUEEZE / d, boost }
    }

    #[inline(always)]
    fn draw(&self, table: &Ziggurat, rng: &mut impl Rng) -> f64 {
        let value = loop {
            let bits = rng.next_u64();
            let x = normal(table, bits, rng);
            let v = 1.0 + self.c * x;
            if v <= 0.0 {
                continue;
            }
            let v = v * v * v;
            let coarse = (bits >> 40) as f64;
            let x2 = x * x;
            // The upper edge of the coarse cell, so that what passes would pass with all its bits.
            if (coarse + 1.0) * (1.0 / 16_777_216.0) < 1.0 - self.s * x2 * x2 {
                break self.d * v;
            }
            let u = (coarse + unit(rng)) * (1.0 / 16_777_216.0);
            if ln(u) < 0.5 * x2 + self.d * (1.0 - v + ln(v)) {
                break self.d * v;
            }
        };
        if self.boost > 0.0 { value * exp(ln(unit(rng)) * self.boost) } else { value }
    }
}

#[derive(Debug, Clone)]
struct Group {
    shape: (f64, f64),
    a: Gamma,
    b: Gamma,
    members: Vec<u32>,
}

/// Arms with Beta posteriors, to be drawn from.
#[derive(Debug, Clone)]
pub struct ThompsonSampler {
    groups: Vec<Group>,
    /// Group by the bits of its shape.
    index: BTreeMap<(u64, u64), u32>,
    /// Of each arm its group and its place there.
    arms: Vec<(u32, u32)>,
}

impl ThompsonSampler {
    /// Arms with these (a, b), each above 0 and finite.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no arms and for what is no Beta distribution.
    pub fn new(shapes: &[(f64, f64)]) -> Result<Self> {
        if shapes.is_empty() || shapes.len() > u32::MAX as usize {
            return Err(Error::invalid(format!("{} arms; expected at least one", shapes.len())));
        }
        let mut sampler = Self { groups: Vec::new(), index: BTreeMap::new(), arms: vec![(0, 0); shapes.len()] };
        for (arm, &(a, b)) in shapes.iter().enumerate() {
            check(a, b)?;
            sampler.put(arm as u32, a, b);
        }
        Ok(sampler)
    }

    /// How many arms there are.
    pub fn arms(&self) -> usize {
        self.arms.len()
    }

    /// Gives an arm another posterior.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an arm that is not there and for what is no Beta distribution.
    pub fn update(&mut self, arm: usize, a: f64, b: f64) -> Result<()> {
        check(a, b)?;
        let Some(&(group, place)) = self.arms.get(arm) else {
            return Err(Error::invalid(format!("arm is {arm}; expected less than {}", self.arms.len())));
        };
        let members = &mut self.groups[group as usize].members;
        members.swap_remove(place as usize);
        if let Some(&moved) = members.get(place as usize) {
            self.arms[moved as usize].1 = place;
        }
        if members.is_empty() {
            self.drop_group(group);
        }
        self.put(arm as u32, a, b);
        Ok(())
    }

    fn drop_group(&mut self, group: u32) {
        let gone = self.groups.swap_remove(group as usize);
        self.index.remove(&bits(gone.shape));
        if let Some(moved) = self.groups.get(group as usize) {
            self.index.insert(bits(moved.shape), group);
            moved.members.iter().for_each(|&arm| self.arms[arm as usize].0 = group);
        }
    }

    fn put(&mut self, arm: u32, a: f64, b: f64) {
        let next = self.groups.len() as u32;
        let group = *self.index.entry(bits((a, b))).or_insert(next);
        if group == next {
            self.groups.push(Group { shape: (a, b), a: Gamma::new(a), b: Gamma::new(b), members: Vec::new() });
        }
        let members = &mut self.groups[group as usize].members;
        self.arms[arm as usize] = (group, members.len() as u32);
        members.push(arm);
    }

    /// The arm whose draw is the largest.
    pub fn draw(&self, rng: &mut impl Rng) -> usize {
        let table = ziggurat();
        let (mut best, mut at) = (f64::NEG_INFINITY, 0);
        for (g, group) in self.groups.iter().enumerate() {
            // X / Y orders as X / (X + Y) does.
            let odds = if group.members.len() == 1 {
                group.a.draw(table, rng) / group.b.draw(table, rng)
            } else {
                group.largest(table, rng)
            };
            if odds > best {
                (best, at) = (odds, g);
            }
        }
        let members = &self.groups[at].members;
        if members.len() == 1 { members[0] as usize } else { members[below(members.len(), rng)] as usize }
    }
}

impl Group {
    /// The odds of the largest of as many draws as there are members.
    fn largest(&self, table: &Ziggurat, rng: &mut impl Rng) -> f64 {
        let n = self.members.len() as f64;
        let (a, b) = self.shape;
        let odds = |x: f64| x / (1.0 - x);
        if a == 1.0 && b == 1.0 {
            return odds(exp(ln(unit(rng)) / n));
        }
        if b == 1.0 {
            return odds(exp(ln(unit(rng)) / (n * a)));
        }
        if a == 1.0 {
            // 1 − x = (1 − U^(1/n))^(1/b)
            let rest = exp(ln(-libm::expm1(ln(unit(rng)) / n)) / b);
            return (1.0 - rest) / rest;
        }
        if n <= 64.0 {
            let one = |_| self.a.draw(table, rng) / self.b.draw(table, rng);
            return (0..self.members.len()).map(one).fold(f64::NEG_INFINITY, f64::max);
        }
        odds(beta_quantile(exp(ln(unit(rng)) / n), a, b))
    }
}

/// A whole number below n, evenly up to 2⁻⁶⁴·n.
fn below(n: usize, rng: &mut impl Rng) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

fn bits((a, b): (f64, f64)) -> (u64, u64) {
    (a.to_bits(), b.to_bits())
}

fn check(a: f64, b: f64) -> Result<()> {
    let good = |x: f64| x.is_finite() && x > 0.0;
    if good(a) && good(b) {
        return Ok(());
    }
    Err(Error::invalid(format!("Beta({a}, {b}); expected two finite numbers above 0")))
}

/// Standard normal numbers from a generator, for the models.
pub(super) fn normals(rng: &mut impl Rng, out: &mut [f64]) {
    let table = ziggurat();
    out.iter_mut().for_each(|x| {
        let bits = rng.next_u64();
        *x = normal(table, bits, rng);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    #[test]
    fn normal_numbers_are_normal() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let n = 1_000_000;
        let mut x = vec![0.0; n];
        normals(&mut rng, &mut x);
        // The largest distance of the distribution functions (Kolmogorov): 1.95/√n is passed once in a thousand.
        x.sort_by(f64::total_cmp);
        let far = |(i, x): (usize, &f64)| {
            let f = super::super::special::normal_cdf(*x);
            (f - i as f64 / n as f64).abs().max((f - (i + 1) as f64 / n as f64).abs())
        };
        let distance = x.iter().enumerate().map(far).fold(0.0, f64::max);
        assert!(distance < 1.95 / (n as f64).sqrt(), "{distance}");
        assert!(x[0] < -4.4 && x[n - 1] > 4.4);
    }

    #[test]
    fn beta_numbers_are_beta() {
        let table = ziggurat();
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for (a, b) in [(0.5, 0.5), (1.0, 1.0), (2.0, 1.0), (0.3, 4.0), (30.0, 70.0)] {
            let (x, y) = (Gamma::new(a), Gamma::new(b));
            let n = 100_000;
            let mut draws: Vec<f64> = (0..n)
                .map(|_| {
                    let (x, y) = (x.draw(table, &mut rng), y.draw(table, &mut rng));
                    x / (x + y)
                })
                .collect();
            draws.sort_by(f64::total_cmp);
            let far = |(i, x): (usize, &f64)| (super::super::special::beta_cdf(*x, a, b) - i as f64 / n as f64).abs();
            let distance = draws.iter().enumerate().map(far).fold(0.0, f64::max);
            assert!(distance < 1.95 / (n as f64).sqrt(), "Beta({a}, {b}): {distance}");
        }
    }

    /// Groups are drawn as often as their members would be, one by one: against P(best) by quadrature.
    #[test]
    fn grouping_is_exact() {
        let shapes: Vec<(f64, f64)> =
            [vec![(1.0, 1.0); 70], vec![(2.0, 1.0); 5], vec![(3.0, 1.0)], vec![(4.0, 2.0); 70], vec![(1.0, 2.0); 9]]
                .concat();
        let mut sampler = ThompsonSampler::new(&vec![(9.0, 9.0); shapes.len()]).unwrap();
        for (arm, &(a, b)) in shapes.iter().enumerate() {
            sampler.update(arm, a, b).unwrap();
        }
        assert_eq!(sampler.groups.len(), 5);
        let posteriors: Vec<_> =
            shapes.iter().map(|&(a, b)| super::super::posterior::Posterior::Beta { a, b }).collect();
        let p = super::super::best::best(&posteriors, false).probabilities;
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let n = 200_000;
        let mut counts = vec![0.0; shapes.len()];
        (0..n).for_each(|_| counts[sampler.draw(&mut rng)] += 1.0);
        let chi2: f64 = counts.iter().zip(&p).map(|(c, p)| (c - p * n as f64).powi(2) / (p * n as f64)).sum();
        // 154 degrees of freedom: mean 154, standard deviation 17.5.
        assert!(chi2 < 154.0 + 4.0 * 17.5, "{chi2}");
    }
}
