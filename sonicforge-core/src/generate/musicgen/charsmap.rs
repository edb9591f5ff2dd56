//! The table by which SentencePiece rewrites characters, checked before somebody else walks it.
//!
//! Source: `precompiled_charsmap` of SentencePiece (`src/normalizer.cc`): four bytes of length, a double-array trie
//! (Yata's Darts-clone) in 32-bit units, then the replacements, each ended by a zero byte. T5's table is NFKC with
//! spaces. The crate that reads it trusts it: it sets memory aside for the length a table claims, and follows its
//! offsets without looking. So every step that any text can take is taken here first.

use crate::error::{Error, Result};

/// The longest replacement of a character; NFKC's longest has 33 bytes.
const LONGEST: usize = 64;

/// Checks the base64 of a table and says how many bytes its longest replacement has.
///
/// # Errors
/// [`Error::Format`] for a table that is damaged or leads out of itself.
pub(crate) fn check(base64: &str) -> Result<usize> {
    let broken = |what: &str| Error::Format(format!("tokenizer.json: its precompiled_charsmap {what}"));
    let bytes = decode(base64.as_bytes()).ok_or_else(|| broken("is not base64"))?;
    let Some((size, rest)) = bytes.split_first_chunk::<4>() else { return Err(broken("is empty")) };
    let size = u32::from_le_bytes(*size) as usize / 4 * 4;
    let Some((units, replacements)) = rest.split_at_checked(size) else {
        return Err(broken(&format!("claims a trie of {size} bytes and has {}", rest.len())));
    };
    let replacements = std::str::from_utf8(replacements).map_err(|_| broken("has replacements that are not UTF-8"))?;
    let units: Vec<usize> = units.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b) as usize).collect();
    longest(&units, replacements).ok_or_else(|| broken("leads out of itself"))
}

/// The longest replacement that a walk can come to; `None` when some walk leaves the table.
fn longest(units: &[usize], replacements: &str) -> Option<usize> {
    let offset = |unit: usize| (unit >> 10) << ((unit & (1 << 9)) >> 6);
    let mut longest = 0;
    let mut seen = vec![false; units.len()];
    let root = offset(*units.first()?);
    *seen.get_mut(root)? = true;
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        for byte in 1..=255 {
            let unit = *units.get(node ^ byte)?;
            if unit & (1 << 31 | 0xff) != byte {
                continue;
            }
            let next = node ^ byte ^ offset(unit);
            let value = *units.get(next)?;
            if unit >> 8 & 1 == 1 {
                let replacement = replacements.get(value & ((1 << 31) - 1)..)?;
                let length = replacement.bytes().take(LONGEST + 1).take_while(|b| *b != 0).count();
                longest = longest.max(length);
                if length > LONGEST {
                    return None;
                }
            }
            if !std::mem::replace(&mut seen[next], true) {
                open.push(next);
            }
        }
    }
    Some(longest)
}

/// RFC 4648, with its padding.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let (groups, []) = text.as_chunks::<4>() else { return None };
    let mut bytes = Vec::with_capacity(groups.len() * 3);
    for (i, group) in groups.iter().enumerate() {
        let padding = if i + 1 == groups.len() { group.iter().rev().take_while(|b| **b == b'=').count() } else { 0 };
        if padding > 2 {
            return None;
        }
        let mut bits = 0u32;
        for byte in &group[..4 - padding] {
            let six = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(six);
        }
        bits <<= 6 * padding;
        bytes.extend(&bits.to_be_bytes()[1..4 - padding]);
    }
    Some(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Base64 of a table.
    pub fn table(units: &[u32], replacements: &[u8]) -> String {
        let mut bytes = (4 * units.len() as u32).to_le_bytes().to_vec();
        bytes.extend(units.iter().flat_map(|u| u.to_le_bytes()));
        bytes.extend(replacements);
        encode(&bytes)
    }

    fn encode(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for group in bytes.chunks(3) {
            let bits = group.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - group.len()));
            for i in 0..4 {
                let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize] as char;
                text.push(if i > group.len() { '=' } else { digit });
            }
        }
        text
    }

    /// "A" becomes the replacement at `value`.
    pub fn one_letter(value: u32) -> Vec<u32> {
        let mut units = vec![0x8000_0000; 768];
        units[0] = 256 << 10;
        units[256 ^ 0x41] = (256 ^ 0x41 ^ 512) << 10 | 1 << 8 | 0x41;
        units[512] = value;
        units
    }

    #[test]
    fn base64_comes_back() {
        for length in 0..20u8 {
            let bytes: Vec<u8> = (0..length).map(|i| i.wrapping_mul(83)).collect();
            assert_eq!(decode(encode(&bytes).as_bytes()), Some(bytes));
        }
        for wrong in ["A", "AAA", "A===", "====", "AA=A", "A\nAA", "=AAA", "AA==AAAA"] {
            assert_eq!(decode(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn tables_that_lead_astray() {
        assert_eq!(check(&table(&one_letter(0), b"a\0")).unwrap(), 1);
        assert_eq!(check(&table(&one_letter(2), b"x\0ab\0")).unwrap(), 2);
        let says = |text: &str, words: &str| {
            let error = check(text).unwrap_err();
            assert!(matches!(&error, Error::Format(what) if what.contains(words)), "{words:?} is not in: {error}");
        };
        says("", "is empty");
        says("????", "not base64");
        says(&encode(&u32::MAX.to_le_bytes()), "claims a trie of 4294967292 bytes");
        says(&table(&[], b""), "leads out");
        says(&table(&one_letter(0), b"\xff"), "not UTF-8");
        // Past the replacements, into the middle of a character, too long a replacement.
        says(&table(&one_letter(3), b"a\0"), "leads out");
        says(&table(&one_letter(1), "é\0".as_bytes()), "leads out");
        says(&table(&one_letter(0), &[b'a'; 65]), "leads out");
        // Past the units: from the root, from a node, by a letter.
        let mut units = one_letter(0);
        units[0] = 4096 << 10;
        says(&table(&units, b"a\0"), "leads out");
        let mut units = one_letter(0);
        units[256 ^ 0x41] = 4096 << 10 | 0x41;
        says(&table(&units, b"a\0"), "leads out");
        says(&table(&one_letter(0)[..700], b"a\0"), "leads out");
        // A circle is walked once.
        let mut units = one_letter(0);
        units[256 ^ 0x41] = 0x41 << 10 | 0x41;
        assert_eq!(check(&table(&units, b"a\0")).unwrap(), 0);
    }
}
