//! Numbers of few bits, least significant first, and R. Rice's codes for distances ("Some Practical Universal Noiseless Coding
//! Techniques", JPL 79-22, 1979).
//!
//! A distance d with parameter k is ⌊d / 2ᵏ⌋ zeros, a one, and the lowest k bits of d. For distances between places drawn at
//! random with mean m that is within 3 % of the shortest possible when 2ᵏ is about m·ln 2.

/// Bits that one look at a [`BitReader`] is sure to see.
const SIGHT: u32 = 57;

#[derive(Debug, Default)]
pub(super) struct BitWriter {
    out: Vec<u8>,
    word: u64,
    used: u32,
}

impl BitWriter {
    /// Appends the lowest `bits` of `value`, up to 56.
    pub fn put(&mut self, value: u64, bits: u32) {
        debug_assert!(bits <= 56 && value < 1 << bits);
        self.word |= value << self.used;
        self.used += bits;
        while self.used >= 8 {
            self.out.push(self.word as u8);
            self.word >>= 8;
            self.used -= 8;
        }
    }

    pub fn rice(&mut self, distance: u64, k: u32) {
        let mut zeros = distance >> k;
        while zeros > 40 {
            self.put(0, 40);
            zeros -= 40;
        }
        self.put(1 << zeros, zeros as u32 + 1);
        self.put(distance & ((1 << k) - 1), k);
    }

    /// Bits so far.
    pub fn len(&self) -> usize {
        self.out.len() * 8 + self.used as usize
    }

    /// Everything so far, filled up with zeros to a byte; the writer is empty again.
    pub fn take(&mut self) -> Vec<u8> {
        if self.used > 0 {
            self.out.push(self.word as u8);
        }
        (self.word, self.used) = (0, 0);
        std::mem::take(&mut self.out)
    }
}

/// The parameter for `count` distances that add up to `sum`: the largest power of two not above mean·ln 2.
pub(super) fn rice_parameter(sum: u64, count: usize) -> u32 {
    // ln 2 ≈ 177 / 256, in steps of 1/256; the next power of two is better from half-way on.
    let target = (u128::from(sum) * 177 / count.max(1) as u128) as u64;
    (target.saturating_add(target / 4)).max(256).ilog2().saturating_sub(8).min(48)
}

/// Reads what a [`BitWriter`] wrote. What lies behind the end reads as zeros.
#[derive(Debug, Clone, Copy)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> BitReader<'a> {
    /// From bit `at` of `bytes` up to bit `end`.
    pub fn new(bytes: &'a [u8], at: usize, end: usize) -> Self {
        Self { bytes, at, end: end.min(bytes.len() * 8) }
    }

    #[inline(always)]
    fn word(&self) -> u64 {
        let byte = self.at >> 3;
        let word = match self.bytes.get(byte..byte + 8) {
            Some(b) => u64::from_le_bytes(b.try_into().expect("eight bytes")),
            None => {
                let mut b = [0; 8];
                let rest = self.bytes.get(byte..).unwrap_or_default();
                b[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(b)
            }
        };
        word >> (self.at & 7)
    }

    /// The next `bits`, up to 56.
    #[inline(always)]
    pub fn get(&mut self, bits: u32) -> u64 {
        let value = self.word() & ((1 << bits) - 1);
        self.at += bits as usize;
        value
    }

    /// The next distance; none at the end.
    #[inline(always)]
    pub fn rice(&mut self, k: u32) -> Option<u64> {
        let word = self.word();
        let zeros = word.trailing_zeros();
        if zeros + 1 + k <= SIGHT {
            let low = (word >> zeros >> 1) & ((1 << k) - 1);
            self.at += (zeros + 1 + k) as usize;
            return (self.at <= self.end).then_some(u64::from(zeros) << k | low);
        }
        self.far(k)
    }

    #[cold]
    fn far(&mut self, k: u32) -> Option<u64> {
        let mut zeros = 0u64;
        loop {
            if self.at >= self.end {
                return None;
            }
            let here = self.word().trailing_zeros().min(SIGHT - 1);
            self.at += here as usize;
            zeros += u64::from(here);
            if here < SIGHT - 1 {
                break;
            }
        }
        self.at += 1;
        let low = self.get(k);
        if self.at > self.end || zeros > u64::MAX >> k { None } else { Some(zeros << k | low) }
    }
}

/// LEB128, seven bits a byte.
pub(in super::super) fn put_number(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// None when it is cut off or longer than 64 bits.
pub(in super::super) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7F);
        n |= bits.checked_shl(shift).filter(|&b| b >> shift == bits)?;
        if byte < 0x80 {
            return Some(n);
        }
    }
    None
}

/// The first `n` bytes.
pub(in super::super) fn take_bytes<'a>(bytes: &mut &'a [u8], n: u64) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(usize::try_from(n).ok()?)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Xorshift;

    #[test]
    fn what_is_written_is_read() {
        let mut rng = Xorshift::new(3);
        for round in 0..200 {
            let spread = 1 + rng.next_u64() % 40;
            let values: Vec<u64> = (0..round).map(|_| rng.next_u64() & ((1 << spread) - 1)).collect();
            let k = rice_parameter(values.iter().sum(), values.len());
            let mut writer = BitWriter::default();
            writer.put(5, 3);
            values.iter().for_each(|&v| writer.rice(v, k));
            let bits = writer.len();
            let bytes = writer.take();
            let mut reader = BitReader::new(&bytes, 0, bits);
            assert_eq!(reader.get(3), 5);
            let read: Vec<u64> = std::iter::from_fn(|| reader.rice(k)).collect();
            assert_eq!(read, values);
        }
        // Far outside what the parameter is for.
        let mut writer = BitWriter::default();
        [3, 5_000, 0, 1 << 30].iter().for_each(|&v| writer.rice(v, 8));
        let (bits, bytes) = (writer.len(), writer.take());
        let mut reader = BitReader::new(&bytes, 0, bits);
        assert_eq!([(); 5].map(|()| reader.rice(8)), [Some(3), Some(5_000), Some(0), Some(1 << 30), None]);
    }

    #[test]
    fn codes_are_as_short_as_they_should_be() {
        let mut rng = Xorshift::new(8);
        for mean in [40.0f64, 1_000.0, 1e6] {
            let values: Vec<u64> =
                (0..4_000).map(|_| (-mean * ((rng.bipolar() + 1.0) / 2.0).max(1e-12).ln()) as u64).collect();
            let mut writer = BitWriter::default();
            let k = rice_parameter(values.iter().sum(), values.len());
            values.iter().for_each(|&v| writer.rice(v, k));
            let (bits, ideal) = (writer.len() as f64 / 4_000.0, (mean * std::f64::consts::E).log2());
            assert!(bits < ideal + 0.12, "{mean}: {bits} bits, {ideal} possible");
        }
    }
}
