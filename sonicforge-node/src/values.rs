//! What crosses the border: audio as one planar `Float32Array`, everything that has the shape of JSON as text.

use napi::bindgen_prelude::{
    Buffer, Float32Array, Float32ArraySlice, JsObjectValue, Object, ToNapiValue, TypeName, Uint32Array,
};
use napi::{Env, ValueType, sys};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sonicforge_core::audio::{AudioBuffer, Block};
use sonicforge_core::error::{Error, Result};
use sonicforge_core::io::Tags;

use crate::generate::{MusicGen, MusicStream};
use crate::optimize::{Batch, PromptOptimizer};
use crate::stream::{Reader, Writer};

/// Copies the host's samples; it may write to them while we work.
pub fn audio(samples: &[f32], sample_rate: u32, channels: u32) -> Result<AudioBuffer> {
    AudioBuffer::from_planar(sample_rate, channels as usize, samples.to_vec())
}

/// Reads a value of the core from JSON; `what` names it in the error.
pub fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::invalid(format!("{what}: {error}")))
}

/// Writes a value of the core as JSON.
pub fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Internal(error.to_string()))
}

/// What a call hands back.
pub enum Outcome {
    /// Nothing but the fact that it is done.
    Done,
    /// Text, mostly JSON.
    Text(String),
    /// A file in memory.
    Bytes(Vec<u8>),
    /// Audio, and text that belongs to it.
    Audio(AudioBuffer, Option<String>),
    /// As `Audio`, but certainly copied: the finalizers of external memory run only when the event loop turns, so a loop of
    /// synchronous calls would pile it up.
    Copied(AudioBuffer),
    /// Several sounds, in their order.
    Sounds(Vec<AudioBuffer>),
    /// Codes of the codec, one array per codebook.
    Codes(Vec<Vec<u32>>),
    /// Suggestions, as few texts.
    Batch(Batch),
    /// An optimizer over its store.
    Optimizer(PromptOptimizer),
    /// A loaded model.
    Model(MusicGen),
    /// A piece that is being made.
    Stream(MusicStream),
    /// A file that is open for reading.
    Reader(Reader),
    /// A file that is being written.
    Writer(Writer),
    /// Text tags and pictures.
    Tags(Tags),
}

/// Below this many samples (1 MB) a result is copied; above, JavaScript takes over our memory.
const EXTERNAL_FROM: usize = 250_000;

impl TypeName for Outcome {
    fn type_name() -> &'static str {
        "Outcome"
    }

    fn value_type() -> ValueType {
        ValueType::Unknown
    }
}

impl ToNapiValue for Outcome {
    unsafe fn to_napi_value(env: sys::napi_env, outcome: Self) -> napi::Result<sys::napi_value> {
        // SAFETY: napi calls this on the thread of `env`, with a live `env`.
        unsafe {
            match outcome {
                Outcome::Done => ToNapiValue::to_napi_value(env, ()),
                Outcome::Text(text) => ToNapiValue::to_napi_value(env, text),
                Outcome::Bytes(bytes) => ToNapiValue::to_napi_value(env, Buffer::from(bytes)),
                Outcome::Audio(audio, text) => {
                    let external = audio.samples().len() >= EXTERNAL_FROM;
                    ToNapiValue::to_napi_value(env, audio_object(&Env::from_raw(env), audio, text, external)?)
                }
                Outcome::Sounds(sounds) => {
                    let sounds: Vec<_> = sounds.into_iter().map(|audio| Outcome::Audio(audio, None)).collect();
                    ToNapiValue::to_napi_value(env, sounds)
                }
                Outcome::Codes(codes) => {
                    let books: Vec<_> = codes.into_iter().map(Uint32Array::new).collect();
                    ToNapiValue::to_napi_value(env, books)
                }
                Outcome::Batch(Batch { head, rows }) => {
                    let mut object = Object::new(&Env::from_raw(env))?;
                    object.set_named_property("head", head)?;
                    object.set_named_property("rows", rows)?;
                    ToNapiValue::to_napi_value(env, object)
                }
                Outcome::Model(model) => {
                    model.weigh(Env::from_raw(env), 1)?;
                    ToNapiValue::to_napi_value(env, model)
                }
                Outcome::Optimizer(optimizer) => ToNapiValue::to_napi_value(env, optimizer),
                Outcome::Stream(stream) => ToNapiValue::to_napi_value(env, stream),
                Outcome::Reader(reader) => ToNapiValue::to_napi_value(env, reader),
                Outcome::Writer(writer) => ToNapiValue::to_napi_value(env, writer),
                Outcome::Tags(tags) => ToNapiValue::to_napi_value(env, tags_object(&Env::from_raw(env), &tags)?),
                Outcome::Copied(audio) => {
                    ToNapiValue::to_napi_value(env, audio_object(&Env::from_raw(env), audio, None, false)?)
                }
            }
        }
    }
}

fn audio_object(env: &Env, audio: AudioBuffer, text: Option<String>, external: bool) -> napi::Result<Object<'_>> {
    let mut object = Object::new(env)?;
    object.set_named_property("sampleRate", audio.sample_rate())?;
    object.set_named_property("channels", audio.channels() as u32)?;
    object.set_named_property("text", text)?;
    if external {
        object.set_named_property("samples", Float32Array::new(audio.into_samples()))?;
    } else {
        object.set_named_property("samples", Float32ArraySlice::copy_from(env, audio.samples())?)?;
    }
    Ok(object)
}

fn tags_object<'env>(env: &'env Env, tags: &Tags) -> napi::Result<Object<'env>> {
    let mut object = Object::new(env)?;
    let texts: Vec<Vec<&str>> = tags.texts().map(|(name, text)| vec![name, text]).collect();
    object.set_named_property("texts", texts)?;
    let mut pictures = Vec::new();
    for picture in tags.pictures() {
        let mut one = Object::new(env)?;
        one.set_named_property("kind", u32::from(picture.kind))?;
        one.set_named_property("mimeType", picture.mime_type.as_str())?;
        one.set_named_property("description", picture.description.as_str())?;
        one.set_named_property("data", Buffer::from(picture.data.to_vec()))?;
        pictures.push(one);
    }
    object.set_named_property("pictures", pictures)?;
    Ok(object)
}

/// The host's arrays as one block, worked on in place. Synchronous calls only; an array may come once.
pub fn block<'a>(channels: &'a mut [Float32ArraySlice<'_>]) -> Result<Block<'a>> {
    let spans: Vec<_> = channels.iter().map(|channel| channel.as_ptr_range()).collect();
    for (i, a) in spans.iter().enumerate() {
        if spans[..i].iter().any(|b| a.start < b.end && b.start < a.end) {
            return Err(Error::invalid(format!(
                "block[{i}] shares memory with a channel before it; expected separate arrays"
            )));
        }
    }
    // SAFETY: JavaScript waits for this call, and no two channels overlap.
    Block::new(channels.iter_mut().map(|channel| unsafe { channel.as_mut() }))
}
