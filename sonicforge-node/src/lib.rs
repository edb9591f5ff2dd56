//! The Node binding: a translation of `sonicforge-core`, one thin file per room of the core.
//!
//! Nothing here computes a sound. `enter` is the only way into the core; the public face, with its checks, its classes and
//! its `AbortSignal`, is `lib/index.js`.

mod analyze;
mod audio;
mod documents;
mod edit;
mod enter;
mod fingerprint;
mod generate;
mod io;
mod master;
mod optimize;
mod plot;
mod processors;
mod stream;
mod values;

use napi_derive::napi;

/// The version of the library, the same in all three languages.
#[napi]
pub fn version() -> &'static str {
    sonicforge_core::VERSION
}
