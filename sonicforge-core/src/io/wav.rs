//! WAV out.
//!
//! Sources: Microsoft/IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991 (RIFF WAVE); Microsoft,
//! "Multiple Channel Audio Data and WAVE Files", 2001 (`WAVE_FORMAT_EXTENSIBLE`); EBU Tech 3306 v1.1, "RF64", 2009 (beyond
//! 4 GiB).
//!
//! ```text
//! RIFF|RF64 size WAVE
//!   JUNK|ds64 28      room for 64-bit sizes, used only when they are needed
//!   fmt  16|40        PCM, IEEE float or extensible
//!   fact 4            (float and extensible) frames
//!   data …
//!   LIST INFO, id3    tags, after the samples
//! ```

use std::io::SeekFrom;

use crate::audio::Block;
use crate::error::{Error, Result};
use crate::io::tags::Tags;
use crate::io::writer::{SampleFormat, Sink};

const FORMAT_PCM: u16 = 1;
const FORMAT_FLOAT: u16 = 3;
const FORMAT_EXTENSIBLE: u16 = 0xFFFE;
/// `KSDATAFORMAT_SUBTYPE_PCM` and `…_IEEE_FLOAT` after their first two bytes, which hold the format tag.
const SUBTYPE_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];
/// Where the sizes of the `JUNK`/`ds64` chunk begin.
const DS64: u64 = 20;

/// Writes WAV to a sink; the header is completed by [`WavEncoder::finish`].
pub(crate) struct WavEncoder<S: Sink> {
    sink: S,
    channels: usize,
    format: SampleFormat,
    frames: u64,
    /// Position of the frame count of the `fact` chunk, when there is one.
    fact_at: Option<u64>,
    /// Position of the first sample.
    data_at: u64,
    trailer: Vec<u8>,
    bytes: Vec<u8>,
    /// Files of more bytes than this become RF64.
    riff_limit: u64,
}

impl<S: Sink> WavEncoder<S> {
    pub(crate) fn new(
        mut sink: S,
        sample_rate: u32,
        channels: usize,
        format: SampleFormat,
        tags: &Tags,
    ) -> Result<Self> {
        let bits = format.bits() as u16;
        let bytes_per_frame = channels as u16 * bits / 8;
        let tag = if format == SampleFormat::Float32 { FORMAT_FLOAT } else { FORMAT_PCM };
        let extensible = channels > 2;

        let mut header = Vec::with_capacity(128);
        header.extend(b"RIFF\0\0\0\0WAVEJUNK");
        header.extend(28u32.to_le_bytes());
        header.extend([0; 28]);
        header.extend(b"fmt ");
        header.extend(if extensible { 40u32 } else { 16 }.to_le_bytes());
        header.extend(if extensible { FORMAT_EXTENSIBLE } else { tag }.to_le_bytes());
        header.extend((channels as u16).to_le_bytes());
        header.extend(sample_rate.to_le_bytes());
        header.extend((sample_rate * u32::from(bytes_per_frame)).to_le_bytes());
        header.extend(bytes_per_frame.to_le_bytes());
        header.extend(bits.to_le_bytes());
        if extensible {
            header.extend(22u16.to_le_bytes());
            header.extend(bits.to_le_bytes());
            header.extend(channel_mask(channels).to_le_bytes());
            header.extend(tag.to_le_bytes());
            header.extend(SUBTYPE_TAIL);
        }
        let fact_at = (extensible || format == SampleFormat::Float32).then(|| {
            header.extend(b"fact\x04\0\0\0");
            header.extend([0; 4]);
            header.len() as u64 - 4
        });
        header.extend(b"data\0\0\0\0");
        sink.write_all(&header).map_err(cannot_write)?;
        Ok(Self {
            sink,
            channels,
            format,
            frames: 0,
            fact_at,
            data_at: header.len() as u64,
            trailer: tags.to_riff_chunks()?,
            bytes: Vec::new(),
            riff_limit: u64::from(u32::MAX),
        })
    }

    /// Appends samples that lie on the grid of the format already.
    pub(crate) fn write(&mut self, block: &Block<'_>) -> Result<()> {
        let (channels, frames) = (self.channels, block.frames());
        let width = self.format.bits() as usize / 8;
        self.bytes.resize(frames * channels * width, 0);
        for c in 0..channels {
            let samples = block.channel(c).iter();
            let places =
                self.bytes.chunks_exact_mut(channels * width).map(|frame| &mut frame[c * width..(c + 1) * width]);
            match self.format {
                SampleFormat::Int16 => {
                    samples.zip(places).for_each(|(x, p)| p.copy_from_slice(&((x * 32_768.0) as i16).to_le_bytes()));
                }
                SampleFormat::Int24 => {
                    samples
                        .zip(places)
                        .for_each(|(x, p)| p.copy_from_slice(&((x * 8_388_608.0) as i32).to_le_bytes()[..3]));
                }
                SampleFormat::Float32 => samples.zip(places).for_each(|(x, p)| p.copy_from_slice(&x.to_le_bytes())),
            }
        }
        self.sink.write_all(&self.bytes).map_err(cannot_write)?;
        self.frames += frames as u64;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<S> {
        let data_size = self.frames * self.channels as u64 * u64::from(self.format.bits() / 8);
        // Chunks begin at even positions.
        if data_size % 2 == 1 {
            self.trailer.insert(0, 0);
        }
        self.sink.write_all(&self.trailer).map_err(cannot_write)?;
        let riff_size = self.data_at - 8 + data_size + self.trailer.len() as u64;
        let frames_32 = u32::try_from(self.frames).unwrap_or(u32::MAX);
        if riff_size <= self.riff_limit {
            self.patch(4, &(riff_size as u32).to_le_bytes())?;
            self.patch(self.data_at - 4, &(data_size as u32).to_le_bytes())?;
        } else {
            self.patch(0, b"RF64\xFF\xFF\xFF\xFF")?;
            self.patch(DS64 - 8, b"ds64")?;
            let sizes = [riff_size, data_size, self.frames].map(u64::to_le_bytes).concat();
            self.patch(DS64, &sizes)?;
            self.patch(self.data_at - 4, &u32::MAX.to_le_bytes())?;
        }
        if let Some(at) = self.fact_at {
            self.patch(at, &frames_32.to_le_bytes())?;
        }
        self.sink.flush().map_err(cannot_write)?;
        Ok(self.sink)
    }

    fn patch(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.sink.seek(SeekFrom::Start(at)).and_then(|_| self.sink.write_all(bytes)).map_err(cannot_write)
    }
}

/// The usual speakers for so many channels (mono, stereo, 3.0, quad, 5.0, 5.1, 6.1, 7.1).
fn channel_mask(channels: usize) -> u32 {
    [0, 0x4, 0x3, 0x7, 0x33, 0x37, 0x3F, 0x13F, 0x63F][channels]
}

/// An error of the sink; the writer adds the path.
pub(crate) fn cannot_write(source: std::io::Error) -> Error {
    Error::io("cannot write", "", source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::AudioBuffer;
    use crate::io::{Container, Dither, WriteOptions, read_bytes, write_bytes};
    use crate::testing::Signal;
    use std::io::Cursor;

    fn float(channels: usize) -> AudioBuffer {
        Signal::Music { seed: 1 }.render(48_000, channels, 0.05).unwrap()
    }

    #[test]
    fn beyond_the_limit_of_riff_it_is_rf64() {
        let mut tags = Tags::new();
        tags.set("title", "long").unwrap();
        for (channels, format) in [(2, SampleFormat::Float32), (1, SampleFormat::Float32), (6, SampleFormat::Float32)] {
            let mut sound = float(channels);
            let mut encoder = WavEncoder::new(Cursor::new(Vec::new()), 48_000, channels, format, &tags).unwrap();
            encoder.riff_limit = 1_000;
            encoder.write(&sound.block()).unwrap();
            let bytes = encoder.finish().unwrap().into_inner();
            assert!(bytes.starts_with(b"RF64\xFF\xFF\xFF\xFFWAVEds64"));
            let sizes: Vec<u64> = bytes[20..44].chunks(8).map(|b| u64::from_le_bytes(b.try_into().unwrap())).collect();
            assert_eq!(sizes, [bytes.len() as u64 - 8, 4 * (channels * sound.frames()) as u64, sound.frames() as u64]);
            assert_eq!(read_bytes(bytes.clone()).unwrap(), sound);
            // Cut off, it is an error.
            assert_eq!(read_bytes(&bytes[..bytes.len() / 2]).unwrap_err().code(), "SF_FORMAT");
        }
    }

    #[test]
    fn chunks_are_even_and_sizes_true() {
        let mut tags = Tags::new();
        tags.set("title", "odd").unwrap();
        tags.set("artist", "even").unwrap();
        for frames in [0, 1, 2, 3] {
            for tags in [Tags::new(), tags.clone()] {
                let sound = AudioBuffer::from_planar(48_000, 1, float(1).samples()[..frames].to_vec()).unwrap();
                let options =
                    WriteOptions { container: Some(Container::Wav), dither: Dither::None, tags, ..Default::default() };
                let bytes = write_bytes(&sound, &options).unwrap();
                assert_eq!(bytes.len() % 2, 0);
                assert_eq!(u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize, bytes.len() - 8);
                // Walk the chunks: the last one ends where the file ends.
                let (mut at, mut names) = (12, Vec::new());
                while at < bytes.len() {
                    names.push(String::from_utf8_lossy(&bytes[at..at + 4]).into_owned());
                    let size = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
                    at += 8 + size + size % 2;
                }
                assert_eq!(at, bytes.len());
                assert_eq!(names[..3], ["JUNK", "fmt ", "data"]);
                assert_eq!(names.len(), if options.tags.is_empty() { 3 } else { 5 });
            }
        }
    }
}
