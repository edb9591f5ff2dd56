//! Words ↔ bytes: Chromaprint's wire format.
//!
//! ```text
//! byte 0      algorithm (`ChromaprintPreset::id`)
//! bytes 1–3   number of words, big-endian
//! then        numbers of 3 bits, least significant bit first, filled up to a byte
//! then        numbers of 5 bits, the same way
//! ```
//!
//! Each word is XORed with the one before (the first with 0). The 3-bit numbers are the distances from one set bit to the
//! next, the lowest bit being 1; a 0 ends the word. A distance of 7 or more is written as 7, and what it is more than 7 is
//! the next of the 5-bit numbers.

use super::preset::ChromaprintPreset;
use crate::error::{Error, Result};

const HEADER: usize = 4;
/// The count has 24 bits.
pub(super) const MAX_WORDS: usize = (1 << 24) - 1;
const LARGE: u32 = 7;

/// `words` is no longer than [`MAX_WORDS`].
pub(super) fn compress(preset: ChromaprintPreset, words: &[u32]) -> Vec<u8> {
    let count = (words.len() as u32).to_be_bytes();
    let mut small = Bits::new(3, vec![preset.id(), count[1], count[2], count[3]]);
    let mut large = Bits::new(5, Vec::new());
    let mut last = 0;
    for &word in words {
        let mut changed = word ^ last;
        last = word;
        let mut at = 0;
        while changed != 0 {
            let next = changed.trailing_zeros() + 1;
            let distance = next - at;
            small.push(distance.min(LARGE));
            if distance >= LARGE {
                large.push(distance - LARGE);
            }
            changed &= changed - 1;
            at = next;
        }
        small.push(0);
    }
    let mut bytes = small.finish();
    bytes.extend(large.finish());
    bytes
}

/// The words of `bytes`, whatever they are. Asks for memory only as far as the bytes can fill it.
pub(super) fn decompress(bytes: &[u8]) -> Result<(ChromaprintPreset, Vec<u32>)> {
    let damaged = |what: String| Error::Format(format!("the compressed Chromaprint is damaged: {what}"));
    let [algorithm, count @ ..] = *bytes
        .first_chunk::<HEADER>()
        .ok_or_else(|| damaged(format!("{} bytes; expected at least the {HEADER} of the header", bytes.len())))?;
    let preset = ChromaprintPreset::from_id(algorithm).ok_or_else(|| {
        Error::Unsupported(format!(
            "the Chromaprint says that it was made with algorithm {algorithm}; known are 0 to 4 (AcoustID's is 1)"
        ))
    })?;
    let count = count.iter().fold(0, |n, &byte| n << 8 | usize::from(byte));
    let body = &bytes[HEADER..];
    if count > body.len() * 8 / 3 {
        return Err(damaged(format!("{} bytes cannot hold the {count} words that its header promises", body.len())));
    }
    // First how many small numbers there are, to know where the large ones begin.
    let mut words_left = count;
    let mut small_count = 0;
    let mut numbers = Numbers::new(3, body);
    while words_left > 0 {
        let number = numbers.next().ok_or_else(|| damaged(format!("it ends {words_left} words early")))?;
        words_left -= usize::from(number == 0);
        small_count += 1;
    }
    let split = (small_count * 3usize).div_ceil(8);
    let mut large = Numbers::new(5, &body[split..]);
    let mut large_count = 0usize;
    let mut words = Vec::with_capacity(count);
    let (mut word, mut at) = (0u32, 0);
    for number in Numbers::new(3, body).take(small_count) {
        if number == 0 {
            words.push(word);
            at = 0;
            continue;
        }
        let mut distance = number;
        if number == LARGE {
            distance += large.next().ok_or_else(|| damaged(format!("large distance {large_count} is missing")))?;
            large_count += 1;
        }
        at += distance;
        if at > 32 {
            return Err(damaged(format!("word {} has a bit {at}; there are 32", words.len())));
        }
        word ^= 1 << (at - 1);
    }
    let used = split + (large_count * 5).div_ceil(8);
    if used != body.len() {
        return Err(damaged(format!("{} bytes follow its last word", body.len() - used)));
    }
    Ok((preset, words))
}

/// Writes numbers of `width` bits, least significant bit first.
struct Bits {
    width: u32,
    bytes: Vec<u8>,
    waiting: u32,
    count: u32,
}

impl Bits {
    fn new(width: u32, bytes: Vec<u8>) -> Self {
        Self { width, bytes, waiting: 0, count: 0 }
    }

    fn push(&mut self, number: u32) {
        self.waiting |= number << self.count;
        self.count += self.width;
        while self.count >= 8 {
            self.bytes.push(self.waiting as u8);
            self.waiting >>= 8;
            self.count -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.waiting as u8);
        }
        self.bytes
    }
}

/// Reads them.
struct Numbers<'a> {
    width: u32,
    bytes: std::slice::Iter<'a, u8>,
    waiting: u32,
    count: u32,
}

impl<'a> Numbers<'a> {
    fn new(width: u32, bytes: &'a [u8]) -> Self {
        Self { width, bytes: bytes.iter(), waiting: 0, count: 0 }
    }
}

impl Iterator for Numbers<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if self.count < self.width {
            self.waiting |= u32::from(*self.bytes.next()?) << self.count;
            self.count += 8;
        }
        let number = self.waiting & ((1 << self.width) - 1);
        self.waiting >>= self.width;
        self.count -= self.width;
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Xorshift;

    #[test]
    fn there_and_back() {
        let mut rng = Xorshift::new(3);
        for len in [0usize, 1, 2, 3, 7, 8, 948, 5_000] {
            for sparse in [false, true] {
                let mut word = || {
                    let w = rng.next_u64();
                    if sparse { (w & (w >> 32) & 0x8000_0101) as u32 } else { w as u32 }
                };
                let words: Vec<u32> = (0..len).map(|_| word()).collect();
                let bytes = compress(ChromaprintPreset::Test2, &words);
                assert_eq!(decompress(&bytes).unwrap(), (ChromaprintPreset::Test2, words));
            }
        }
    }

    #[test]
    fn whatever_comes_is_words_or_an_error_that_says_what() {
        let mut rng = Xorshift::new(9);
        let good = compress(ChromaprintPreset::Test2, &[627_964_279, 627_964_278, 0x8000_0000]);
        for len in 0..good.len() {
            let error = decompress(&good[..len]).unwrap_err();
            assert_eq!(error.code(), "SF_FORMAT", "{len}: {error}");
        }
        let mut more = good.clone();
        more.push(0);
        assert!(decompress(&more).unwrap_err().to_string().contains("1 bytes follow"));
        assert_eq!(decompress(&[5, 0, 0, 0]).unwrap_err().code(), "SF_UNSUPPORTED");
        let bomb = decompress(&[1, 0xFF, 0xFF, 0xFF, 0]).unwrap_err().to_string();
        assert!(bomb.contains("16777215 words"), "{bomb}");
        // 7 + 31 = 38: the bit that would lie beyond the word.
        let beyond = decompress(&[1, 0, 0, 1, 0b0000_0111, 0b0001_1111]).unwrap_err().to_string();
        assert!(beyond.contains("bit 38"), "{beyond}");
        for _ in 0..20_000 {
            let len = (rng.next_u64() % 40) as usize;
            let mut bytes: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
            if len > 3 {
                bytes[..3].copy_from_slice(&[1, 0, 0]);
            }
            if let Ok((preset, words)) = decompress(&bytes) {
                assert_eq!(decompress(&compress(preset, &words)).unwrap(), (preset, words));
            }
        }
    }
}
