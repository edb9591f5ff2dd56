//! The doors of `optimize` that take text, fed with damaged texts: an error or a whole answer, never a panic. (The fuzz target
//! `optimize` goes further.)
#![cfg(feature = "optimize")]

use sonicforge_core::optimize::store::MemoryStore;
use sonicforge_core::optimize::{Options, PromptOptimizer, PromptReport, Space, SuggestOptions};

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Bytes changed, cut, doubled, or numbers made huge.
fn damaged(text: &str, state: &mut u64) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..1 + random(state) % 4 {
        if bytes.is_empty() {
            break;
        }
        let at = random(state) as usize % bytes.len();
        match random(state) % 6 {
            0 => bytes[at] = (random(state) % 128) as u8,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, b"0123456789-.eE\"{}[],:"[random(state) as usize % 21]),
            3 => drop(bytes.remove(at)),
            4 => {
                let end = (at + 20).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => drop(bytes.splice(at..at, b"99999999999999999999".iter().copied())),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn nothing_panics() {
    let open = || {
        let space = Space::of([("genre", vec!["jazz", "ambient", "techno"]), ("mood", vec!["calm", "dark"])]).unwrap();
        PromptOptimizer::new(Some(space), Box::new(MemoryStore::new()), Options::default()).unwrap()
    };
    let optimizer = open();
    optimizer.start("rain", 4).unwrap();
    for n in 0..6 {
        let context = [0.1, -0.5];
        let how = SuggestOptions { context: (n % 2 == 0).then_some(&context), ..SuggestOptions::default() };
        let s = optimizer.suggest_with("rain", &how).unwrap();
        optimizer.reward(&s.token, f64::from(n % 2)).unwrap();
    }
    let duel = optimizer.suggest_duel("rain").unwrap();
    optimizer.reward(&duel.token, 1.0).unwrap();
    let token = optimizer.suggest("rain").unwrap().token;
    let state = optimizer.export_state().unwrap();
    let report = optimizer.report("rain").unwrap().to_json();
    let (mut seed, mut taken) = (1, 0);
    for _ in 0..3_000 {
        let lie = damaged(&token, &mut seed);
        assert!(lie == token || optimizer.reward(&lie, 1.0).is_err(), "{lie}");
        let other = open();
        let lie = damaged(&state, &mut seed);
        match other.import_state(&lie) {
            Err(e) => assert!(matches!(e.code(), "SF_FORMAT" | "SF_INVALID_ARGUMENT"), "{e}\n{lie}"),
            Ok(_) => {
                taken += 1;
                let again = other.export_state().unwrap();
                assert_eq!(open().import_state(&again).map(drop).map_err(|e| e.to_string()), Ok(()));
                for concept in other.concepts().unwrap() {
                    let _ = other.suggest(&concept);
                    let _ = other.report(&concept).map(|r| r.summary());
                }
            }
        }
        if let Ok(report) = PromptReport::from_json(&damaged(&report, &mut seed)) {
            let _ = report.summary();
            #[cfg(feature = "plot")]
            let _ = sonicforge_core::plot::prompt_svg(&report);
        }
        let _ = Options::from_json(&damaged("{\"drift\":{\"discount\":0.9},\"prior\":[1,1],\"seed\":1}", &mut seed));
    }
    assert!(taken > 20, "{taken}: hardly any damage was mild enough to say anything");
}
