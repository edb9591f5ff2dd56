//! The words of a Chromaprint in few bytes: about 1.8 each, of which Chromaprint's own compressed form takes 2.7.
//!
//! ```text
//! u8 algorithm · number of words (LEB128) · the bits of all words, from the highest on, by a binary range coder
//! ```
//! Words change slowly, and the sixteen classifiers that make them each give two bits (a Gray code of four levels). So what is coded is
//! each bit given the same pair of bits in the two words before, and the first of a pair for the second: 768 probabilities, learned
//! while coding. The coder is that of G. N. N. Martin ("Range encoding", 1979) in the form of 32 bits with a carry.

use super::bits::{put_number, take_number};
use crate::error::{Error, Result};
use crate::fingerprint::{Chromaprint, ChromaprintPreset};

const CONTEXTS: usize = 16 * 4 * 4 * 3;
/// Probabilities are of 2¹⁶, and never nearer to 0 or 1 than this, so that few bytes cannot stand for very many words.
const LEAST: u32 = 1 << 10;
const TOP: u32 = 1 << 24;
/// Words that a byte can stand for at most: 32 bits of −log₂(1 − 1/64) each.
const WORDS_PER_BYTE: usize = 11;

/// How likely a one is, and how often that was asked.
#[derive(Clone, Copy)]
struct Chance {
    one: u32,
    seen: u32,
}

impl Chance {
    /// Nearer to what came: by a half at first, later by 1/64.
    fn learn(&mut self, one: bool) {
        self.seen = (self.seen + 1).min(6);
        if one {
            self.one += (65_536 - self.one) >> self.seen;
        } else {
            self.one -= self.one >> self.seen;
        }
        self.one = self.one.clamp(LEAST, 65_536 - LEAST);
    }
}

/// Goes through the bits of a word in order; `code` gets the chance of each and gives the bit.
fn word(chances: &mut [Chance], before: u32, earlier: u32, mut code: impl FnMut(u32) -> bool) -> u32 {
    let mut out = 0;
    for pair in (0..16).rev() {
        let at =
            ((pair as usize * 4 + (before >> (2 * pair) & 3) as usize) * 4 + (earlier >> (2 * pair) & 3) as usize) * 3;
        let high = code(chances[at].one);
        chances[at].learn(high);
        let at = at + 1 + usize::from(high);
        let low = code(chances[at].one);
        chances[at].learn(low);
        out |= (u32::from(high) << 1 | u32::from(low)) << (2 * pair);
    }
    out
}

pub(super) fn pack(print: &Chromaprint) -> Vec<u8> {
    let mut out = vec![print.preset().id()];
    put_number(print.words().len() as u64, &mut out);
    let mut coder = Encoder { low: 0, range: u32::MAX, held: 0, waiting: 0, begun: false, out };
    let mut chances = [Chance { one: 1 << 15, seen: 0 }; CONTEXTS];
    let (mut before, mut earlier) = (0, 0);
    for &w in print.words() {
        let mut bit = 32;
        word(&mut chances, before, earlier, |one| {
            bit -= 1;
            let set = w >> bit & 1 == 1;
            coder.put(set, one);
            set
        });
        (before, earlier) = (w, before);
    }
    coder.finish()
}

/// Reads what [`pack`] wrote.
pub(super) fn unpack(mut bytes: &[u8]) -> Result<Chromaprint> {
    let damaged = |what: &str| Error::Format(format!("a Chromaprint is damaged: {what}"));
    let (&preset, rest) = bytes.split_first().ok_or_else(|| damaged("it is empty"))?;
    bytes = rest;
    let preset = ChromaprintPreset::from_id(preset).ok_or_else(|| damaged("no such algorithm"))?;
    let count = take_number(&mut bytes).ok_or_else(|| damaged("no length"))?;
    if count > ((bytes.len() + 8) * WORDS_PER_BYTE) as u64 {
        return Err(damaged("it is cut off"));
    }
    let mut coder = Decoder::new(bytes);
    let mut chances = [Chance { one: 1 << 15, seen: 0 }; CONTEXTS];
    let mut words = Vec::with_capacity(count as usize);
    let (mut before, mut earlier) = (0, 0);
    for _ in 0..count {
        let w = word(&mut chances, before, earlier, |one| coder.get(one));
        words.push(w);
        (before, earlier) = (w, before);
    }
    Chromaprint::from_words(preset, words)
}

struct Encoder {
    low: u64,
    range: u32,
    /// The last byte, which a carry may still raise, and how many 0xFF wait behind it.
    held: u8,
    waiting: usize,
    begun: bool,
    out: Vec<u8>,
}

impl Encoder {
    fn put(&mut self, one: bool, chance: u32) {
        let bound = ((u64::from(self.range) * u64::from(chance)) >> 16) as u32;
        if one {
            self.range = bound;
        } else {
            self.low += u64::from(bound);
            self.range -= bound;
        }
        while self.range < TOP {
            self.range <<= 8;
            self.shift();
        }
    }

    fn shift(&mut self) {
        let carry = (self.low >> 32) as u8;
        if (self.low as u32) < 0xFF00_0000 || carry == 1 {
            if self.begun {
                self.out.push(self.held.wrapping_add(carry));
            }
            self.out.extend(std::iter::repeat_n(0xFFu8.wrapping_add(carry), self.waiting));
            self.waiting = 0;
            self.begun = true;
            self.held = (self.low >> 24) as u8;
        } else {
            self.waiting += 1;
        }
        self.low = u64::from((self.low as u32) << 8);
    }

    fn finish(mut self) -> Vec<u8> {
        (0..5).for_each(|_| self.shift());
        // Behind the end zeros are read, so those of the last five bytes need not be kept.
        let kept = self.out.len().saturating_sub(5).max(2);
        while self.out.len() > kept && self.out.last() == Some(&0) {
            self.out.pop();
        }
        self.out
    }
}

struct Decoder<'a> {
    bytes: std::slice::Iter<'a, u8>,
    range: u32,
    code: u32,
}

impl<'a> Decoder<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let mut out = Self { bytes: bytes.iter(), range: u32::MAX, code: 0 };
        (0..4).for_each(|_| out.shift());
        out
    }

    fn shift(&mut self) {
        self.code = self.code << 8 | u32::from(self.bytes.next().copied().unwrap_or(0));
    }

    fn get(&mut self, chance: u32) -> bool {
        let bound = ((u64::from(self.range) * u64::from(chance)) >> 16) as u32;
        let one = self.code < bound;
        if one {
            self.range = bound;
        } else {
            self.code = self.code.wrapping_sub(bound);
            self.range -= bound;
        }
        while self.range < TOP {
            self.range <<= 8;
            self.shift();
        }
        one
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Signal, Xorshift};

    fn there_and_back(words: Vec<u32>) -> usize {
        let print = Chromaprint::from_words(ChromaprintPreset::Test2, words).unwrap();
        let packed = pack(&print);
        assert_eq!(unpack(&packed).unwrap(), print);
        packed.len()
    }

    #[test]
    fn words_come_back() {
        let mut rng = Xorshift::new(3);
        for len in [0, 1, 2, 3, 100, 2_000] {
            assert!(there_and_back((0..len).map(|_| rng.next_u64() as u32).collect()) <= len * 4 + len / 4 + 40);
            there_and_back(vec![u32::MAX; len]);
            there_and_back((0..len).map(|i| if i % 97 == 0 { u32::MAX } else { 0 }).collect());
            assert!(there_and_back(vec![627_964_279; len]) <= len / 8 + 120);
        }
    }

    #[test]
    fn music_takes_two_thirds_of_what_chromaprint_takes() {
        let audio = Signal::Music { seed: 4 }.render(11_025, 1, 120.0).unwrap();
        let print = Chromaprint::of(&audio).unwrap();
        let (ours, theirs) = (pack(&print).len(), print.to_bytes().len());
        assert!(ours * 10 < theirs * 8, "{ours} of {theirs}");
    }

    #[test]
    fn noise_is_refused_or_read_within_bounds() {
        let mut rng = Xorshift::new(5);
        for len in 0..300usize {
            let mut bytes: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
            if let Some(first) = bytes.first_mut() {
                *first %= 6;
            }
            if let Ok(print) = unpack(&bytes) {
                assert!(print.words().len() <= (len + 8) * WORDS_PER_BYTE);
            }
        }
    }
}
