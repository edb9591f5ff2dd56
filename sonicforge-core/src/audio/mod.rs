//! What flows through everything: whole sounds ([`AudioBuffer`]) and borrowed pieces of them ([`Block`]).

mod block;
mod buffer;

pub use block::Block;
pub(crate) use buffer::check_format;
pub use buffer::{AudioBuffer, MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE};
#[cfg(any(feature = "analyze", feature = "fingerprint"))]
pub(crate) use buffer::{common_length, slices};
