//! RF64 and BW64 in: WAV beyond 4 GiB.
//!
//! Source: EBU Tech 3306 v1.1, "RF64: An extended File Format for Audio", 2009; ITU-R BS.2088 (BW64). The 64-bit size of the
//! samples lies in the `ds64` chunk. Symphonia reads RIFF only, and reads a data chunk whose size is 2³²−1 up to the end of the
//! stream: so the head is shown to it as RIFF, and the stream ends where the samples end.

use std::io::{Read, Result, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

/// What is known of an RF64 file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Position behind the last sample, or behind the last byte of the source if that comes first.
    end: u64,
    /// Length in frames, as the header states it.
    pub(crate) frames: Option<u64>,
}

/// The header, when the source is RF64 or BW64 with a data chunk; the position of the source is anywhere afterwards.
pub(crate) fn probe(source: &mut dyn MediaSource) -> Result<Option<Header>> {
    let mut head = [0; 12];
    let mut chunk = [0; 8];
    if !read_exact(source, &mut head)?
        || !(head.starts_with(b"RF64") || head.starts_with(b"BW64"))
        || &head[8..] != b"WAVE"
    {
        return Ok(None);
    }
    let length = source.byte_len().unwrap_or(u64::MAX);
    let mut position = 12;
    let mut data_size = None;
    let mut bytes_per_frame = None;
    // Few chunks come before the samples; a file with more is not one of ours.
    for _ in 0..64 {
        source.seek(SeekFrom::Start(position))?;
        if !read_exact(source, &mut chunk)? {
            return Ok(None);
        }
        let size = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
        position += 8;
        match &chunk[..4] {
            b"ds64" => {
                let mut sizes = [0; 16];
                if !read_exact(source, &mut sizes)? {
                    return Ok(None);
                }
                data_size = Some(u64::from_le_bytes(std::array::from_fn(|i| sizes[8 + i])));
            }
            b"fmt " => {
                let mut format = [0; 14];
                if !read_exact(source, &mut format)? {
                    return Ok(None);
                }
                bytes_per_frame = Some(u64::from(u16::from_le_bytes([format[12], format[13]])));
            }
            b"data" => {
                let size = if size == u32::MAX { data_size } else { Some(u64::from(size)) };
                return Ok(Some(Header {
                    end: position.saturating_add(size.unwrap_or(u64::MAX)).min(length),
                    frames: size.zip(bytes_per_frame).and_then(|(size, bytes)| size.checked_div(bytes)),
                }));
            }
            _ => {}
        }
        position = match position.checked_add(u64::from(size) + u64::from(size % 2)) {
            Some(position) if position < length => position,
            _ => return Ok(None),
        };
    }
    Ok(None)
}

/// Like `Read::read_exact`, but the end of the source is an answer, not an error.
fn read_exact(source: &mut dyn MediaSource, buffer: &mut [u8]) -> Result<bool> {
    match source.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

/// An RF64 source that looks like RIFF of unknown size.
pub(crate) struct AsRiff {
    inner: Box<dyn MediaSource>,
    header: Header,
    position: u64,
}

impl AsRiff {
    pub(crate) fn new(inner: Box<dyn MediaSource>, header: Header) -> Self {
        Self { inner, header, position: 0 }
    }
}

impl Read for AsRiff {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let room =
            usize::try_from(self.header.end.saturating_sub(self.position)).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.inner.read(&mut buffer[..room])?;
        for (byte, at) in buffer[..n].iter_mut().zip(self.position..) {
            match b"RIFF\xFF\xFF\xFF\xFF".get(at as usize) {
                Some(&patch) => *byte = patch,
                None => break,
            }
        }
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for AsRiff {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let to = match to {
            SeekFrom::End(offset) => SeekFrom::Start(self.header.end.saturating_add_signed(offset)),
            other => other,
        };
        self.position = self.inner.seek(to)?;
        Ok(self.position)
    }
}

impl MediaSource for AsRiff {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.header.end)
    }
}
