//! The mastering chain: plan, render, report.

mod processor;

pub use processor::{Processor, Spec};
