//! One FLAC frame: prediction, Rice coding, bits.
//!
//! Sources: RFC 9639, "Free Lossless Audio Codec (FLAC)" (§9, the format; the letters are its own); T. Robinson, "SHORTEN:
//! Simple lossless and near-lossless waveform compression", CUED/F-INFENG/TR.156, 1994 (fixed predictors, Rice codes);
//! J. Makhoul, "Linear prediction: a tutorial review", Proc. IEEE 63, 1975 (autocorrelation method).

use symphonia::core::checksum::{Crc8Ccitt, Crc16Ansi};
use symphonia::core::io::Monitor;

/// Order of the linear predictor: as the reference encoder's default.
const LPC_ORDER: usize = 8;
/// The highest order of the fixed predictors.
const FIXED_ORDER: usize = 4;
/// A block is cut into at most 2^6 parts with a Rice parameter each.
const MAX_PARTITION_ORDER: u32 = 6;
/// The largest Rice parameter of the code with 5 bits per parameter (31 is the escape).
const MAX_RICE: u32 = 30;

/// What all frames of a stream have in common.
pub(crate) struct FrameCoder {
    sample_rate: u32,
    bits: u32,
    /// The window of the linear prediction, for blocks of its length.
    window: Vec<f64>,
    windowed: Vec<f64>,
    /// Mid and side of the block.
    mid: Vec<i32>,
    side: Vec<i32>,
    lpc: Residual,
    fixed: Residual,
    out: Bits,
}

/// What a predictor leaves, and what coding it costs.
#[derive(Default)]
struct Residual {
    values: Vec<i32>,
    rice: Rice,
    bits: u64,
}

/// How a residual is coded.
#[derive(Default, Clone)]
struct Rice {
    partition_order: u32,
    parameters: Vec<u32>,
}

/// A linear predictor in integers: `Σ coefficients[i] · x[n − 1 − i] >> shift`.
struct Lpc {
    coefficients: Vec<i32>,
    precision: u32,
    shift: u32,
}

impl FrameCoder {
    pub(crate) fn new(sample_rate: u32, bits: u32) -> Self {
        Self {
            sample_rate,
            bits,
            window: Vec::new(),
            windowed: Vec::new(),
            mid: Vec::new(),
            side: Vec::new(),
            lpc: Residual::default(),
            fixed: Residual::default(),
            out: Bits::default(),
        }
    }

    /// Codes a block (1 to 65 536 frames, 1 to 8 channels) as frame `number` of a stream of fixed blocks.
    pub(crate) fn encode(&mut self, channels: &[Vec<i32>], number: u32) -> &[u8] {
        let frames = channels[0].len();
        if self.window.len() != frames {
            self.window = welch(frames);
        }
        self.out.clear();
        let stereo = (channels.len() == 2).then(|| self.stereo(&channels[0], &channels[1]));
        self.header(frames, number, stereo.map_or(channels.len() as u64 - 1, |s| s as u64));
        let (mid, side) = (std::mem::take(&mut self.mid), std::mem::take(&mut self.side));
        match stereo {
            Some(Stereo::LeftSide) => {
                self.subframe(&channels[0], self.bits);
                self.subframe(&side, self.bits + 1);
            }
            Some(Stereo::SideRight) => {
                self.subframe(&side, self.bits + 1);
                self.subframe(&channels[1], self.bits);
            }
            Some(Stereo::MidSide) => {
                self.subframe(&mid, self.bits);
                self.subframe(&side, self.bits + 1);
            }
            _ => channels.iter().for_each(|x| self.subframe(x, self.bits)),
        }
        (self.mid, self.side) = (mid, side);
        self.out.align();
        let mut crc = Crc16Ansi::new(0);
        crc.process_buf_bytes(&self.out.bytes);
        self.out.bytes.extend(crc.crc().to_be_bytes());
        &self.out.bytes
    }

    /// Chooses the pair of channels that looks cheapest, by the second differences.
    fn stereo(&mut self, left: &[i32], right: &[i32]) -> Stereo {
        self.mid.clear();
        self.side.clear();
        self.mid.extend(left.iter().zip(right).map(|(l, r)| (l + r) >> 1));
        self.side.extend(left.iter().zip(right).map(|(l, r)| l - r));
        // About the bits per sample of noise of this size.
        let cost = |x: &[i32]| {
            let sum: f64 = x.windows(3).map(|w| f64::from((w[2] - 2 * w[1] + w[0]).abs())).sum();
            (1.0 + sum / x.len() as f64).log2()
        };
        let (l, r, m, s) = (cost(left), cost(right), cost(&self.mid), cost(&self.side));
        let candidates = [
            (l + r, Stereo::LeftRight),
            (l + s, Stereo::LeftSide),
            (s + r, Stereo::SideRight),
            (m + s, Stereo::MidSide),
        ];
        candidates.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).map_or(Stereo::LeftRight, |(_, stereo)| stereo)
    }

    /// §9.1: sync, block size, sample rate, channels, bits, number, and their CRC.
    fn header(&mut self, frames: usize, number: u32, channels: u64) {
        let out = &mut self.out;
        out.put(0xFFF8, 16);
        let block = if frames == 4_096 { 12 } else { 7 };
        let rate = self.sample_rate;
        let (code, tail, tail_bits) = match rate {
            88_200 => (1, 0, 0),
            176_400 => (2, 0, 0),
            192_000 => (3, 0, 0),
            8_000 => (4, 0, 0),
            16_000 => (5, 0, 0),
            22_050 => (6, 0, 0),
            24_000 => (7, 0, 0),
            32_000 => (8, 0, 0),
            44_100 => (9, 0, 0),
            48_000 => (10, 0, 0),
            96_000 => (11, 0, 0),
            _ if rate % 1_000 == 0 && rate < 256_000 => (12, rate / 1_000, 8),
            _ if rate < 65_536 => (13, rate, 16),
            _ if rate % 10 == 0 => (14, rate / 10, 16),
            // See STREAMINFO.
            _ => (0, 0, 0),
        };
        out.put(block << 4 | code, 8);
        out.put(channels << 4 | if self.bits == 16 { 4 } else { 6 } << 1, 8);
        out.coded_number(number);
        if block == 7 {
            out.put(frames as u64 - 1, 16);
        }
        out.put(u64::from(tail), tail_bits);
        let mut crc = Crc8Ccitt::new(0);
        crc.process_buf_bytes(&out.bytes);
        out.put(u64::from(crc.crc()), 8);
    }

    /// §9.2: a constant, what a predictor leaves, or the samples as they are.
    fn subframe(&mut self, x: &[i32], bits: u32) {
        if x.iter().all(|v| *v == x[0]) {
            self.out.put(0, 8);
            self.out.put_signed(x[0], bits);
            return;
        }
        let order = self.try_fixed(x, bits);
        let lpc = self.try_lpc(x, bits);
        let verbatim = u64::from(bits) * x.len() as u64;
        let out = &mut self.out;
        match lpc {
            Some(lpc) if self.lpc.bits < self.fixed.bits.min(verbatim) => {
                let order = lpc.coefficients.len();
                out.put((0x20 | (order as u64 - 1)) << 1, 8);
                x[..order].iter().for_each(|v| out.put_signed(*v, bits));
                out.put(u64::from(lpc.precision) - 1, 4);
                out.put(u64::from(lpc.shift), 5);
                lpc.coefficients.iter().for_each(|c| out.put_signed(*c, lpc.precision));
                out.residual(&self.lpc, order);
            }
            _ if self.fixed.bits < verbatim => {
                out.put((0x08 | order as u64) << 1, 8);
                x[..order].iter().for_each(|v| out.put_signed(*v, bits));
                out.residual(&self.fixed, order);
            }
            _ => {
                out.put(0x01 << 1, 8);
                x.iter().for_each(|v| out.put_signed(*v, bits));
            }
        }
    }

    /// Fills `self.fixed` with the residual of the best fixed predictor and says its order.
    fn try_fixed(&mut self, x: &[i32], bits: u32) -> usize {
        let mut sums = [0u64; FIXED_ORDER + 1];
        let mut last = [0i32; FIXED_ORDER];
        // The difference of order k is the difference of the difference of order k − 1.
        for (n, &v) in x.iter().enumerate() {
            let mut e = v;
            for k in 0..=FIXED_ORDER {
                if n >= FIXED_ORDER {
                    sums[k] += u64::from(e.unsigned_abs());
                }
                if k < FIXED_ORDER {
                    let next = e.wrapping_sub(last[k]);
                    last[k] = e;
                    e = next;
                }
            }
        }
        let order = (0..=FIXED_ORDER.min(x.len() - 1)).min_by_key(|k| sums[*k]).unwrap_or(0);
        let e = &mut self.fixed.values;
        e.clear();
        match order {
            0 => e.extend_from_slice(x),
            1 => e.extend(x.windows(2).map(|w| w[1] - w[0])),
            2 => e.extend(x.windows(3).map(|w| w[2] - 2 * w[1] + w[0])),
            3 => e.extend(x.windows(4).map(|w| w[3] - 3 * w[2] + 3 * w[1] - w[0])),
            _ => e.extend(x.windows(5).map(|w| w[4] - 4 * w[3] + 6 * w[2] - 4 * w[1] + w[0])),
        }
        self.fixed.choose_rice(x.len(), order);
        self.fixed.bits += u64::from(bits) * order as u64;
        order
    }

    /// Fills `self.lpc` with the residual of a linear predictor; `None` when there is none that is worth it.
    fn try_lpc(&mut self, x: &[i32], bits: u32) -> Option<Lpc> {
        if x.len() < 4 * LPC_ORDER {
            return None;
        }
        self.windowed.clear();
        self.windowed.extend(x.iter().zip(&self.window).map(|(x, w)| f64::from(*x) * w));
        let r = autocorrelation(&self.windowed);
        // With 16 bits, 32-bit sums suffice: 17 bits of sample, 12 of coefficient, 3 for eight of them.
        let narrow = bits <= 17;
        let lpc = predictor(&r, x.len(), bits, if narrow { 12 } else { 14 })?;
        let order = lpc.coefficients.len();
        let e = &mut self.lpc.values;
        e.clear();
        if narrow {
            predict_narrow(x, &lpc, e);
        } else if !predict_wide(x, &lpc, e) {
            return None;
        }
        self.lpc.choose_rice(x.len(), order);
        self.lpc.bits += u64::from(bits + lpc.precision) * order as u64 + 9;
        Some(lpc)
    }
}

#[derive(Clone, Copy)]
#[repr(u8)]
enum Stereo {
    LeftRight = 1,
    LeftSide = 8,
    SideRight = 9,
    MidSide = 10,
}

/// Welch's window: a parabola.
fn welch(n: usize) -> Vec<f64> {
    let half = (n as f64 - 1.0) / 2.0;
    (0..n).map(|i| 1.0 - ((i as f64 - half) / (half + 1.0)).powi(2)).collect()
}

/// Lags 0 to `LPC_ORDER`, all in one pass.
fn autocorrelation(x: &[f64]) -> [f64; LPC_ORDER + 1] {
    let mut r = [0.0; LPC_ORDER + 1];
    for window in x.windows(LPC_ORDER + 1) {
        for (r, past) in r.iter_mut().zip(window) {
            // Lag LPC_ORDER first: the loop over the window runs forwards.
            *r += window[LPC_ORDER] * past;
        }
    }
    r.reverse();
    // The first frames are the newest of no full window.
    for n in 0..LPC_ORDER.min(x.len()) {
        for lag in 0..=n {
            r[lag] += x[n] * x[n - lag];
        }
    }
    r
}

/// Levinson–Durbin; the order that promises the fewest bits; coefficients rounded to `precision` bits with the rounding error
/// handed on.
fn predictor(r: &[f64; LPC_ORDER + 1], frames: usize, bits: u32, precision: u32) -> Option<Lpc> {
    if r[0] <= 0.0 {
        return None;
    }
    let mut a = [0.0; LPC_ORDER];
    let mut error = r[0];
    let mut best: Option<(f64, usize, [f64; LPC_ORDER])> = None;
    for i in 0..LPC_ORDER {
        let k = (r[i + 1] - (0..i).map(|j| a[j] * r[i - j]).sum::<f64>()) / error;
        let previous = a;
        a[i] = k;
        for j in 0..i {
            a[j] = previous[j] - k * previous[i - 1 - j];
        }
        error *= 1.0 - k * k;
        if error.is_nan() || error <= 0.0 {
            break;
        }
        let order = i + 1;
        let per_sample = (0.5 * (error / frames as f64).log2()).max(0.0);
        let cost = per_sample * (frames - order) as f64 + f64::from((bits + precision) * order as u32);
        if best.is_none_or(|(least, ..)| cost < least) {
            best = Some((cost, order, a));
        }
    }
    let (_, order, a) = best?;
    let largest = a[..order].iter().fold(0.0f64, |m, c| m.max(c.abs()));
    // Largest shift that keeps every coefficient inside ±2^(precision − 1).
    let exponent = largest.log2().floor() as i32 + 1;
    let shift = (precision as i32 - 1 - exponent).min(15);
    if largest == 0.0 || shift < 0 {
        return None;
    }
    let limit = (1i64 << (precision - 1)) as f64;
    let mut carry = 0.0;
    let coefficients = a[..order]
        .iter()
        .map(|c| {
            let wanted = c * f64::from(1u32 << shift) + carry;
            let rounded = wanted.round().clamp(-limit, limit - 1.0);
            carry = wanted - rounded;
            rounded as i32
        })
        .collect();
    Some(Lpc { coefficients, precision, shift: shift as u32 })
}

fn predict_narrow(x: &[i32], lpc: &Lpc, out: &mut Vec<i32>) {
    let order = lpc.coefficients.len();
    // Zeros in front make the order a constant, so that the loop is unrolled.
    let mut c = [0i32; LPC_ORDER];
    lpc.coefficients.iter().rev().zip(&mut c[LPC_ORDER - order..]).for_each(|(a, c)| *c = *a);
    let slow = |n: usize| {
        let sum: i32 = lpc.coefficients.iter().enumerate().map(|(i, c)| c * x[n - 1 - i]).sum();
        x[n] - (sum >> lpc.shift)
    };
    out.extend((order..LPC_ORDER.min(x.len())).map(slow));
    out.extend(x.windows(LPC_ORDER + 1).map(|w| {
        let sum: i32 = (0..LPC_ORDER).map(|i| c[i] * w[i]).sum();
        w[LPC_ORDER] - (sum >> lpc.shift)
    }));
}

/// The same with 64-bit sums; `false` when a residual does not fit its 32 bits.
fn predict_wide(x: &[i32], lpc: &Lpc, out: &mut Vec<i32>) -> bool {
    let order = lpc.coefficients.len();
    let mut c = [0i64; LPC_ORDER];
    lpc.coefficients.iter().rev().zip(&mut c[LPC_ORDER - order..]).for_each(|(a, c)| *c = i64::from(*a));
    let slow = |n: usize| {
        let sum: i64 = lpc.coefficients.iter().enumerate().map(|(i, c)| i64::from(*c) * i64::from(x[n - 1 - i])).sum();
        i64::from(x[n]) - (sum >> lpc.shift)
    };
    let mut reach = 0u64;
    let mut keep = |e: i64| {
        reach |= e.unsigned_abs();
        e as i32
    };
    out.extend((order..LPC_ORDER.min(x.len())).map(|n| keep(slow(n))));
    out.extend(x.windows(LPC_ORDER + 1).map(|w| {
        let sum: i64 = (0..LPC_ORDER).map(|i| c[i] * i64::from(w[i])).sum();
        keep(i64::from(w[LPC_ORDER]) - (sum >> lpc.shift))
    }));
    reach < 1 << 30
}

/// §9.2.7.3: signs folded into the lowest bit.
fn folded(e: i32) -> u32 {
    ((e << 1) ^ (e >> 31)) as u32
}

/// The cheapest Rice parameter for `n` values of this sum, and its bits (nearly).
fn rice_parameter(sum: u64, n: u64) -> (u32, u64) {
    let mean = sum / n.max(1);
    let guess = mean.max(1).ilog2().min(MAX_RICE);
    (guess.saturating_sub(1)..=(guess + 1).min(MAX_RICE))
        .map(|k| (k, n * u64::from(k + 1) + (sum >> k)))
        .min_by_key(|(_, bits)| *bits)
        .unwrap_or((0, sum + n))
}

impl Residual {
    /// Chooses partitions and parameters for a block of `frames` frames, of which the first `order` are not coded here.
    fn choose_rice(&mut self, frames: usize, order: usize) {
        let finest = (0..=MAX_PARTITION_ORDER)
            .rev()
            .find(|p| frames % (1 << p) == 0 && frames >> p > order.max(15))
            .unwrap_or(0);
        let length = frames >> finest;
        // Sums of the finest partitions; the first is shorter by the order.
        let mut sums: Vec<(u64, u64)> = Vec::with_capacity(1 << finest);
        let (first, rest) = self.values.split_at(length - order);
        let sum = |part: &[i32]| (part.iter().map(|e| u64::from(folded(*e))).sum::<u64>(), part.len() as u64);
        sums.push(sum(first));
        sums.extend(rest.chunks_exact(length).map(sum));
        let mut best: Option<(u64, Rice)> = None;
        for partition_order in (0..=finest).rev() {
            let chosen: Vec<(u32, u64)> = sums.iter().map(|(sum, n)| rice_parameter(*sum, *n)).collect();
            let bits = chosen.iter().map(|(_, bits)| bits + 5).sum::<u64>() + 6;
            if best.as_ref().is_none_or(|(least, _)| bits < *least) {
                let parameters = chosen.into_iter().map(|(k, _)| k).collect();
                best = Some((bits, Rice { partition_order, parameters }));
            }
            sums = sums.chunks(2).map(|pair| pair.iter().fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))).collect();
        }
        if let Some((bits, rice)) = best {
            (self.bits, self.rice) = (bits, rice);
        }
    }
}

/// Bits, most significant first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// The last `count` (under 8 between calls) bits are not in `bytes` yet.
    waiting: u64,
    count: u32,
}

impl Bits {
    fn clear(&mut self) {
        self.bytes.clear();
        (self.waiting, self.count) = (0, 0);
    }

    /// Appends the lowest `bits` (at most 56) of `value`, which has no others.
    #[inline]
    fn put(&mut self, value: u64, bits: u32) {
        debug_assert!(bits <= 56 && value >> bits == 0);
        self.waiting = self.waiting << bits | value;
        self.count += bits;
        if self.count >= 8 {
            let whole = self.count / 8;
            let left = self.waiting << (64 - self.count);
            self.bytes.extend_from_slice(&left.to_be_bytes()[..whole as usize]);
            self.count %= 8;
            self.waiting &= (1 << self.count) - 1;
        }
    }

    #[inline]
    fn put_signed(&mut self, value: i32, bits: u32) {
        self.put(value as u64 & ((1 << bits) - 1), bits);
    }

    /// Zeros up to the next whole byte.
    fn align(&mut self) {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
    }

    /// §9.1.5: a number of up to 31 bits, coded like UTF-8.
    fn coded_number(&mut self, number: u32) {
        let number = u64::from(number);
        if number < 0x80 {
            return self.put(number, 8);
        }
        // n bytes hold 5n + 1 bits.
        let tail = (1..6).find(|tail| number >> (5 * (tail + 1) + 1) == 0).unwrap_or(5);
        let lead = (0xFF00u64 >> (tail + 1)) & 0xFF;
        self.put(lead | number >> (6 * tail), 8);
        for i in (0..tail).rev() {
            self.put(0x80 | (number >> (6 * i) & 0x3F), 8);
        }
    }

    /// §9.2.7: the coded residual.
    fn residual(&mut self, residual: &Residual, order: usize) {
        let Rice { partition_order, parameters } = &residual.rice;
        let wide = parameters.iter().any(|k| *k > 14);
        self.put(u64::from(wide), 2);
        self.put(u64::from(*partition_order), 4);
        let length = (residual.values.len() + order) >> partition_order;
        let mut values = &residual.values[..];
        for (i, &k) in parameters.iter().enumerate() {
            self.put(u64::from(k), if wide { 5 } else { 4 });
            let (part, rest) = values.split_at(if i == 0 { length - order } else { length });
            values = rest;
            for &e in part {
                let u = folded(e);
                let (mut zeros, low) = (u >> k, u64::from(u) & ((1 << k) - 1));
                if zeros + 1 + k <= 56 {
                    self.put(1 << k | low, zeros + 1 + k);
                } else {
                    while zeros > 48 {
                        self.put(0, 48);
                        zeros -= 48;
                    }
                    self.put(1, zeros + 1);
                    self.put(low, k);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_order() {
        let mut bits = Bits::default();
        bits.put(1, 1);
        bits.put_signed(-1, 3);
        bits.put(0x1234_5678_9ABC, 48);
        bits.put(5, 3);
        bits.align();
        assert_eq!(bits.bytes, [0xF1, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCA]);
    }

    #[test]
    fn numbers_are_coded_like_utf_8() {
        for number in [0u32, 0x7F, 0x80, 0x7FF, 0x800, 0xFFFD, 0x1_0000, 0x10_FFFF] {
            let mut bits = Bits::default();
            bits.coded_number(number);
            let text = char::from_u32(number).unwrap().to_string();
            assert_eq!(bits.bytes, text.as_bytes(), "{number:#X}");
        }
        let mut bits = Bits::default();
        bits.coded_number(0x7FFF_FFFF);
        assert_eq!(bits.bytes, [0xFD, 0xBF, 0xBF, 0xBF, 0xBF, 0xBF]);
        bits.clear();
        bits.coded_number(0x20_0000);
        assert_eq!(bits.bytes, [0xF8, 0x88, 0x80, 0x80, 0x80]);
    }

    #[test]
    fn autocorrelation_is_what_it_says() {
        let x: Vec<f64> = (0..50).map(|n| f64::from((n * n * 7) % 23) - 11.0).collect();
        let r = autocorrelation(&x);
        for lag in 0..=LPC_ORDER {
            let direct: f64 = (lag..x.len()).map(|n| x[n] * x[n - lag]).sum();
            assert!((r[lag] - direct).abs() < 1e-9, "lag {lag}: {} is not {direct}", r[lag]);
        }
    }
}
