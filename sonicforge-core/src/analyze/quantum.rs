//! Cuts a stream at fixed positions, so that every sum is made in one order however the host cuts its blocks, and keeps
//! what cannot be measured out of the meters.

use crate::audio::MAX_CHANNELS;

/// Frames of a quantum; quanta begin at multiples of it.
pub(crate) const QUANTUM: usize = 512;

/// Quieter than this all through a quantum (−300 dB) is silence: no meter can tell, and no denormal gets in.
const SILENCE: f32 = 1e-15;

/// One quantum of every channel, made finite.
#[derive(Debug, Clone)]
pub(crate) struct Quantum {
    samples: Vec<[f32; QUANTUM]>,
    /// How many frames are in it.
    pub(crate) frames: usize,
    /// Largest magnitude of each channel in a complete quantum.
    pub(crate) peaks: [f32; MAX_CHANNELS],
    /// Samples that were not finite, since the beginning.
    pub(crate) non_finite: u64,
}

impl Quantum {
    pub(crate) fn new(channels: usize) -> Self {
        Self { samples: vec![[0.0; QUANTUM]; channels], frames: 0, peaks: [0.0; MAX_CHANNELS], non_finite: 0 }
    }

    /// Takes frames from `start` on and returns how many it took; none are left to take when the quantum is full.
    pub(crate) fn fill(&mut self, channels: &[&[f32]], start: usize) -> usize {
        let n = (channels[0].len() - start).min(QUANTUM - self.frames);
        for (own, channel) in self.samples.iter_mut().zip(channels) {
            own[self.frames..self.frames + n].copy_from_slice(&channel[start..start + n]);
        }
        self.frames += n;
        n
    }

    /// To be called once when it is full, or at the end of the stream: cleans the samples and finds the peaks.
    pub(crate) fn complete(&mut self) {
        for (c, own) in self.samples.iter_mut().enumerate() {
            let own = &mut own[..self.frames];
            self.non_finite += make_finite(own);
            let peak = own.iter().fold(0.0f32, |m, x| m.max(x.abs()));
            if peak < SILENCE {
                own.fill(0.0);
            }
            self.peaks[c] = if peak < SILENCE { 0.0 } else { peak };
        }
    }

    pub(crate) fn channel(&self, c: usize) -> &[f32] {
        &self.samples[c][..self.frames]
    }

    pub(crate) fn channels(&self) -> usize {
        self.samples.len()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.frames == QUANTUM
    }

    pub(crate) fn clear(&mut self) {
        self.frames = 0;
    }
}

/// The bits of 10¹², 240 dB over full scale: what is larger is no sound, and its squares would not fit in f32.
const TOO_LARGE: u32 = 0x5368_d4a5;

/// Replaces NaN, infinity and what is beyond ±10¹² by 0 and says how many there were.
pub(crate) fn make_finite(samples: &mut [f32]) -> u64 {
    let bad = |x: f32| x.abs().to_bits() > TOO_LARGE;
    let count = samples.iter().fold(0u32, |n, &x| n + u32::from(bad(x)));
    if count > 0 {
        for x in samples.iter_mut().filter(|x| bad(**x)) {
            *x = 0.0;
        }
    }
    u64::from(count)
}
