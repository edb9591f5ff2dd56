//! From logits to one token.
//!
//! Classifier-free guidance (Ho & Salimans, 2022), temperature, top-k (Fan et al., 2018), nucleus or top-p sampling
//! (Holtzman et al., 2020), in this order and with the ties of transformers' logits processors.

use crate::error::{Error, Result};

/// How a token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it; 0 takes the most likely token always.
    pub temperature: f32,
    /// Only the k most likely tokens stay; 0 keeps all.
    pub top_k: usize,
    /// Only the most likely tokens that together reach this probability stay; 1 keeps all.
    pub top_p: f32,
}

impl Sampling {
    /// The most likely token, always.
    pub const GREEDY: Self = Self { temperature: 0.0, top_k: 0, top_p: 1.0 };

    /// Checks the ranges for a vocabulary of this size.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] that names the value.
    pub fn validate(&self, vocabulary: usize) -> Result<()> {
        crate::error::in_range("temperature", f64::from(self.temperature), 0.0, 100.0)?;
        if self.temperature > 0.0 && self.temperature < 1e-3 {
            let t = self.temperature;
            return Err(Error::invalid(format!(
                "temperature is {t}; expected 0 (greedy) or a number from 0.001 to 100"
            )));
        }
        if self.top_k > vocabulary {
            return Err(Error::invalid(format!(
                "top_k is {}; this model's codebooks have {vocabulary} entries; expected 0 (all) to {vocabulary}",
                self.top_k
            )));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::invalid(format!("top_p is {}; expected a number above 0, up to 1", self.top_p)));
        }
        Ok(())
    }

    /// The probabilities that a token is drawn from, one per logit. With temperature 0 all on the largest logit, the first
    /// of equals.
    pub fn probabilities(&self, logits: &[f32]) -> Vec<f32> {
        if self.temperature == 0.0 {
            let mut p = vec![0.0; logits.len()];
            p[most_likely(logits) as usize] = 1.0;
            return p;
        }
        let mut scores: Vec<f32> = logits.iter().map(|l| l / self.temperature).collect();
        if self.top_k > 0 && self.top_k < scores.len() {
            let mut sorted = scores.clone();
            let (_, kth, _) = sorted.select_nth_unstable_by(self.top_k - 1, |a, b| b.total_cmp(a));
            let kth = *kth;
            // Ties with the k-th stay, as in the reference.
            scores.iter_mut().filter(|s| **s < kth).for_each(|s| *s = f32::NEG_INFINITY);
        }
        let mut p = softmax(&scores);
        if self.top_p < 1.0 {
            // From the least likely up, tokens go while what has gone stays within 1 − top_p; the last one remains.
            let mut order: Vec<usize> = (0..p.len()).collect();
            order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            let mut gone = 0.0f32;
            for &i in &order[..order.len() - 1] {
                gone += p[i];
                if gone > 1.0 - self.top_p {
                    break;
                }
                scores[i] = f32::NEG_INFINITY;
            }
            p = softmax(&scores);
        }
        p
    }

    /// Draws a token: `uniform` in 0 to 1 (exclusive) picks it from the cumulated probabilities.
    pub fn draw(&self, logits: &[f32], uniform: f64) -> u32 {
        if self.temperature == 0.0 {
            return most_likely(logits);
        }
        let p = self.probabilities(logits);
        let total: f64 = p.iter().map(|&p| f64::from(p)).sum();
        let mut left = uniform * total;
        let mut last = 0;
        for (i, &p) in p.iter().enumerate() {
            if p > 0.0 {
                last = i;
                left -= f64::from(p);
                if left < 0.0 {
                    break;
                }
            }
        }
        last as u32
    }
}

/// `unconditional + (conditional − unconditional)·scale`, into `conditional`.
pub fn guide(conditional: &mut [f32], unconditional: &[f32], scale: f32) {
    for (c, u) in conditional.iter_mut().zip(unconditional) {
        *c = u + (*c - u) * scale;
    }
}

/// Index of the largest logit, the first of equals.
fn most_likely(logits: &[f32]) -> u32 {
    let mut best = 0;
    for (i, l) in logits.iter().enumerate() {
        if *l > logits[best] {
            best = i;
        }
    }
    best as u32
}

fn softmax(scores: &[f32]) -> Vec<f32> {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut p: Vec<f32> = scores.iter().map(|s| (s - max).exp()).collect();
    let total = p.iter().map(|&p| f64::from(p)).sum::<f64>() as f32;
    p.iter_mut().for_each(|p| *p /= total);
    p
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_k_and_top_p() {
        let logits = [1.0, 3.0, 2.0, 3.0, -5.0];
        let p = |temperature, top_k, top_p| Sampling { temperature, top_k, top_p }.probabilities(&logits);
        assert_eq!(p(0.0, 0, 1.0), [0.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(p(1.0, 2, 1.0), [0.0, 0.5, 0.0, 0.5, 0.0]);
        // Two tie for first place and both stay.
        assert_eq!(p(1.0, 1, 1.0), [0.0, 0.5, 0.0, 0.5, 0.0]);
        let all = p(1.0, 0, 1.0);
        assert!((all.iter().sum::<f32>() - 1.0).abs() < 1e-6 && all[4] > 0.0);
        // 0.40 + 0.40 + 0.15 reach 0.9; 0.05 does not belong to them.
        let nucleus = p(1.0, 0, 0.9);
        assert!(nucleus[0] == 0.0 && nucleus[4] == 0.0 && nucleus[2] > 0.0, "{nucleus:?}");
        // One always remains.
        assert_eq!(p(1.0, 0, 1e-6).iter().filter(|p| **p > 0.0).count(), 1);
    }

    #[test]
    fn drawing_follows_the_probabilities() {
        let s = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0 };
        let logits = [0.0, (2.0f32).ln(), f32::NEG_INFINITY, 0.0];
        let mut counts = [0; 4];
        for i in 0..1000 {
            counts[s.draw(&logits, (f64::from(i) + 0.5) / 1000.0) as usize] += 1;
        }
        assert_eq!(counts, [250, 500, 0, 250]);
        assert_eq!(s.draw(&logits, 0.999_999_999_999), 3);
        assert_eq!(Sampling::GREEDY.draw(&logits, 0.7), 1);
    }

    #[test]
    fn ranges() {
        let ok = Sampling { temperature: 1.0, top_k: 250, top_p: 1.0 };
        ok.validate(2048).unwrap();
        for (bad, word) in [
            (Sampling { temperature: f32::NAN, ..ok }, "temperature"),
            (Sampling { temperature: -1.0, ..ok }, "temperature"),
            (Sampling { temperature: 1e-5, ..ok }, "temperature"),
            (Sampling { top_k: 2049, ..ok }, "2049"),
            (Sampling { top_p: 0.0, ..ok }, "top_p"),
            (Sampling { top_p: f32::NAN, ..ok }, "top_p"),
        ] {
            let e = bad.validate(2048).unwrap_err();
            assert!(e.to_string().contains(word), "{e}");
        }
    }
}
