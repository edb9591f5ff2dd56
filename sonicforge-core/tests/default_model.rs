//! The model that is part of the program: it makes music, the same for the same seed, whatever it is asked.
#![cfg(feature = "default-model")]

use sonicforge_core::analyze::analyze;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::generate::Request;
use sonicforge_core::generate::musicgen::{LoadOptions, MusicGen};
use sonicforge_core::progress::NoProgress;

fn model() -> MusicGen {
    MusicGen::load_default(&LoadOptions::default()).unwrap()
}

fn request(prompt: &str, seconds: f64, seed: u64) -> Request {
    Request { seconds, seed, ..Request::new(prompt) }
}

fn make(model: &MusicGen, request: &Request) -> AudioBuffer {
    model.generate(request, &mut NoProgress).unwrap()
}

#[test]
fn it_says_what_it_is() {
    let model = model();
    let info = model.info();
    assert_eq!((info.sample_rate, info.channels, info.family.as_str()), (16_000, 1, "musicgen"));
    assert_eq!(info.licence, "MIT OR Apache-2.0");
    assert!(info.tokenizer && !info.melody);
    // A fresh process with it must fit 300 MB.
    assert!(info.weight_bytes < 64 << 20, "{} bytes of weights", info.weight_bytes);
}

#[test]
fn it_makes_sound_that_depends_on_the_seed_and_the_words() {
    let model = model();
    let techno = request("fast techno in A minor with drums, 140 bpm", 4.0, 1);
    let made = make(&model, &techno);
    assert_eq!((made.sample_rate(), made.channels(), made.frames()), (16_000, 1, 64_000));
    let heard = analyze(&made).unwrap();
    assert!(heard.integrated_lufs.is_some_and(|lufs| (-40.0..-5.0).contains(&lufs)), "{:?}", heard.integrated_lufs);
    assert_eq!(made.samples(), make(&model, &techno).samples());
    assert_ne!(made.samples(), make(&model, &Request { seed: 2, ..techno.clone() }).samples());
    assert_ne!(made.samples(), make(&model, &request("slow ambient, no drums", 4.0, 1)).samples());
}

#[test]
fn a_stream_and_a_batch_give_the_same_samples() {
    let model = model();
    let wish = request("lofi in C major with piano", 3.0, 5);
    let whole = make(&model, &wish);
    let (mut stream, mut streamed) = (model.stream(&wish).unwrap(), Vec::new());
    while let Some(chunk) = stream.next_chunk(&mut NoProgress).unwrap() {
        streamed.extend_from_slice(chunk.channel(0));
    }
    assert_eq!(whole.channel(0), streamed);
    let batch = [wish, request("jazz", 1.0, 6), request("rock", 2.0, 7)];
    assert_eq!(model.generate_batch(&batch, &mut NoProgress).unwrap()[0].samples(), whole.samples());
}

#[test]
fn nonsense_is_survived() {
    let model = model();
    let words = |count: usize| vec!["piano"; count].join(" ");
    for prompt in
        ["🎵🎹💥", "spokojna muzyka na pianinie, żółw i gęś", "\u{0}\u{feff}\u{202e} techno", &words(400), "137", "…"]
    {
        let made = make(&model, &request(prompt, 1.0, 3));
        assert!(made.samples().iter().all(|x| x.is_finite() && x.abs() < 4.0), "{prompt:.40}");
        assert!(made.samples().iter().any(|x| x.abs() > 1e-4), "{prompt:.40} is silent");
    }
    // No prompt is a wish; an empty one and one that no text encoder was made for are mistakes, and said to be.
    make(&model, &Request { prompt: None, ..request("", 1.0, 3) });
    for (prompt, says) in [(String::new(), "empty"), (" \n".into(), "empty"), (words(2000), "2000 words")] {
        let error = model.generate(&request(&prompt, 1.0, 3), &mut NoProgress).unwrap_err();
        assert_eq!(error.code(), "SF_INVALID_ARGUMENT");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn it_goes_on_from_music() {
    let model = model();
    let begun = make(&model, &request("funk, 100 bpm", 2.0, 9));
    let wish = Request { continue_from: Some(begun.clone()), ..request("funk, 100 bpm", 2.0, 10) };
    let made = make(&model, &wish);
    assert_eq!(made.frames(), 64_000);
}
