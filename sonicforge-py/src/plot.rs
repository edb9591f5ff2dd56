//! `sonicforge_core::plot`: self-contained pictures, from the JSON text of what they show.

use pyo3::prelude::*;
use sonicforge_core::analyze::Analysis;
use sonicforge_core::master::Report;
use sonicforge_core::optimize::PromptReport;
use sonicforge_core::plot;

use crate::enter::enter;

/// An analysis as SVG.
#[pyfunction]
fn analysis_svg(py: Python<'_>, analysis: &str) -> PyResult<String> {
    enter(py, || Ok(plot::analysis_svg(&Analysis::from_json(analysis)?)))
}

/// A report as SVG.
#[pyfunction]
fn report_svg(py: Python<'_>, report: &str) -> PyResult<String> {
    enter(py, || Ok(plot::report_svg(&Report::from_json(report)?)))
}

/// A report as a page.
#[pyfunction]
fn report_html(py: Python<'_>, report: &str) -> PyResult<String> {
    enter(py, || Ok(plot::report_html(&Report::from_json(report)?)))
}

/// A prompt report as SVG.
#[pyfunction]
fn prompt_svg(py: Python<'_>, report: &str) -> PyResult<String> {
    enter(py, || Ok(plot::prompt_svg(&PromptReport::from_json(report)?)))
}

/// Puts the functions of this file into the module.
pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(analysis_svg, m)?)?;
    m.add_function(wrap_pyfunction!(prompt_svg, m)?)?;
    m.add_function(wrap_pyfunction!(report_svg, m)?)?;
    m.add_function(wrap_pyfunction!(report_html, m)?)
}
