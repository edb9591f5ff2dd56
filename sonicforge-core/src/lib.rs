//! # SonicForge
//!
//! Embeddable audio for hosts written in Rust, Python or Node: files in and out ([`io`]), measurement ([`analyze`]),
//! mastering to a loudness target that is proved on the output ([`master`]), fingerprints (`fingerprint`), music from text
//! ([`generate`]) and prompts that learn ([`optimize`]).
#![doc(test(attr(deny(warnings))))]

pub mod audio;
#[cfg(any(feature = "fingerprint", feature = "optimize"))]
mod durability;
pub mod error;
pub mod progress;
pub mod testing;
pub mod units;

pub mod dsp;

#[cfg(feature = "analyze")]
pub mod analyze;
#[cfg(feature = "fingerprint")]
pub mod fingerprint;
pub mod generate;
#[cfg(feature = "io")]
pub mod io;
#[cfg(feature = "master")]
pub mod master;
#[cfg(feature = "optimize")]
pub mod optimize;
#[cfg(feature = "plot")]
pub mod plot;

/// The version of the library, the same in all three languages.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The guide and the README, whose Rust blocks are tests. The pages lie in the repository, not in the published crate.
#[cfg(all(doctest, feature = "io", feature = "master"))]
mod guide {
    #[doc = include_str!("../../README.md")]
    mod readme {}
    #[doc = include_str!("../../docs/getting-started.md")]
    mod getting_started {}
    #[doc = include_str!("../../docs/io.md")]
    mod io {}
    #[doc = include_str!("../../docs/analyze.md")]
    mod analyze {}
    #[cfg(feature = "fingerprint")]
    #[doc = include_str!("../../docs/fingerprint.md")]
    mod fingerprint {}
    #[doc = include_str!("../../docs/master.md")]
    mod master {}
    #[cfg(feature = "optimize")]
    #[doc = include_str!("../../docs/optimize.md")]
    mod optimize {}
    #[cfg(feature = "default-model")]
    #[doc = include_str!("../../docs/generate.md")]
    mod generate {}
}
