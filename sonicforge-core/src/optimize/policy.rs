//! The policy is a probability vector: P(best), reshaped by what the host wants, in whole multiples of 2⁻⁵³.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, in_range};

/// How P(best) becomes a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Thompson sampling: as often as it is believed to be the best.
    #[default]
    Thompson,
    /// The same with max(draw, mean) in place of the draw: less regret.
    Optimistic,
    /// Half of the time the best but one (Russo, 2016): finds a winner with the fewest samples, at more regret.
    TopTwo,
}

/// What the policy must keep to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyParams {
    /// Thompson, optimistic or top-two.
    pub mode: Mode,
    /// Share of the traffic that is spread evenly over the offered variants, 0 to 1: each has at least floor / K. Off-policy
    /// evaluation needs it.
    pub floor: f64,
    /// The control has at least this share, 0 to 1.
    pub control_share: f64,
    /// No variant has more than this, above 0, up to 1; where that cannot be, all have the same.
    pub max_share: f64,
}

impl Default for PolicyParams {
    fn default() -> Self {
        Self { mode: Mode::Thompson, floor: 0.0, control_share: 0.0, max_share: 1.0 }
    }
}

impl PolicyParams {
    pub(super) fn validate(&self) -> Result<()> {
        in_range("floor", self.floor, 0.0, 1.0)?;
        in_range("control_share", self.control_share, 0.0, 1.0)?;
        in_range("max_share", self.max_share, 0.0, 1.0)?;
        if self.max_share == 0.0 {
            return Err(Error::invalid("max_share is 0; expected a number above 0, up to 1"));
        }
        if self.floor + self.control_share > 1.0 {
            let (f, c) = (self.floor, self.control_share);
            return Err(Error::invalid(format!("floor {f} and control_share {c} are more than 1 together")));
        }
        if self.control_share > self.max_share {
            let (c, m) = (self.control_share, self.max_share);
            return Err(Error::invalid(format!("control_share is {c} and max_share {m}; expected no more than that")));
        }
        Ok(())
    }

    /// The policy from probabilities of being the best, which sum to 1.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an empty vector, one that does not sum to 1, and parameters out of range.
    pub fn policy(&self, best: &[f64], control: Option<usize>) -> Result<Policy> {
        self.validate()?;
        let sum: f64 = best.iter().sum();
        if best.is_empty() || (sum - 1.0).abs() > 1e-6 || best.iter().any(|p| p.is_nan() || *p < 0.0) {
            let n = best.len();
            return Err(Error::invalid(format!("{n} probabilities that sum to {sum}; expected some that sum to 1")));
        }
        if control.is_some_and(|c| c >= best.len()) {
            return Err(Error::invalid(format!("control is {control:?}; expected less than {}", best.len())));
        }
        Ok(self.shape(best, control))
    }

    /// The policy from P(best) over the offered variants, of which one may be the control.
    pub(super) fn shape(&self, best: &[f64], control: Option<usize>) -> Policy {
        let k = best.len();
        let mut p = if self.mode == Mode::TopTwo { top_two(best) } else { best.to_vec() };
        let even = self.floor / k as f64;
        let least = |i: usize| if control == Some(i) { even.max(self.control_share) } else { even };
        let reserved: f64 = (0..k).map(least).sum();
        let most = self.max_share.max(1.0 / k as f64);
        let free = (1.0 - reserved).max(0.0);
        p.iter_mut().enumerate().for_each(|(i, p)| *p = least(i) + free * *p);
        // What is over the cap flows to the others, in proportion to what they have.
        for _ in 0..k {
            let over: f64 = p.iter().map(|p| (p - most).max(0.0)).sum();
            if over <= 1e-15 {
                break;
            }
            let room: f64 = p.iter().filter(|p| **p < most).sum();
            let below = p.iter().filter(|p| **p < most).count() as f64;
            for p in &mut p {
                *p = if *p >= most {
                    most
                } else if room > 0.0 {
                    *p + over * *p / room
                } else {
                    *p + over / below
                };
            }
        }
        Policy::new(&p, |i| least(i).min(most))
    }
}

/// Half the leader, half the best of the others, as drawn anew until they differ: ½pⱼ + ½ Σᵢ≠ⱼ pᵢ pⱼ/(1 − pᵢ).
fn top_two(p: &[f64]) -> Vec<f64> {
    if p.len() < 2 {
        return p.to_vec();
    }
    // 1 − p from the others, so that it is not lost beside 1.
    let sum: f64 = p.iter().sum();
    let others: Vec<f64> =
        (0..p.len())
            .map(|i| {
                if p[i] > 0.5 {
                    p.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, p)| p).sum()
                } else {
                    sum - p[i]
                }
            })
            .collect();
    let ratio = |i: usize| if others[i] > 0.0 { p[i] / others[i] } else { 0.0 };
    let all: f64 = (0..p.len()).map(ratio).sum();
    let q: Vec<f64> = (0..p.len()).map(|j| 0.5 * p[j] + 0.5 * p[j] * (all - ratio(j))).collect();
    let total: f64 = q.iter().sum();
    q.iter().map(|q| q / total).collect()
}

const UNITS: u64 = 1 << 53;

/// A probability vector whose entries are exact, and the table that it is drawn from.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    probabilities: Vec<f64>,
    /// Where each share ends, in 2⁻⁵³.
    ends: Vec<u64>,
}

impl Policy {
    /// From what sums to about 1; `least` is kept whatever rounding does.
    fn new(p: &[f64], least: impl Fn(usize) -> f64) -> Self {
        let units = |p: f64| (p * UNITS as f64) as u64;
        let mut shares: Vec<u64> =
            p.iter().enumerate().map(|(i, p)| units(*p).max(libm::ceil(least(i) * UNITS as f64) as u64)).collect();
        // The largest takes up the difference.
        let sum: i128 = shares.iter().map(|s| i128::from(*s)).sum();
        let mut missing = i128::from(UNITS) - sum;
        while missing != 0 {
            let largest = (0..p.len()).fold(0, |m, i| if shares[i] > shares[m] { i } else { m });
            let given = missing.max(-i128::from(shares[largest]));
            shares[largest] = (i128::from(shares[largest]) + given) as u64;
            missing -= given;
        }
        let mut end = 0;
        let ends = shares.iter().map(|s| {
            end += s;
            end
        });
        Self { ends: ends.collect(), probabilities: shares.iter().map(|s| *s as f64 / UNITS as f64).collect() }
    }

    /// The probabilities; they sum to 1 exactly.
    pub fn probabilities(&self) -> &[f64] {
        &self.probabilities
    }

    /// The entry that a random number falls on, of which the upper 53 bits are taken.
    #[inline]
    pub fn draw(&self, random: u64) -> usize {
        let at = random >> 11;
        if self.ends.len() <= 16 {
            return self.ends.iter().take_while(|end| **end <= at).count();
        }
        self.ends.partition_point(|end| *end <= at)
    }
}

/// With what probability each is among the first k of draws without putting back, where the weights are p: item i comes at an
/// exponential time of rate pᵢ, and is in when fewer than k others came before: ∫₀¹ P(N₋ᵢ(−ln u / pᵢ) < k) du.
pub(super) fn inclusion(p: &[f64], k: usize) -> Vec<f64> {
    if k >= p.len() {
        return p.iter().map(|p| if *p > 0.0 { 1.0 } else { 0.0 }).collect();
    }
    const STEPS: usize = 400;
    let mut out: Vec<f64> = Vec::with_capacity(p.len());
    for (i, &own) in p.iter().enumerate() {
        if own <= 0.0 {
            out.push(0.0);
            continue;
        }
        let mut sum = 0.0;
        for step in 0..STEPS {
            // v³ in place of u takes the infinite slope at 0 away, where it is.
            let v = (step as f64 + 0.5) / STEPS as f64;
            let time = -3.0 * super::special::ln(v) / own;
            let mut came = vec![0.0; k];
            came[0] = 1.0;
            for (j, &other) in p.iter().enumerate() {
                if j != i {
                    let by = -libm::expm1(-other * time);
                    for c in (0..k).rev() {
                        came[c] = came[c] * (1.0 - by) + if c > 0 { came[c - 1] * by } else { 0.0 };
                    }
                }
            }
            sum += 3.0 * v * v * came.iter().sum::<f64>();
        }
        out.push((sum / STEPS as f64).min(1.0));
    }
    // They sum to k.
    let all: f64 = out.iter().sum();
    out.iter().map(|x| (x * k as f64 / all).min(1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_promises_are_kept_exactly() {
        let p = [0.97, 0.029_999, 1e-6, 0.0];
        for (floor, control_share, max_share) in
            [(0.1, 0.0, 1.0), (0.02, 0.3, 0.6), (1.0, 0.0, 1.0), (0.0, 0.5, 0.5), (0.3, 0.1, 0.26)]
        {
            let params = PolicyParams { floor, control_share, max_share, ..PolicyParams::default() };
            params.validate().unwrap();
            let policy = params.shape(&p, Some(3));
            let q = policy.probabilities();
            assert_eq!(q.iter().sum::<f64>(), 1.0);
            assert!(q.iter().all(|q| *q >= floor / 4.0), "{q:?}");
            assert!(q[3] >= control_share && q.iter().all(|q| *q <= max_share + 1e-12), "{q:?}");
        }
    }

    #[test]
    fn draws_are_what_the_vector_says() {
        let policy = PolicyParams { floor: 0.2, ..PolicyParams::default() }.shape(&[0.5, 0.0, 0.25, 0.25], None);
        assert_eq!(policy.draw(0), 0);
        assert_eq!(policy.draw(u64::MAX), 3);
        let mut found = vec![0.0; 4];
        let n = 1 << 16;
        (0..n).for_each(|i| found[policy.draw((i as u64) << 48)] += 1.0 / f64::from(n));
        assert!(found.iter().zip(policy.probabilities()).all(|(f, p)| (f - p).abs() < 1e-4), "{found:?}");
    }

    #[test]
    fn top_two_is_what_drawing_twice_gives() {
        let q = top_two(&[0.6, 0.3, 0.1]);
        let by_hand = 0.5 * 0.3 + 0.5 * (0.6 * 0.3 / 0.4 + 0.1 * 0.3 / 0.9);
        assert!((q[1] - by_hand).abs() < 1e-15, "{q:?}");
        assert_eq!(top_two(&[1.0, 0.0])[1], 0.0);
        let q = top_two(&[1.0, 1e-18]);
        assert!((q[1] - 0.5).abs() < 1e-12, "{q:?}");
    }

    #[test]
    fn inclusion_in_the_first_two() {
        let p = [0.5, 0.3, 0.15, 0.05];
        let exact =
            |i: usize| -> f64 { p[i] + (0..4).filter(|&j| j != i).map(|j| p[j] * p[i] / (1.0 - p[j])).sum::<f64>() };
        for (i, found) in inclusion(&p, 2).into_iter().enumerate() {
            assert!((found - exact(i)).abs() < 2e-5, "{i}: {found} {}", exact(i));
        }
        assert_eq!(inclusion(&p, 4), [1.0; 4]);
    }
}
