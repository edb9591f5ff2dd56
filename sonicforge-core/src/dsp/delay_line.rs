//! A delay of whole frames.

/// A ring of `N`-lane frames.
#[derive(Debug, Clone)]
pub struct DelayLine<const N: usize> {
    ring: Vec<[f64; N]>,
    at: usize,
}

impl<const N: usize> DelayLine<N> {
    /// A delay of `frames`, filled with silence.
    pub fn new(frames: usize) -> Self {
        Self { ring: vec![[0.0; N]; frames], at: 0 }
    }

    /// By how many frames it delays.
    pub fn frames(&self) -> usize {
        self.ring.len()
    }

    /// The frame that leaves when `x` enters.
    #[inline(always)]
    pub fn step(&mut self, x: [f64; N]) -> [f64; N] {
        let Some(slot) = self.ring.get_mut(self.at) else { return x };
        let y = std::mem::replace(slot, x);
        self.at += 1;
        if self.at == self.ring.len() {
            self.at = 0;
        }
        y
    }

    /// The frame that will leave next.
    #[inline(always)]
    pub fn oldest(&self) -> [f64; N] {
        self.ring.get(self.at).copied().unwrap_or([0.0; N])
    }

    /// Forgets.
    pub fn reset(&mut self) {
        self.ring.fill([0.0; N]);
        self.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_by_its_length() {
        for frames in [0usize, 1, 5] {
            let mut d = DelayLine::<1>::new(frames);
            for n in 0..20 {
                let y = d.step([n as f64 + 1.0])[0];
                assert_eq!(y, if n < frames { 0.0 } else { (n - frames) as f64 + 1.0 });
            }
        }
    }
}
