//! Loudness: ITU-R BS.1770-4 (<https://www.itu.int/rec/R-REC-BS.1770>), EBU Tech 3341 (momentary, short-term) and
//! EBU Tech 3342 (loudness range), <https://tech.ebu.ch/publications>.
//!
//! The mean squares of 100 ms blocks are kept (4 bytes each, 144 kB per hour): integrated loudness and range are worked out of them when
//! asked for. The momentary and short-term windows slide in ticks of 10 ms.

use crate::audio::{Block, MAX_CHANNELS, check_format};
use crate::dsp::k_weighting::KWeightingPair;
use crate::error::{Error, Result};
use crate::units::power_to_db;

use super::quantum::make_finite;

/// Ticks per second of the sliding windows.
const TICKS: u64 = 100;
/// Ticks per kept block of 100 ms.
const TICKS_PER_BLOCK: usize = 10;
/// Blocks of 100 ms in the momentary window (400 ms), which is also the gating block.
const MOMENTARY_BLOCKS: usize = 4;
/// Blocks of 100 ms in the short-term window (3 s).
const SHORT_TERM_BLOCKS: usize = 30;
/// A power of two above the 300 ticks of the short-term window.
const RING: usize = 512;
/// Frames that are cleaned at a time.
const CHUNK: usize = 256;

/// Loudness in LUFS of a channel-weighted mean square (BS.1770-4, equation 2).
fn loudness(mean_square: f64) -> f64 {
    -0.691 + power_to_db(mean_square)
}

fn mean_square(lufs: f64) -> f64 {
    10f64.powf((lufs + 0.691) / 10.0)
}

fn loudness_if_any(mean_square: f64) -> Option<f64> {
    (mean_square > 0.0).then(|| loudness(mean_square))
}

/// The weight of each channel's mean square, by the usual channel order (BS.1770-4, tables 3 and 4: 1.41 for azimuths of
/// 60° to 120°, 1 for the others, 0 for the LFE).
///
/// | channels | order | weights |
/// |---|---|---|
/// | 1, 2, 3 | M; L R; L R C | 1 |
/// | 4 | L R Ls Rs | 1 1 1.41 1.41 |
/// | 5 | L R C Ls Rs | 1 1 1 1.41 1.41 |
/// | 6 | L R C LFE Ls Rs | 1 1 1 0 1.41 1.41 |
/// | 7 | L R C LFE Cs Ls Rs | 1 1 1 0 1 1.41 1.41 |
/// | 8 | L R C LFE Lb Rb Ls Rs | 1 1 1 0 1 1 1.41 1.41 |
pub fn channel_weights(channels: usize) -> &'static [f64] {
    match channels {
        4 => &[1.0, 1.0, 1.41, 1.41],
        5 => &[1.0, 1.0, 1.0, 1.41, 1.41],
        6 => &[1.0, 1.0, 1.0, 0.0, 1.41, 1.41],
        7 => &[1.0, 1.0, 1.0, 0.0, 1.0, 1.41, 1.41],
        8 => &[1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.41, 1.41],
        n => &[1.0; 3][..n.min(3)],
    }
}

/// Integrated loudness in LUFS of the mean squares of consecutive 100 ms blocks (see [`LoudnessMeter::blocks`]): gating
/// blocks of 400 ms that overlap by 75 %, an absolute gate at −70 LUFS and a relative gate 10 LU below what passes it.
/// `None` when no gating block passes.
pub fn gated_loudness(blocks: &[f32]) -> Option<f64> {
    let gate = mean_square(-70.0);
    let (sum, n) = sum_above(blocks, MOMENTARY_BLOCKS, gate);
    if n == 0 {
        return None;
    }
    let (sum, n) = sum_above(blocks, MOMENTARY_BLOCKS, gate.max(sum / n as f64 / 10.0));
    (n > 0).then(|| loudness(sum / n as f64))
}

/// Loudness range in LU (EBU Tech 3342) of the mean squares of consecutive 100 ms blocks: the distance from the 10th to
/// the 95th percentile of the short-term loudness, taken every 100 ms, above an absolute gate at −70 LUFS and a relative
/// gate of −20 LU. `None` when nothing passes.
pub fn loudness_range(blocks: &[f32]) -> Option<f64> {
    let gate = mean_square(-70.0);
    let (sum, n) = sum_above(blocks, SHORT_TERM_BLOCKS, gate);
    if n == 0 {
        return None;
    }
    let gate = gate.max(sum / n as f64 / 100.0);
    let mut levels: Vec<f64> = window_means(blocks, SHORT_TERM_BLOCKS).filter(|&z| z >= gate).collect();
    levels.sort_by(f64::total_cmp);
    let at = |share: f64| levels[((levels.len() - 1) as f64 * share).round() as usize];
    (!levels.is_empty()).then(|| loudness(at(0.95)) - loudness(at(0.10)))
}

/// Mean of every run of `width` blocks.
fn window_means(blocks: &[f32], width: usize) -> impl Iterator<Item = f64> {
    blocks.windows(width).map(move |w| w.iter().map(|&z| f64::from(z)).sum::<f64>() / width as f64)
}

fn sum_above(blocks: &[f32], width: usize, gate: f64) -> (f64, usize) {
    window_means(blocks, width).filter(|&z| z > gate).fold((0.0, 0), |(sum, n), z| (sum + z, n + 1))
}

/// Measures loudness while the sound goes by. The readings do not depend on how it is cut into blocks.
#[derive(Debug, Clone)]
pub struct LoudnessMeter {
    sample_rate: u32,
    channels: usize,
    pairs: Vec<Pair>,
    /// Frames so far, and the frame that ends the tick being filled.
    position: u64,
    tick_end: u64,
    ticks: usize,
    /// Weighted energies of the last 3 s in ticks, and of the block being filled.
    ring: [f64; RING],
    block: f64,
    momentary: Window,
    short_term: Window,
    /// Mean squares of all complete blocks.
    blocks: Vec<f32>,
}

/// Two channels of the filter, and their weights.
#[derive(Debug, Clone)]
struct Pair {
    filter: KWeightingPair,
    channels: [usize; 2],
    weights: [f64; 2],
    energy: [f64; 2],
}

/// A sum of energies that slides.
#[derive(Debug, Clone)]
struct Window {
    width: usize,
    sum: f64,
    loudest: f64,
}

impl Window {
    fn new(blocks: usize) -> Self {
        Self { width: blocks * TICKS_PER_BLOCK, sum: 0.0, loudest: 0.0 }
    }

    /// Takes tick number `t`, which is already in the ring. At the end of every block the sum is made anew, so that no
    /// rounding stays behind.
    fn slide(&mut self, ring: &[f64; RING], t: usize) {
        let at = |back: usize| ring[(t + RING - back) % RING];
        self.sum = if t % TICKS_PER_BLOCK == TICKS_PER_BLOCK - 1 {
            (0..self.width).rev().map(at).sum()
        } else {
            (self.sum + at(0) - at(self.width)).max(0.0)
        };
        if t + 1 >= self.width {
            self.loudest = self.loudest.max(self.sum);
        }
    }
}

impl LoudnessMeter {
    /// A meter for sounds of this rate (8 000 to 384 000 Hz) and number of channels (1 to 8, ordered as in [`channel_weights`]).
    pub fn new(sample_rate: u32, channels: usize) -> Result<Self> {
        check_format(sample_rate, channels)?;
        let weights = channel_weights(channels);
        let heard: Vec<usize> = (0..channels).filter(|&c| weights[c] > 0.0).collect();
        let pairs = heard
            .chunks(2)
            .map(|pair| {
                let (left, right) = (pair[0], *pair.get(1).unwrap_or(&pair[0]));
                let right_weight = if pair.len() == 2 { weights[right] } else { 0.0 };
                Pair {
                    filter: KWeightingPair::new(sample_rate),
                    channels: [left, right],
                    weights: [weights[left], right_weight],
                    energy: [0.0; 2],
                }
            })
            .collect();
        let mut meter = Self {
            sample_rate,
            channels,
            pairs,
            position: 0,
            tick_end: 0,
            ticks: 0,
            ring: [0.0; RING],
            block: 0.0,
            momentary: Window::new(MOMENTARY_BLOCKS),
            short_term: Window::new(SHORT_TERM_BLOCKS),
            blocks: Vec::new(),
        };
        meter.tick_end = meter.end_of_tick(0);
        Ok(meter)
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        *self = Self::new(self.sample_rate, self.channels).expect("the format was checked when the meter was made");
    }

    /// Measures the next frames. NaN and infinity are taken as 0. Errors when the block has another number of channels.
    pub fn push(&mut self, block: &Block<'_>) -> Result<()> {
        check_channels(self.channels, block.channels())?;
        let mut clean = [[0.0f32; CHUNK]; MAX_CHANNELS];
        for start in (0..block.frames()).step_by(CHUNK) {
            let n = (block.frames() - start).min(CHUNK);
            for (c, own) in clean.iter_mut().enumerate().take(self.channels) {
                own[..n].copy_from_slice(&block.channel(c)[start..start + n]);
                make_finite(&mut own[..n]);
            }
            self.feed(n, |c| &clean[c][..n]);
        }
        Ok(())
    }

    /// Measures `frames` frames that are known to be finite.
    pub(super) fn feed<'a>(&mut self, frames: usize, channel: impl Fn(usize) -> &'a [f32]) {
        let mut start = 0;
        while start < frames {
            let n = ((self.tick_end - self.position) as usize).min(frames - start);
            for pair in &mut self.pairs {
                let [left, right] = pair.channels.map(|c| &channel(c)[start..start + n]);
                pair.filter.add_energy(left, right, &mut pair.energy);
            }
            self.position += n as u64;
            start += n;
            if self.position == self.tick_end {
                self.finish_tick();
            }
        }
    }

    fn finish_tick(&mut self) {
        let mut energy = 0.0;
        for pair in &mut self.pairs {
            energy += pair.weights[0] * pair.energy[0] + pair.weights[1] * pair.energy[1];
            pair.energy = [0.0; 2];
            pair.filter.flush();
        }
        self.ring[self.ticks % RING] = energy;
        self.momentary.slide(&self.ring, self.ticks);
        self.short_term.slide(&self.ring, self.ticks);
        self.block += energy;
        self.ticks += 1;
        if self.ticks % TICKS_PER_BLOCK == 0 {
            self.blocks.push((self.block * 10.0 / f64::from(self.sample_rate)) as f32);
            self.block = 0.0;
        }
        self.tick_end = self.end_of_tick(self.ticks);
    }

    /// The frame that ends tick `t`, to the nearest below: ticks of odd rates differ by a frame, but never drift.
    fn end_of_tick(&self, t: usize) -> u64 {
        (t as u64 + 1) * u64::from(self.sample_rate) / TICKS
    }

    fn mean_square(&self, window: &Window, energy: f64) -> Option<f64> {
        (self.ticks >= window.width)
            .then(|| energy * TICKS as f64 / (f64::from(self.sample_rate) * window.width as f64))
    }

    /// Loudness of the last 400 ms in LUFS, renewed every 10 ms; `None` before 400 ms have gone by, and in silence.
    pub fn momentary(&self) -> Option<f64> {
        self.mean_square(&self.momentary, self.momentary.sum).and_then(loudness_if_any)
    }

    /// Loudness of the last 3 s in LUFS, renewed every 10 ms; `None` before 3 s have gone by, and in silence.
    pub fn short_term(&self) -> Option<f64> {
        self.mean_square(&self.short_term, self.short_term.sum).and_then(loudness_if_any)
    }

    /// The loudest momentary reading so far, in LUFS.
    pub fn momentary_max(&self) -> Option<f64> {
        self.mean_square(&self.momentary, self.momentary.loudest).and_then(loudness_if_any)
    }

    /// The loudest short-term reading so far, in LUFS.
    pub fn short_term_max(&self) -> Option<f64> {
        self.mean_square(&self.short_term, self.short_term.loudest).and_then(loudness_if_any)
    }

    /// Gated loudness since the beginning, in LUFS; `None` when nothing passed the gate of −70 LUFS.
    pub fn integrated(&self) -> Option<f64> {
        gated_loudness(&self.blocks)
    }

    /// Loudness range since the beginning, in LU; `None` when nothing passed the gate of −70 LUFS.
    pub fn loudness_range(&self) -> Option<f64> {
        loudness_range(&self.blocks)
    }

    /// The K-weighted mean square of every complete 100 ms, summed over the channels with their weights. A gain of g dB
    /// multiplies them by 10^(g/10); [`gated_loudness`] and [`loudness_range`] work on them.
    pub fn blocks(&self) -> &[f32] {
        &self.blocks
    }

    /// Momentary (`width` 4) or short-term (30) loudness at the end of every block; `None` where it is not complete, or silent.
    pub(super) fn over_time(&self, width: usize) -> impl Iterator<Item = Option<f32>> {
        let early = (width - 1).min(self.blocks.len());
        std::iter::repeat_n(None, early)
            .chain(window_means(&self.blocks, width).map(|z| loudness_if_any(z).map(|l| l as f32)))
    }
}

/// Errors when a block has another number of channels than the meter was made for.
pub(super) fn check_channels(meter: usize, block: usize) -> Result<()> {
    if meter == block {
        return Ok(());
    }
    Err(Error::invalid(format!("the block has {block} channels, but the meter was made for {meter}")))
}
