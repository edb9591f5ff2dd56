//! What the index keeps of a sound: its strongest peaks.

use data_encoding::BASE64URL_NOPAD;

use super::pairs;
use super::peaks::Peak;
use super::postings::Posting;
use super::spectrogram::LOW_HZ;
use super::{BANDS, CENTER_S, FRAME_S, LANDMARK_KIND};
use crate::error::{Error, Result};
use crate::fingerprint::index::bits::{put_number, take_number};

/// A peak is kept when fewer than this many within half a second are stronger.
pub(super) const KEEP: u16 = 16;

/// A peak that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Star {
    /// Frame (23.2 ms) from the beginning of the sound.
    pub frame: u32,
    /// Band, 36 to the octave from 125 Hz, below 180.
    pub band: u8,
    /// How many within half a second are stronger, below 16.
    pub rank: u8,
}

/// The peaks of one sound in the plane of time and frequency, about sixteen a second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constellation {
    stars: Vec<Star>,
    frames: u32,
}

impl Constellation {
    pub(super) fn push(&mut self, peak: &Peak) {
        if peak.rank < KEEP {
            self.stars.push(Star { frame: peak.frame, band: peak.band, rank: peak.rank as u8 });
        }
    }

    pub(super) fn end(&mut self, frames: u32) {
        self.frames = frames;
    }

    /// Of peaks in order of time and then of band, none twice.
    pub(crate) fn from_stars(stars: Vec<Star>, frames: u32) -> Self {
        Self { stars, frames }
    }

    /// The peaks, in order of time and then of band.
    pub fn stars(&self) -> &[Star] {
        &self.stars
    }

    /// Length in frames (23.2 ms).
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// What is looked up in an index: each of the ten strongest peaks of a second with three of those behind it.
    pub fn pairs(&self) -> Vec<Posting> {
        let mut out = Vec::new();
        pairs::of_stars(&self.stars, |key, frame| out.push(Posting { key, frame }));
        out
    }

    /// How many peaks there are.
    pub fn len(&self) -> usize {
        self.stars.len()
    }

    /// Whether there is nothing to know the sound by: silence, or too short.
    pub fn is_empty(&self) -> bool {
        self.stars.is_empty()
    }

    /// The peaks: seconds from the beginning, and Hz.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let hz = |band: u8| LOW_HZ * (f64::from(band) / super::PER_OCTAVE).exp2();
        self.stars.iter().map(move |s| (f64::from(s.frame) * FRAME_S + CENTER_S, hz(s.band)))
    }

    /// The bytes as base64 text (RFC 4648 §5 without padding).
    pub fn encode(&self) -> String {
        BASE64URL_NOPAD.encode(&self.to_bytes())
    }

    /// Reads what [`Constellation::encode`] wrote. Errors as [`Constellation::from_bytes`] does.
    pub fn decode(text: &str) -> Result<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes());
        Self::from_bytes(&bytes.map_err(|e| Error::Format(format!("the landmarks are not base64 text: {e}")))?)
    }

    /// Three bytes a peak: the kind of landmarks (2), the number of frames (LEB128), then of each peak the frames since the last (LEB128), the
    /// band and the rank.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![LANDMARK_KIND];
        put_number(self.frames.into(), &mut out);
        let mut last = 0;
        for s in &self.stars {
            put_number((s.frame - last).into(), &mut out);
            out.extend([s.band, s.rank]);
            last = s.frame;
        }
        out
    }

    /// Reads what [`Constellation::to_bytes`] wrote. Errors (`SF_UNSUPPORTED`) on landmarks of another kind, and (`SF_FORMAT`) on everything
    /// else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged = |what: &str| Error::Format(format!("the constellation is damaged: {what}"));
        let mut rest = match bytes {
            [LANDMARK_KIND, rest @ ..] => rest,
            [kind, ..] => {
                return Err(Error::Unsupported(format!(
                    "the constellation is of kind {kind}, this version of the library makes kind {LANDMARK_KIND}: make it anew from the sound"
                )));
            }
            [] => return Err(damaged("it has no bytes")),
        };
        let frames = take(&mut rest).ok_or_else(|| damaged("no length"))?;
        let mut stars = Vec::new();
        let mut frame = 0u32;
        while !rest.is_empty() {
            let gap = take(&mut rest).ok_or_else(|| damaged("a time is cut off"))?;
            let [band, rank, later @ ..] = rest else { return Err(damaged("a peak is cut off")) };
            rest = later;
            frame =
                frame.checked_add(gap).filter(|&f| f < frames).ok_or_else(|| damaged("a peak lies behind the end"))?;
            if usize::from(*band) >= BANDS || u16::from(*rank) >= KEEP {
                return Err(damaged("a peak has a band or a rank that does not exist"));
            }
            if stars.last().is_some_and(|s: &Star| s.frame == frame && s.band >= *band) {
                return Err(damaged("two peaks of a frame are not in order of their bands"));
            }
            stars.push(Star { frame, band: *band, rank: *rank });
        }
        Ok(Self { stars, frames })
    }
}

impl serde::Serialize for Constellation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> serde::Deserialize<'de> for Constellation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::decode(&text).map_err(serde::de::Error::custom)
    }
}

fn take(bytes: &mut &[u8]) -> Option<u32> {
    take_number(bytes).and_then(|n| u32::try_from(n).ok())
}
