//! Any text as a preset, a plan, a report or an analysis: an error or a document that survives its own JSON, never a panic.
#![no_main]

use sonicforge_core::analyze::Analysis;
use sonicforge_core::master::{MasteringChain, Plan, Preset, Report, Target};

libfuzzer_sys::fuzz_target!(|text: &str| {
    for preset in [Preset::from_json(text), Preset::from_toml(text)].into_iter().flatten() {
        assert_eq!(Preset::from_json(&preset.to_json()).expect("what was written can be read"), preset);
        assert_eq!(Preset::from_toml(&preset.to_toml()).expect("what was written can be read"), preset);
        MasteringChain::new(&preset).expect("a preset that was accepted");
    }
    if let Ok(plan) = Plan::from_json(text) {
        assert_eq!(Plan::from_json(&plan.to_json()).expect("what was written can be read"), plan);
    }
    if let Ok(report) = Report::from_json(text) {
        let _ = report.summary();
        assert_eq!(Report::from_json(&report.to_json()).expect("what was written can be read"), report);
    }
    if let Ok(analysis) = Analysis::from_json(text) {
        assert_eq!(Analysis::from_json(&analysis.to_json()).expect("what was written can be read"), analysis);
    }
    if let Ok(target) = text.parse::<Target>() {
        target.validate().expect("a target that was accepted");
    }
});
