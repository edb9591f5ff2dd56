//! Files in and out.
//!
//! [`read`] and [`Reader`] take WAV (8 to 32 bit, float, extensible, RF64), AIFF, FLAC, MP3, Ogg Vorbis, AAC and ALAC (M4A)
//! and, with the feature `opus`, Ogg Opus; the delay and padding of lossy codecs are trimmed where the file states them.
//! [`write()`] and [`Writer`] make WAV and FLAC under a temporary name and rename the finished file. [`Tags`] travel from one
//! to the other.

mod decode;
mod edit;
mod flac;
mod flac_frame;
mod mp4;
mod rf64;
mod tags;
mod wav;
pub(crate) mod writer;

pub use decode::{FileInfo, Reader, info, read, read_bytes, read_bytes_with, read_with};
pub use tags::{Picture, Tags, tags};
pub use writer::{Container, SampleFormat, WriteOptions, Writer, write, write_bytes, write_bytes_with, write_with};

pub use crate::dsp::dither::Dither;
