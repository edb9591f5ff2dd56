//! FLAC out, one frame at a time.
//!
//! Source: RFC 9639, "Free Lossless Audio Codec (FLAC)". The crate flacenc codes the frames; the metadata is written here, so
//! that no more than one block of samples is held. STREAMINFO (length, frame sizes, MD5) is completed at the end.

use std::io::SeekFrom;

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, StreamInfo};
use flacenc::error::{Verified, Verify};
use flacenc::source::{Context, Fill, FrameBuf};

use crate::audio::Block;
use crate::error::{Error, Result};
use crate::io::tags::Tags;
use crate::io::wav::cannot_write;
use crate::io::writer::{SampleFormat, Sink};

/// Frames per block: the usual one, and inside the streamable subset up to 48 kHz.
const BLOCK: usize = 4_096;
/// Frame numbers have 31 bits.
const MAX_BLOCKS: usize = (1 << 31) - 1;
/// Where STREAMINFO begins: after `fLaC` and its head.
const STREAM_INFO: u64 = 8;

/// Writes FLAC to a sink.
pub(crate) struct FlacEncoder<S: Sink> {
    sink: S,
    config: Verified<flacenc::config::Encoder>,
    info: StreamInfo,
    sample_rate: u32,
    channels: usize,
    bits: u32,
    scale: f32,
    frame: FrameBuf,
    /// Counts the samples and takes their MD5.
    context: Context,
    /// Interleaved samples of the block that is being filled.
    pending: Vec<i32>,
    bytes: ByteSink,
    blocks: usize,
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
        let mut config = flacenc::config::Encoder::default();
        // Fixed predictors only: flacenc's linear prediction takes four times as long (its autocorrelation calls `fma`, which
        // is no instruction on a baseline CPU) for files that are a few per cent smaller.
        config.subframe_coding.use_lpc = false;
        let config =
            config.into_verified().map_err(|(_, e)| Error::Internal(format!("flacenc refuses its defaults: {e}")))?;
        // flacenc knows rates up to 96 kHz. At 95 801 Hz, which no frame head can express, it writes "see STREAMINFO" into
        // the frames, and that is written here.
        let rate = if sample_rate > 96_000 { 95_801 } else { sample_rate };
        let info = StreamInfo::new(rate as usize, channels, bits as usize).map_err(refused)?;
        let frame = FrameBuf::with_size(channels, BLOCK).map_err(refused)?;

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
            config,
            info,
            sample_rate,
            channels,
            bits,
            scale: (1u32 << (bits - 1)) as f32,
            frame,
            context: Context::new(bits as usize, channels),
            pending: Vec::with_capacity(BLOCK * channels),
            bytes: ByteSink::new(),
            blocks: 0,
            frame_sizes: None,
        })
    }

    /// Appends samples that lie on the grid of the format already.
    pub(crate) fn write(&mut self, block: &Block<'_>) -> Result<()> {
        let mut start = 0;
        while start < block.frames() {
            let room = BLOCK - self.pending.len() / self.channels;
            let n = room.min(block.frames() - start);
            for i in start..start + n {
                self.pending.extend((0..self.channels).map(|c| (block.channel(c)[i] * self.scale) as i32));
            }
            start += n;
            if self.pending.len() == BLOCK * self.channels {
                self.encode()?;
            }
        }
        Ok(())
    }

    fn encode(&mut self) -> Result<()> {
        if self.blocks >= MAX_BLOCKS {
            return Err(Error::Unsupported("FLAC cannot hold more than 2^31 blocks; write several files".into()));
        }
        let frames = self.pending.len() / self.channels;
        if self.frame.size() != frames {
            self.frame.resize(frames);
        }
        self.frame.fill_interleaved(&self.pending).map_err(refused)?;
        self.context.fill_interleaved(&self.pending).map_err(refused)?;
        let frame =
            flacenc::encode_fixed_size_frame(&self.config, &self.frame, self.blocks, &self.info).map_err(refused)?;
        self.bytes.clear();
        frame.write(&mut self.bytes).map_err(|e| Error::Internal(format!("flacenc cannot write a frame: {e}")))?;
        let size = self.bytes.as_slice().len();
        self.sink.write_all(self.bytes.as_slice()).map_err(cannot_write)?;
        self.frame_sizes = Some(self.frame_sizes.map_or((size, size), |(low, high)| (low.min(size), high.max(size))));
        self.blocks += 1;
        self.pending.clear();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<S> {
        if !self.pending.is_empty() {
            self.encode()?;
        }
        let info = self.stream_info();
        self.sink.seek(SeekFrom::Start(STREAM_INFO)).and_then(|_| self.sink.write_all(&info)).map_err(cannot_write)?;
        self.sink.flush().map_err(cannot_write)?;
        Ok(self.sink)
    }

    /// RFC 9639 §8.2: block sizes (16, 16 bits), frame sizes (24, 24), rate (20), channels − 1 (3), bits − 1 (5), frames (36),
    /// MD5.
    fn stream_info(&self) -> [u8; 34] {
        let mut out = [0; 34];
        out[0..2].copy_from_slice(&(BLOCK as u16).to_be_bytes());
        out[2..4].copy_from_slice(&(BLOCK as u16).to_be_bytes());
        let (low, high) = self.frame_sizes.unwrap_or((0, 0));
        out[4..7].copy_from_slice(&(low as u32).to_be_bytes()[1..]);
        out[7..10].copy_from_slice(&(high as u32).to_be_bytes()[1..]);
        // 2^36 frames or more: 0 is "not stated".
        let frames = Some(self.context.total_samples() as u64).filter(|f| *f < 1 << 36).unwrap_or(0);
        let packed = u64::from(self.sample_rate) << 44
            | (self.channels as u64 - 1) << 41
            | (u64::from(self.bits) - 1) << 36
            | frames;
        out[10..18].copy_from_slice(&packed.to_be_bytes());
        out[18..34].copy_from_slice(&self.context.md5_digest());
        out
    }
}

fn refused(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("flacenc refuses: {error}"))
}
