//! Pictures: self-contained SVG and HTML.

use napi::Result;
use napi_derive::napi;
use sonicforge_core::plot;

use crate::enter::enter;
use crate::values::from_json;

/// An analysis as one SVG.
#[napi]
pub fn analysis_svg(analysis: String) -> Result<String, String> {
    enter(|| Ok(plot::analysis_svg(&from_json("analysis", &analysis)?)))
}

/// A report as one SVG.
#[napi]
pub fn report_svg(report: String) -> Result<String, String> {
    enter(|| Ok(plot::report_svg(&from_json("report", &report)?)))
}

/// A report as one HTML page.
#[napi]
pub fn report_html(report: String) -> Result<String, String> {
    enter(|| Ok(plot::report_html(&from_json("report", &report)?)))
}
