//! The five algorithms that AcoustID's Chromaprint knows, as data.
//!
//! The thresholds and filter shapes were learnt by Chromaprint's author (after Y. Ke, D. Hoiem, R. Sukthankar, "Computer
//! Vision for Music Identification", CVPR 2005); whoever wants equal words needs equal numbers.

use serde::{Deserialize, Serialize};

use super::classifier::{Classifier, Shape};

/// Which of Chromaprint's algorithms made the words. AcoustID takes [`Test2`](ChromaprintPreset::Test2) only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChromaprintPreset {
    /// Algorithm 0: the first set of classifiers.
    Test1,
    /// Algorithm 1: the default, and AcoustID's.
    #[default]
    Test2,
    /// Algorithm 2: as `Test2` on windows that do not overlap.
    Test3,
    /// Algorithm 3: as `Test2`, after leading silence was cut away.
    Test4,
    /// Algorithm 4: as `Test2` on windows of half the length.
    Test5,
}

impl ChromaprintPreset {
    /// All of them, in the order of [`ChromaprintPreset::id`].
    pub const ALL: [Self; 5] = [Self::Test1, Self::Test2, Self::Test3, Self::Test4, Self::Test5];

    /// The number that stands for it in a compressed fingerprint, 0 to 4.
    pub fn id(self) -> u8 {
        self as u8
    }

    /// The preset with this number.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    /// Seconds from one word to the next.
    pub fn item_seconds(self) -> f64 {
        self.hop() as f64 / f64::from(super::RATE)
    }

    /// Samples per window.
    pub(super) fn frame(self) -> usize {
        if self == Self::Test5 { 2048 } else { 4096 }
    }

    /// Samples from one window to the next. `Test3` states an overlap of none.
    pub(super) fn hop(self) -> usize {
        match self {
            Self::Test3 => 4096,
            Self::Test5 => 1024,
            _ => 4096 / 3,
        }
    }

    /// Mean magnitude at or below which the beginning is silence, where it is cut away.
    pub(super) fn silence_threshold(self) -> Option<u32> {
        (self == Self::Test4).then_some(50)
    }

    pub(super) fn classifiers(self) -> &'static [Classifier; 16] {
        if self == Self::Test1 { &FIRST } else { &SECOND }
    }
}

impl std::str::FromStr for ChromaprintPreset {
    type Err = crate::error::Error;

    fn from_str(text: &str) -> crate::error::Result<Self> {
        let found = Self::ALL.into_iter().find(|p| p.to_string() == text);
        found.ok_or_else(|| {
            crate::error::Error::invalid(format!(
                "preset is \"{text}\"; expected \"test1\", \"test2\", \"test3\", \"test4\" or \"test5\" (AcoustID's is test2)"
            ))
        })
    }
}

impl std::fmt::Display for ChromaprintPreset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "test{}", self.id() + 1)
    }
}

const fn c(shape: Shape, note: usize, notes: usize, frames: usize, thresholds: [f64; 3]) -> Classifier {
    Classifier { shape, note, notes, frames, thresholds }
}

use Shape::{Notes2, Notes3, Quarters, Sum, Time2, Time3};

static FIRST: [Classifier; 16] = [
    c(Sum, 0, 3, 15, [2.10543, 2.45354, 2.69414]),
    c(Notes2, 0, 4, 14, [-0.345922, 0.0463746, 0.446251]),
    c(Notes2, 4, 4, 11, [-0.392132, 0.0291077, 0.443391]),
    c(Quarters, 0, 4, 14, [-0.192851, 0.00583535, 0.204053]),
    c(Time2, 8, 2, 4, [-0.0771619, -0.00991999, 0.0575406]),
    c(Time3, 6, 2, 15, [-0.710437, -0.518954, -0.330402]),
    c(Notes2, 9, 2, 16, [-0.353724, -0.0189719, 0.289768]),
    c(Quarters, 4, 2, 10, [-0.128418, -0.0285697, 0.0591791]),
    c(Quarters, 9, 2, 16, [-0.139052, -0.0228468, 0.0879723]),
    c(Time2, 1, 3, 6, [-0.133562, 0.00669205, 0.155012]),
    c(Quarters, 3, 6, 2, [-0.0267, 0.00804829, 0.0459773]),
    c(Time2, 8, 1, 10, [-0.0972417, 0.0152227, 0.129003]),
    c(Quarters, 4, 4, 14, [-0.141434, 0.00374515, 0.149935]),
    c(Time3, 4, 2, 15, [-0.64035, -0.466999, -0.285493]),
    c(Time3, 9, 2, 3, [-0.322792, -0.254258, -0.174278]),
    c(Time2, 1, 8, 4, [-0.0741375, -0.00590933, 0.0600357]),
];

static SECOND: [Classifier; 16] = [
    c(Sum, 4, 3, 15, [1.98215, 2.35817, 2.63523]),
    c(Notes3, 4, 6, 15, [-1.03809, -0.651211, -0.282167]),
    c(Notes2, 0, 4, 16, [-0.298702, 0.119262, 0.558497]),
    c(Quarters, 8, 2, 12, [-0.105439, 0.0153946, 0.135898]),
    c(Quarters, 4, 4, 8, [-0.142891, 0.0258736, 0.200632]),
    c(Notes3, 0, 3, 5, [-0.826319, -0.590612, -0.368214]),
    c(Notes2, 2, 2, 9, [-0.557409, -0.233035, 0.0534525]),
    c(Time2, 7, 3, 4, [-0.0646826, 0.00620476, 0.0784847]),
    c(Time2, 6, 2, 16, [-0.192387, -0.029699, 0.215855]),
    c(Time2, 1, 3, 2, [-0.0397818, -0.00568076, 0.0292026]),
    c(Time3, 10, 1, 15, [-0.53823, -0.369934, -0.190235]),
    c(Quarters, 6, 2, 10, [-0.124877, 0.0296483, 0.139239]),
    c(Time2, 1, 1, 14, [-0.101475, 0.0225617, 0.231971]),
    c(Quarters, 5, 6, 4, [-0.0799915, -0.00729616, 0.063262]),
    c(Notes2, 9, 2, 12, [-0.272556, 0.019424, 0.302559]),
    c(Quarters, 4, 2, 14, [-0.164292, -0.0321188, 0.0846339]),
];
