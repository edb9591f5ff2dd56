//! Simulated listeners improve four prompts: `optimize [400] [optimize.svg] [taste.db]`.
//!
//! Rounds, where the picture goes (feature `plot`), and the store ("memory:" by default).

use std::process::ExitCode;

use sonicforge_core::error::{Error, Result};
use sonicforge_core::optimize::store::{Durability, open_store};
use sonicforge_core::optimize::{Options, PromptOptimizer, Space, SuggestOptions, Variant};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", error.code());
            ExitCode::FAILURE
        }
    }
}

/// The probability that a listener likes a prompt; nobody but the listeners knows it.
fn pleases(variant: &Variant) -> f64 {
    let liked = |value: &String| match value.as_str() {
        "lo-fi hip hop" => 0.25,
        "jazz" | "melancholic" | "piano and vinyl noise" => 0.15,
        "calm" => 0.1,
        _ => 0.0,
    };
    0.25 + variant.slots.values().map(liked).sum::<f64>()
}

fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let rounds = words.first().map_or(Ok(400), |n| n.parse());
    let rounds: u32 = rounds.map_err(|_| Error::invalid("usage: optimize [ROUNDS] [PICTURE] [STORE]"))?;
    let picture = words.get(1).map_or("optimize.svg", String::as_str);
    let store = words.get(2).map_or("memory:", String::as_str);
    let space = Space::of([
        ("genre", vec!["lo-fi hip hop", "jazz", "ambient", "deep house"]),
        ("mood", vec!["calm", "melancholic", "hopeful", "dark"]),
        ("instruments", vec!["piano and vinyl noise", "guitar", "warm pads", "brushed drums"]),
        ("tempo", vec!["70 bpm", "85 bpm", "100 bpm", "120 bpm"]),
    ])?;
    let options = Options { seed: 1, ..Options::default() };
    let optimizer = PromptOptimizer::new(Some(space), open_store(store, Durability::Power, None)?, options)?;
    let concept = "rainy night";
    optimizer.start(concept, 4)?;
    let (mut state, mut earned) = (1u32, 0);
    for n in 0..rounds {
        let how = SuggestOptions { epoch: Some(n / 20), ..SuggestOptions::default() };
        let suggestion = optimizer.suggest_with(concept, &how)?;
        let variants = optimizer.variants(concept)?;
        let variant = variants.iter().find(|v| v.id == suggestion.variant);
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let liked = variant.is_some_and(|v| f64::from(state) / 4_294_967_296.0 < pleases(v));
        optimizer.reward(&suggestion.token, f64::from(u8::from(liked)))?;
        earned += u32::from(liked);
        if n % 100 == 99 {
            let (retired, added) = optimizer.evolve(concept, 0.02, 10)?;
            for (old, new) in retired.iter().zip(&added) {
                println!("after {}: {:?} makes room for {:?}", n + 1, old.text, new.text);
            }
        }
    }
    let report = optimizer.report(concept)?;
    print!("{}", report.summary());
    println!("{earned} of {rounds} were liked");
    #[cfg(feature = "plot")]
    {
        let svg = sonicforge_core::plot::prompt_svg(&report);
        std::fs::write(picture, svg).map_err(|e| Error::io("cannot write", picture, e))?;
        println!("written: {picture}");
    }
    let _ = picture;
    Ok(())
}
