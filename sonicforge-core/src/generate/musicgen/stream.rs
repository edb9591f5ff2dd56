//! Music while it is made.

use std::sync::Arc;

use super::codec::DecodeStream;
use super::model::Model;
use super::session::Session;
use crate::audio::AudioBuffer;
use crate::error::Result;
use crate::progress::{Progress, Step, check};

/// Frames of codes that are gathered before they are decoded: a fifth of a second at 50 per second. The first piece waits
/// for no more than the codec's look-ahead.
const PIECE: usize = 10;

/// One piece being made. Dropping it stops it.
pub struct MusicStream {
    model: Arc<Model>,
    session: Session,
    /// One per channel; `None` when the last sample is out.
    decoders: Option<Vec<DecodeStream>>,
    /// Frames that were given to the decoders.
    decoded: usize,
    /// Samples at the beginning that are not wanted.
    skip: usize,
}

impl MusicStream {
    pub(crate) fn new(model: Arc<Model>, session: Session, skip_frames: usize) -> Result<Self> {
        let decoders = (0..model.channels()).map(|_| model.codec.stream()).collect();
        let skip = skip_frames * model.codec.hop();
        Ok(Self { model, session, decoders: Some(decoders), decoded: 0, skip })
    }

    /// In Hz.
    pub fn sample_rate(&self) -> u32 {
        self.model.codec.sample_rate()
    }

    /// 1 or 2.
    pub fn channels(&self) -> usize {
        self.model.channels()
    }

    /// The next piece, at least one frame long; `None` after the last.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::error::Error::Cancelled) when `progress` said so; the stream can go on afterwards.
    pub fn next_chunk(&mut self, progress: &mut dyn Progress) -> Result<Option<AudioBuffer>> {
        loop {
            let Some(decoders) = &mut self.decoders else { return Ok(None) };
            let piece = if self.decoded == 0 { 1 } else { PIECE };
            while !self.session.finished() && self.session.complete(0) < self.decoded + piece {
                check(progress, "streaming", Step::new("generate", self.session.fraction()))?;
                self.session.step()?;
            }
            let codes = self.session.codes_from(0, self.decoded);
            self.decoded = self.session.complete(0);
            let mut audio = Vec::with_capacity(decoders.len());
            for (channel, decoder) in decoders.iter_mut().enumerate() {
                audio.push(decoder.push(&self.model.channel_codes(&codes, channel))?);
            }
            if self.session.finished() {
                for (decoder, samples) in self.decoders.take().into_iter().flatten().zip(&mut audio) {
                    samples.extend(decoder.finish()?);
                }
            }
            let skip = self.skip.min(audio[0].len());
            self.skip -= skip;
            if audio[0].len() > skip {
                let channels: Vec<&[f32]> = audio.iter().map(|c| &c[skip..]).collect();
                return AudioBuffer::from_channels(self.sample_rate(), &channels).map(Some);
            }
        }
    }

    /// Share of the codes that are made, 0 to 1.
    pub fn fraction(&self) -> f64 {
        self.session.fraction()
    }
}
