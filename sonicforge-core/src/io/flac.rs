//! FLAC out, one frame at a time.
//!
//! Source: RFC 9639, "Free Lossless Audio Codec (FLAC)", §8. No more than one block of samples is held; STREAMINFO (length,
//! frame sizes, MD5) is completed at the end.

use std::io::SeekFrom;

use symphonia::core::checksum::Md5;
use symphonia::core::io::Monitor;

use crate::audio::Block;
use crate::error::{Error, Result};
use crate::io::flac_frame::FrameCoder;
use crate::io::tags::Tags;
use crate::io::wav::cannot_write;
use crate::io::writer::{SampleFormat, Sink};

/// Frames per block: the usual one, and inside the streamable subset.
const BLOCK: usize = 4_096;
/// Frame numbers have 31 bits.
const MAX_BLOCKS: u32 = (1 << 31) - 1;
/// Where STREAMINFO begins: after `fLaC` and its head.
const STREAM_INFO: u64 = 8;

/// Writes FLAC to a sink.
pub(crate) struct FlacEncoder<S: Sink> {
    sink: S,
    sample_rate: u32,
    bits: u32,
    scale: f32,
    coder: FrameCoder,
    /// The block that is being filled, a vector per channel.
    pending: Vec<Vec<i32>>,
    /// The same, interleaved, as the MD5 wants it.
    interleaved: Vec<u8>,
    md5: Md5,
    blocks: u32,
    frames: u64,
    frame_sizes: Option<(usize, usize)>,
}

impl<S: Sink> FlacEncoder<S> {
    pub(crate) fn new(
        mut sink: S,
        sample_rate: u32,
        channels: usize,
        format: SampleFormat,
        tags: &Tags,
    ) -> Result<Self> {
        if format == SampleFormat::Float32 {
            return Err(Error::Unsupported("FLAC holds no floating point; choose int16 or int24, or write WAV".into()));
        }
        let bits = format.bits();
        let mut header = b"fLaC\x00\x00\x00\x22".to_vec();
        header.extend([0; 34]);
        let blocks = tags.to_flac_blocks()?;
        for (i, (kind, content)) in blocks.iter().enumerate() {
            let last = if i + 1 == blocks.len() { 0x80 } else { 0 };
            header.push(kind | last);
            header.extend(&(content.len() as u32).to_be_bytes()[1..]);
            header.extend(content);
        }
        sink.write_all(&header).map_err(cannot_write)?;
        Ok(Self {
            sink,
            sample_rate,
            bits,
            scale: (1u32 << (bits - 1)) as f32,
            coder: FrameCoder::new(sample_rate, bits),
            pending: vec![Vec::with_capacity(BLOCK); channels],
            interleaved: Vec::new(),
            md5: Md5::default(),
            blocks: 0,
            frames: 0,
            frame_sizes: None,
        })
    }

    /// Appends samples that lie on the grid of the format already.
    pub(crate) fn write(&mut self, block: &Block<'_>) -> Result<()> {
        let mut start = 0;
        while start < block.frames() {
            let n = (BLOCK - self.pending[0].len()).min(block.frames() - start);
            for (c, pending) in self.pending.iter_mut().enumerate() {
                pending.extend(block.channel(c)[start..start + n].iter().map(|x| (x * self.scale) as i32));
            }
            start += n;
            if self.pending[0].len() == BLOCK {
                self.encode()?;
            }
        }
        Ok(())
    }

    fn encode(&mut self) -> Result<()> {
        if self.blocks >= MAX_BLOCKS {
            return Err(Error::Unsupported("FLAC cannot hold more than 2^31 blocks; write several files".into()));
        }
        let (frames, channels, width) = (self.pending[0].len(), self.pending.len(), self.bits as usize / 8);
        self.interleaved.resize(frames * channels * width, 0);
        for (c, samples) in self.pending.iter().enumerate() {
            for (place, x) in self.interleaved.chunks_exact_mut(channels * width).zip(samples) {
                place[c * width..(c + 1) * width].copy_from_slice(&x.to_le_bytes()[..width]);
            }
        }
        self.md5.process_buf_bytes(&self.interleaved);
        let bytes = self.coder.encode(&self.pending, self.blocks);
        self.sink.write_all(bytes).map_err(cannot_write)?;
        let size = bytes.len();
        self.frame_sizes = Some(self.frame_sizes.map_or((size, size), |(low, high)| (low.min(size), high.max(size))));
        self.blocks += 1;
        self.frames += frames as u64;
        self.pending.iter_mut().for_each(Vec::clear);
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<S> {
        if !self.pending[0].is_empty() {
            self.encode()?;
        }
        let info = self.stream_info();
        self.sink.seek(SeekFrom::Start(STREAM_INFO)).and_then(|_| self.sink.write_all(&info)).map_err(cannot_write)?;
        self.sink.flush().map_err(cannot_write)?;
        Ok(self.sink)
    }

    /// §8.2: block sizes (16, 16 bits), frame sizes (24, 24), rate (20), channels − 1 (3), bits − 1 (5), frames (36), MD5.
    fn stream_info(&self) -> [u8; 34] {
        let mut out = [0; 34];
        out[0..2].copy_from_slice(&(BLOCK as u16).to_be_bytes());
        out[2..4].copy_from_slice(&(BLOCK as u16).to_be_bytes());
        let (low, high) = self.frame_sizes.unwrap_or((0, 0));
        out[4..7].copy_from_slice(&(low as u32).to_be_bytes()[1..]);
        out[7..10].copy_from_slice(&(high as u32).to_be_bytes()[1..]);
        // 2^36 frames or more: 0 is "not stated".
        let frames = Some(self.frames).filter(|f| *f < 1 << 36).unwrap_or(0);
        let packed = u64::from(self.sample_rate) << 44
            | (self.pending.len() as u64 - 1) << 41
            | (u64::from(self.bits) - 1) << 36
            | frames;
        out[10..18].copy_from_slice(&packed.to_be_bytes());
        out[18..34].copy_from_slice(&self.md5.md5());
        out
    }
}
