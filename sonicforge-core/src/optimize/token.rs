//! The token of a decision: all that its rewards need, so that nothing has to be remembered between the two.
//!
//! Bytes, then base64url without padding. The last bytes are a digest of those before: HMAC-SHA-256 (RFC 2104) cut to 16 bytes
//! where the optimizer has a secret, else 8 bytes of SHA-256, which find damage but no forgery.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

use super::reward::DecisionId;
use super::variant::VariantId;

const VERSION: u8 = 1;
/// No token is longer, in characters.
const MAX_LENGTH: usize = 65_536;
/// The most features that a context may have.
pub(super) const MAX_FEATURES: usize = 1_024;

/// What a token says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    /// Which optimizer made it: the hash of its name.
    pub realm: u32,
    pub decision: DecisionId,
    pub concept: String,
    pub variant: VariantId,
    /// The second variant of a duel.
    pub against: Option<VariantId>,
    pub epoch: u32,
    pub propensity: f64,
    /// Of the policy that it was drawn from.
    pub view: u32,
    /// Features in 2⁻²⁰.
    pub context: Vec<i64>,
}

/// The first four bytes of the hash of an optimizer's name.
pub(super) fn realm(name: &str) -> u32 {
    let digest = Sha256::digest(name);
    u32::from_le_bytes(std::array::from_fn(|i| digest[i]))
}

fn seal(secret: Option<&[u8]>, bytes: &[u8]) -> Vec<u8> {
    match secret {
        Some(secret) => {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
            mac.update(bytes);
            mac.finalize().into_bytes()[..16].to_vec()
        }
        None => Sha256::digest(bytes)[..8].to_vec(),
    }
}

/// Compares in a time that does not depend on where the first difference is.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y)) == 0
}

impl Token {
    pub fn encode(&self, secret: Option<&[u8]>) -> String {
        let mut bytes = Vec::with_capacity(80 + self.concept.len() + 8 * self.context.len());
        bytes.push(VERSION);
        bytes.extend(self.realm.to_le_bytes());
        bytes.extend(self.decision.0);
        bytes.extend(self.variant.0.to_le_bytes());
        bytes.extend(self.against.map_or(0, |v| v.0).to_le_bytes());
        bytes.extend(self.epoch.to_le_bytes());
        bytes.extend(self.propensity.to_bits().to_le_bytes());
        bytes.extend(self.view.to_le_bytes());
        bytes.push(self.concept.len() as u8);
        bytes.extend(self.concept.as_bytes());
        bytes.extend((self.context.len() as u16).to_le_bytes());
        // 2⁻²⁰ up to 1024 in magnitude takes 31 bits.
        self.context.iter().for_each(|&x| bytes.extend((x as i32).to_le_bytes()));
        bytes.extend(seal(secret, &bytes));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token that this optimizer made.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a token that is damaged, cut, forged, of another version or of another optimizer.
    pub fn decode(text: &str, realm: u32, secret: Option<&[u8]>) -> Result<Self> {
        let wrong = |why: &str| {
            let shown: String = text.chars().take(24).collect();
            let dots = if text.chars().nth(24).is_some() { "…" } else { "" };
            Error::invalid(format!("token \"{shown}{dots}\" {why}; pass the token of a suggestion as it came"))
        };
        if text.len() > MAX_LENGTH {
            return Err(wrong("is too long"));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong("is no base64url text"))?;
        if bytes.first().is_some_and(|&v| v != VERSION) {
            return Err(wrong("is of a version that this build does not know"));
        }
        let length = if secret.is_some() { 16 } else { 8 };
        let body = bytes.len().checked_sub(length).ok_or_else(|| wrong("is cut"))?;
        let (body, end) = bytes.split_at(body);
        if !equal(&seal(secret, body), end) {
            return Err(wrong(match secret {
                Some(_) => "is damaged, forged, or signed with another secret",
                None => "is damaged or cut, or was signed while this optimizer has no secret",
            }));
        }
        let token = Self::parse(body).ok_or_else(|| wrong("is damaged"))?;
        if token.realm != realm {
            return Err(wrong("is of another optimizer (their names differ)"));
        }
        Ok(token)
    }

    fn parse(mut bytes: &[u8]) -> Option<Self> {
        fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
            let (head, rest) = bytes.split_first_chunk::<N>()?;
            *bytes = rest;
            Some(*head)
        }
        let bytes = &mut bytes;
        let [_version] = take(bytes)?;
        let realm = u32::from_le_bytes(take(bytes)?);
        let decision = DecisionId(take(bytes)?);
        let variant = VariantId(u64::from_le_bytes(take(bytes)?));
        let against = Some(VariantId(u64::from_le_bytes(take(bytes)?))).filter(|v| v.0 != 0);
        let epoch = u32::from_le_bytes(take(bytes)?);
        let propensity = f64::from_bits(u64::from_le_bytes(take(bytes)?));
        let view = u32::from_le_bytes(take(bytes)?);
        let [length] = take(bytes)?;
        let (concept, rest) = bytes.split_at_checked(usize::from(length))?;
        let concept = std::str::from_utf8(concept).ok()?.to_string();
        *bytes = rest;
        let features = usize::from(u16::from_le_bytes(take(bytes)?));
        if features > MAX_FEATURES || bytes.len() != 4 * features || variant.0 == 0 {
            return None;
        }
        let mut context = Vec::with_capacity(features);
        for _ in 0..features {
            context.push(i64::from(i32::from_le_bytes(take(bytes)?)));
        }
        super::variant::check_name("concept", &concept).ok()?;
        (propensity > 0.0 && propensity <= 1.0).then_some(Self {
            realm,
            decision,
            concept,
            variant,
            against,
            epoch,
            propensity,
            view,
            context,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            realm: realm("radio"),
            decision: DecisionId([7; 12]),
            concept: "rainy night".into(),
            variant: VariantId(9),
            against: None,
            epoch: 20_000,
            propensity: 0.25,
            view: 5,
            context: vec![-(1 << 30), 1 << 20],
        }
    }

    #[test]
    fn there_and_back() {
        for secret in [None, Some(&b"secret"[..])] {
            let text = token().encode(secret);
            assert_eq!(Token::decode(&text, realm("radio"), secret).unwrap(), token());
            assert!(
                Token::decode(&text, realm("other"), secret).unwrap_err().to_string().contains("another optimizer")
            );
        }
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_found() {
        for secret in [None, Some(&b"secret"[..])] {
            let text = token().encode(secret);
            for end in 0..text.len() {
                assert!(Token::decode(&text[..end], realm("radio"), secret).is_err(), "{end}");
            }
            let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
            for i in 0..bytes.len() {
                for bit in 0..8 {
                    let mut bytes = bytes.clone();
                    bytes[i] ^= 1 << bit;
                    assert!(Token::decode(&URL_SAFE_NO_PAD.encode(bytes), realm("radio"), secret).is_err());
                }
            }
        }
        // Signed with another secret, or not at all.
        let text = token().encode(Some(b"one"));
        assert!(Token::decode(&text, realm("radio"), Some(b"two")).is_err());
        assert!(Token::decode(&text, realm("radio"), None).is_err());
        assert!(Token::decode(&token().encode(None), realm("radio"), Some(b"two")).is_err());
        assert!(Token::decode("ключ", 0, None).is_err());
    }
}
