//! Leading silence: dropped until the mean magnitude of the last 5 ms rises above a threshold.

/// Samples of the moving mean: 5 ms at 11 025 Hz.
const WINDOW: usize = 55;

#[derive(Debug, Clone)]
pub(super) struct LeadingSilence {
    threshold: u32,
    magnitudes: [u32; WINDOW],
    sum: u32,
    count: u32,
    at: usize,
    over: bool,
}

impl LeadingSilence {
    /// Silence is a mean magnitude of `threshold` or less, in steps of 16 bit.
    pub fn new(threshold: u32) -> Self {
        Self { threshold, magnitudes: [0; WINDOW], sum: 0, count: 0, at: 0, over: false }
    }

    /// The samples from the first on that is no longer silence.
    pub fn trim<'a>(&mut self, samples: &'a [i16]) -> &'a [i16] {
        if self.over {
            return samples;
        }
        for (i, &x) in samples.iter().enumerate() {
            let magnitude = u32::from(x.unsigned_abs());
            self.sum = self.sum + magnitude - self.magnitudes[self.at];
            self.magnitudes[self.at] = magnitude;
            self.at = (self.at + 1) % WINDOW;
            self.count = (self.count + 1).min(WINDOW as u32);
            if self.sum / self.count > self.threshold {
                self.over = true;
                return &samples[i..];
            }
        }
        &[]
    }
}
