//! Pictures of what was measured, as SVG without scripts, fonts or links to anything outside.

mod analysis;
#[cfg(feature = "fingerprint")]
mod landmarks;
#[cfg(feature = "optimize")]
mod optimize;
#[cfg(feature = "master")]
mod report;
mod svg;

pub use analysis::analysis_svg;
#[cfg(feature = "fingerprint")]
pub use landmarks::match_svg;
#[cfg(feature = "optimize")]
pub use optimize::prompt_svg;
#[cfg(feature = "master")]
pub use report::{report_html, report_svg};
