//! Counters: the only truth. They form a commutative monoid of integers, so they do not know in which order they were fed.

use serde::{Deserialize, Serialize};

use super::metric::ONE;
use super::variant::VariantId;

/// What a counter counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// The concept.
    pub concept: String,
    /// The variant.
    pub variant: VariantId,
    /// The variant that it was compared with in a duel; of the two the one with the smaller id is `variant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<VariantId>,
    /// The metric.
    pub metric: String,
    /// The bucket of time of the decision (not of the reward, which may be late).
    pub epoch: u32,
}

/// Sums over the rewards of one key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Count {
    /// How many.
    pub n: i64,
    /// Σ r, in 2⁻²⁰.
    pub sum: i128,
    /// Σ r², in 2⁻⁴⁰.
    pub sq: i128,
    /// With a context x of d features: Σ r·x (d sums), then Σ x·xᵀ row by row to the diagonal, all in 2⁻⁴⁰.
    pub moments: Vec<i128>,
}

impl Count {
    /// The contribution of one reward.
    pub fn of(value: i64, context: &[i64]) -> Self {
        let wide: Vec<i128> = context.iter().map(|&x| i128::from(x)).collect();
        let value = i128::from(value);
        let mut moments: Vec<i128> = wide.iter().map(|x| x * value).collect();
        for (i, a) in wide.iter().enumerate() {
            moments.extend(wide[..=i].iter().map(|b| a * b));
        }
        Self { n: 1, sum: value, sq: value * value, moments }
    }

    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.n += other.n;
        self.sum += other.sum;
        self.sq += other.sq;
        if self.moments.len() < other.moments.len() {
            self.moments.resize(other.moments.len(), 0);
        }
        self.moments.iter_mut().zip(&other.moments).for_each(|(a, b)| *a += b);
    }

    /// Takes another away.
    pub fn subtract(&mut self, other: &Self) {
        let minus = |x: &i128| -x;
        let negative =
            Self { n: -other.n, sum: -other.sum, sq: -other.sq, moments: other.moments.iter().map(minus).collect() };
        self.add(&negative);
    }

    /// Whether nothing is left.
    pub fn is_zero(&self) -> bool {
        self.n == 0 && self.sum == 0 && self.sq == 0 && self.moments.iter().all(|m| *m == 0)
    }

    /// Σ r.
    pub fn total(&self) -> f64 {
        self.sum as f64 / ONE as f64
    }

    /// Σ r².
    pub fn squares(&self) -> f64 {
        self.sq as f64 / (ONE as f64 * ONE as f64)
    }

    /// As 64-bit integers that a store can add one by one: n, then each sum as three limbs of 2⁰, 2³², 2⁶⁴. The lower limbs
    /// of one reward are below 2³², so 2³¹ rewards fit.
    pub fn limbs(&self) -> Vec<i64> {
        let split = |x: &i128| [(x & 0xffff_ffff) as i64, ((x >> 32) & 0xffff_ffff) as i64, (x >> 64) as i64];
        let sums = [self.sum, self.sq];
        std::iter::once(self.n).chain(sums.iter().chain(&self.moments).flat_map(split)).collect()
    }

    /// From sums of limbs; missing ones are zero.
    pub fn from_limbs(limbs: &[i64]) -> Self {
        let join = |l: &[i64]| {
            let limb = |i: usize| i128::from(l.get(i).copied().unwrap_or(0));
            limb(0) + (limb(1) << 32) + (limb(2) << 64)
        };
        let mut sums = limbs.get(1..).unwrap_or_default().chunks(3).map(join);
        Self {
            n: limbs.first().copied().unwrap_or(0),
            sum: sums.next().unwrap_or(0),
            sq: sums.next().unwrap_or(0),
            moments: sums.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limbs_add_like_counts() {
        let rewards = [(ONE, vec![3, -7]), (-5, vec![1 << 30, 2]), (-(1 << 40), vec![-1, -1]), (1 << 40, vec![0, 5])];
        let mut whole = Count::default();
        let mut limbs = vec![0i64; 1 + 3 * (2 + 5)];
        for (value, context) in &rewards {
            let one = Count::of(*value, context);
            assert_eq!(Count::from_limbs(&one.limbs()), one);
            whole.add(&one);
            limbs.iter_mut().zip(one.limbs()).for_each(|(a, b)| *a += b);
        }
        assert_eq!(Count::from_limbs(&limbs), whole);
        for (value, context) in &rewards {
            whole.subtract(&Count::of(*value, context));
        }
        assert!(whole.is_zero());
    }
}
