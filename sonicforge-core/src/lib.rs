//! # SonicForge
//!
//! Embeddable audio for hosts written in Rust, Python or Node: files in and out ([`io`]), measurement ([`analyze`]) and
//! mastering to a loudness target that is proved on the output ([`master`]).
#![doc(test(attr(deny(warnings))))]

pub mod audio;
pub mod error;
pub mod progress;
pub mod testing;
pub mod units;

pub mod dsp;

#[cfg(feature = "analyze")]
pub mod analyze;
#[cfg(feature = "io")]
pub mod io;
#[cfg(feature = "master")]
pub mod master;
#[cfg(feature = "plot")]
pub mod plot;

/// The version of the library, the same in all three languages.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
