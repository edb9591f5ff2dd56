//! Any text as a token, a state, a report, options or a space: an error, or something that survives its own JSON, never a panic.
#![no_main]

use sonicforge_core::optimize::store::MemoryStore;
use sonicforge_core::optimize::{Options, PromptOptimizer, PromptReport, Space};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let space = Space::of([("genre", vec!["jazz", "ambient"])]).expect("a space");
    let optimizer =
        PromptOptimizer::new(Some(space), Box::new(MemoryStore::new()), Options::default()).expect("defaults in range");
    optimizer.start("rain", 2).expect("a space");
    // Without a secret the end of a token is a digest, which chance does not find: nothing is counted.
    assert!(optimizer.reward(text, 1.0).is_err());
    if optimizer.import_state(text).is_ok() {
        let state = optimizer.export_state().expect("memory");
        let again = optimizer.import_state(&state).expect("what was written can be read");
        assert_eq!((again.new, again.revised), (0, 0));
        for concept in optimizer.concepts().expect("memory") {
            let _ = optimizer.suggest(&concept);
            let _ = optimizer.report(&concept);
        }
    }
    if let Ok(report) = PromptReport::from_json(text) {
        let _ = report.summary();
        assert_eq!(PromptReport::from_json(&report.to_json()).expect("what was written can be read"), report);
    }
    let _ = Options::from_json(text);
    let _ = text.parse::<sonicforge_core::optimize::VariantId>();
});
