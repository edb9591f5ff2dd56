//! Files block by block, so that they need not fit in memory.

use std::sync::{Arc, Mutex, PoisonError};

use napi::Result;
use napi::bindgen_prelude::{AsyncTask, Float32ArraySlice};
use napi_derive::napi;
use sonicforge_core::audio::{AudioBuffer, Block};
use sonicforge_core::error::{self, Error};
use sonicforge_core::io;

use crate::enter::{Job, Work, enter, start};
use crate::io::write_options;
use crate::values::{Outcome, to_json};

/// What one call at a time works on, until it is closed.
pub struct Shared<T>(Arc<Mutex<Option<T>>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Shared<T> {
    /// Something that is open.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(Some(value))))
    }

    /// Works on it, when it is this call's turn; errors when it is closed.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> error::Result<R>) -> error::Result<R> {
        let mut value = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(value.as_mut().ok_or_else(|| Error::invalid("it is closed"))?)
    }

    /// Closes it; errors when it was closed before.
    pub fn take(&self) -> error::Result<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(|| Error::invalid("it is closed"))
    }
}

/// Decodes a file block by block.
#[napi]
pub struct Reader(Shared<io::Reader>);

/// Opens a file for reading.
#[napi]
pub fn open_reader(job: &Job, path: String) -> AsyncTask<Work> {
    start(job, move |_| Ok(Outcome::Reader(Reader(Shared::new(io::Reader::open(path)?)))))
}

#[napi]
impl Reader {
    /// What the file says about itself, as JSON.
    #[napi(getter)]
    pub fn info(&self) -> Result<String, String> {
        enter(|| self.0.with(|reader| to_json(reader.info())))
    }

    /// The next frames: fewer at the end of the sound, none after it.
    #[napi]
    pub fn read(&self, job: &Job, frames: u32) -> AsyncTask<Work> {
        let shared = self.0.clone();
        start(job, move |_| {
            shared.with(|reader| {
                let (rate, channels) = (reader.info().sample_rate, reader.info().channels);
                let mut buffer = AudioBuffer::new(rate, channels, frames as usize)?;
                let came = reader.read(&mut buffer.block())?;
                if came < buffer.frames() {
                    let parts: Vec<_> = (0..channels).map(|c| &buffer.channel(c)[..came]).collect();
                    buffer = AudioBuffer::from_channels(rate, &parts)?;
                }
                Ok(Outcome::Audio(buffer, None))
            })
        })
    }

    /// Goes back to the first frame.
    #[napi]
    pub fn rewind(&self, job: &Job) -> AsyncTask<Work> {
        let shared = self.0.clone();
        start(job, move |_| shared.with(|reader| reader.rewind().map(|()| Outcome::Done)))
    }

    /// Lets go of the file.
    #[napi]
    pub fn close(&self, job: &Job) -> AsyncTask<Work> {
        let shared = self.0.clone();
        start(job, move |_| {
            drop(shared.take());
            Ok(Outcome::Done)
        })
    }
}

/// Encodes a file block by block, under a temporary name until it is whole.
#[napi]
pub struct Writer(Shared<io::Writer>);

/// Begins a file.
#[napi]
pub fn open_writer(job: &Job, path: String, sample_rate: u32, channels: u32, how: String) -> AsyncTask<Work> {
    start(job, move |_| {
        let writer = io::Writer::create(path, sample_rate, channels as usize, &write_options(&how)?)?;
        Ok(Outcome::Writer(Writer(Shared::new(writer))))
    })
}

#[napi]
impl Writer {
    /// Appends the next frames.
    #[napi]
    pub fn write(&self, job: &Job, channels: Vec<Float32ArraySlice>) -> AsyncTask<Work> {
        let shared = self.0.clone();
        let mut copies: Vec<Vec<f32>> = channels.iter().map(|channel| channel.to_vec()).collect();
        start(job, move |_| {
            let mut block = Block::new(copies.iter_mut().map(Vec::as_mut_slice))?;
            shared.with(|writer| writer.write(&mut block)).map(|()| Outcome::Done)
        })
    }

    /// Completes the file and gives it its name.
    #[napi]
    pub fn finish(&self, job: &Job) -> AsyncTask<Work> {
        let shared = self.0.clone();
        start(job, move |_| shared.take()?.finish().map(|()| Outcome::Done))
    }

    /// Throws away what was written.
    #[napi]
    pub fn discard(&self, job: &Job) -> AsyncTask<Work> {
        let shared = self.0.clone();
        start(job, move |_| {
            drop(shared.take());
            Ok(Outcome::Done)
        })
    }
}
