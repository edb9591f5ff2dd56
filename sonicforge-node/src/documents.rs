//! What has the shape of JSON: read by the core, written by the core.

use napi::Result;
use napi_derive::napi;
use sonicforge_core::analyze::Analysis;
use sonicforge_core::error::Error;
use sonicforge_core::fingerprint::Fingerprint;
use sonicforge_core::master::{Plan, Preset, Report};
use sonicforge_core::optimize::PromptReport;

use crate::enter::enter;

/// The JSON text of a document, as the core writes it after reading it.
#[napi]
pub fn normalize(kind: String, text: String) -> Result<String, String> {
    enter(|| {
        Ok(match kind.as_str() {
            "analysis" => Analysis::from_json(&text)?.to_json(),
            "fingerprint" => Fingerprint::from_json(&text)?.to_json(),
            "preset" => Preset::from_json(&text)?.to_json(),
            "plan" => Plan::from_json(&text)?.to_json(),
            "prompt_report" => PromptReport::from_json(&text)?.to_json(),
            "report" => Report::from_json(&text)?.to_json(),
            _ => return Err(Error::Internal(format!("no document is called {kind}"))),
        })
    })
}
