//! The public door of the generator, with the tiny checkpoints of `tests/fixtures/generate`. That they equal transformers is
//! tested beside the model (`src/generate/musicgen/parity.rs`).
#![cfg(feature = "generate")]

use std::ops::ControlFlow;
use std::path::PathBuf;

use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::Error;
use sonicforge_core::generate::musicgen::{DeviceKind, LoadOptions, MusicGen, Precision, quantize};
use sonicforge_core::generate::{Generator, Request};
use sonicforge_core::progress::{NoProgress, Step};

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/generate").join(name)
}

fn load(name: &str, quantization: Option<Precision>, threads: usize) -> MusicGen {
    MusicGen::load(folder(name), &LoadOptions { quantization, threads, ..LoadOptions::default() }).unwrap()
}

fn request(prompt: &str, seconds: f64, seed: u64) -> Request {
    Request { seconds, seed, ..Request::new(prompt) }
}

/// A sound of half a second.
fn sound(model: &MusicGen) -> AudioBuffer {
    let info = model.info();
    let tone = |c: usize| -> Vec<f32> {
        (0..info.sample_rate as usize / 2).map(|i| 0.3 * (i as f32 * (0.02 + 0.01 * c as f32)).sin()).collect()
    };
    AudioBuffer::from_channels(info.sample_rate, &(0..info.channels).map(tone).collect::<Vec<_>>()).unwrap()
}

/// Eight requests that differ in everything.
fn mixed(model: &MusicGen) -> Vec<Request> {
    let mut requests = vec![
        request("slow warm piano", 0.5, 1),
        request("fast drums and a very long list of instruments that nobody plays", 0.3, 2),
        Request { guidance_scale: Some(1.0), ..request("dark pad", 0.4, 3) },
        Request { prompt: None, ..request("", 0.2, 4) },
        Request { temperature: Some(0.0), ..request("jazz", 0.35, 5) },
        Request { continue_from: Some(sound(model)), ..request("strings", 0.3, 6) },
        Request { top_k: Some(5), top_p: Some(0.8), temperature: Some(1.3), ..request("waltz", 0.02, 7) },
        Request { keep_prompt: false, continue_from: Some(sound(model)), ..request("bass", 0.6, 8) },
    ];
    if model.info().melody {
        requests[0].melody = Some(sound(model));
    }
    requests
}

#[test]
fn a_song_is_the_same_in_any_company() {
    for name in ["mono", "stereo", "melody"] {
        for precision in [Precision::F32, Precision::Q8_0] {
            let model = load(name, Some(precision), 1);
            let requests = mixed(&model);
            let alone: Vec<AudioBuffer> =
                requests.iter().map(|r| model.generate(r, &mut NoProgress).unwrap()).collect();
            for size in 2..=8 {
                for (song, made) in model.generate_batch(&requests[..size], &mut NoProgress).unwrap().iter().enumerate()
                {
                    assert_eq!(made.samples(), alone[song].samples(), "{name} {precision}: song {song} of {size}");
                }
            }
            // Nor do the threads matter.
            let more = load(name, Some(precision), 3);
            let made = more.generate_batch(&requests, &mut NoProgress).unwrap();
            assert!(made.iter().zip(&alone).all(|(a, b)| a.samples() == b.samples()), "{name} {precision}: threads");
        }
    }
}

#[test]
fn seeds_lengths_and_rates() {
    let model = load("stereo", None, 1);
    let make = |seed| model.generate(&request("piano", 0.5, seed), &mut NoProgress).unwrap();
    let (a, b, other) = (make(1), make(1), make(2));
    assert_eq!(a.samples(), b.samples());
    assert_ne!(a.samples(), other.samples());
    assert_eq!((a.sample_rate(), a.channels(), a.frames()), (32_000, 2, 16_000));
    // Lengths are rounded up to whole frames of codes.
    let short = model.generate(&request("piano", 0.001, 1), &mut NoProgress).unwrap();
    assert_eq!(short.frames(), 640);
    let as_generator: &mut dyn Generator = &mut model.clone();
    assert_eq!(as_generator.generate(&request("piano", 0.5, 1), &mut NoProgress).unwrap().samples(), a.samples());
}

#[test]
fn going_on() {
    let model = load("mono", None, 1);
    let start = sound(&model);
    let codes = model.encode_audio(&start).unwrap();
    let from_audio = Request { continue_from: Some(start), ..request("piano", 0.4, 3) };
    let from_codes = Request { continue_codes: Some(codes.clone()), ..request("piano", 0.4, 3) };
    let with = model.generate(&from_audio, &mut NoProgress).unwrap();
    assert_eq!(with.samples(), model.generate(&from_codes, &mut NoProgress).unwrap().samples());
    assert_eq!(with.frames(), (codes[0].len() + 20) * 640);
    let without = model.generate(&Request { keep_prompt: false, ..from_codes.clone() }, &mut NoProgress).unwrap();
    assert_eq!(without.samples(), &with.samples()[codes[0].len() * 640..]);
    let mut streamed = Vec::new();
    let mut stream = model.stream(&Request { keep_prompt: false, ..from_codes.clone() }).unwrap();
    while let Some(piece) = stream.next_chunk(&mut NoProgress).unwrap() {
        streamed.extend_from_slice(piece.channel(0));
    }
    assert_eq!(streamed, without.samples());
    let all = model.generate_codes(&[from_codes], &mut NoProgress).unwrap();
    assert!(all[0].iter().zip(&codes).all(|(all, known)| all.starts_with(known)));
}

#[test]
fn longer_than_a_window() {
    for name in ["mono", "melody"] {
        let model = load(name, None, 1);
        let window = model.info().window_seconds;
        let long = model.generate_codes(&[request("piano", window * 2.3, 5)], &mut NoProgress).unwrap();
        let frames = (window * 2.3 * 50.0 - 1e-6).ceil() as usize;
        assert!(long[0].iter().all(|book| book.len() == frames));
        // The first window is what a shorter piece has, but for its last frames, where codebooks that are done say nothing.
        let short = model.generate_codes(&[request("piano", window * 0.5, 5)], &mut NoProgress).unwrap();
        let same = |long: &[u32], short: &[u32]| long.starts_with(&short[..short.len() - 4]);
        assert!(long[0].iter().zip(&short[0]).all(|(long, short)| same(long, short)), "{name}");
        // In company too.
        let both = [request("drums", 0.3, 1), request("piano", window * 1.2, 5)];
        let together = model.generate_codes(&both, &mut NoProgress).unwrap();
        let alone = model.generate_codes(&both[1..], &mut NoProgress).unwrap();
        assert_eq!(together[1], alone[0], "{name}");
        // And after a beginning that is longer than the window itself.
        let after = Request { continue_codes: Some(long[0].clone()), ..request("piano", 0.2, 1) };
        let after = model.generate_codes(&[after], &mut NoProgress).unwrap();
        assert_eq!(after[0][0].len(), frames + 10);
    }
}

#[test]
fn a_file_sounds_like_its_folder() {
    let work = tempfile::tempdir().unwrap();
    for precision in [Precision::Q8_0, Precision::F32] {
        let file = work.path().join(format!("{precision}.gguf"));
        quantize(folder("mono"), &file, precision, &mut NoProgress).unwrap();
        let (from_file, from_folder) =
            (MusicGen::load(&file, &LoadOptions::default()).unwrap(), load("mono", Some(precision), 0));
        assert_eq!(from_file.info().precision, precision.to_string());
        let ask = [request("warm piano", 0.6, 9)];
        assert_eq!(
            from_file.generate_codes(&ask, &mut NoProgress).unwrap(),
            from_folder.generate_codes(&ask, &mut NoProgress).unwrap(),
            "{precision}"
        );
    }
}

#[test]
fn a_wish_to_stop_is_heard_within_a_step() {
    let model = load("mono", None, 1);
    let ask = request("piano", 20.0, 1);
    for after in [0, 1, 7, 40] {
        let mut heard = 0;
        let stop = &mut |_: Step| {
            heard += 1;
            if heard > after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let e = model.generate(&ask, stop).unwrap_err();
        assert!(matches!(e, Error::Cancelled(_)), "{e}");
        assert_eq!(heard, after + 1, "nothing more is reported after the wish");
    }
    // A stream can go on.
    let mut stream = model.stream(&request("piano", 0.3, 1)).unwrap();
    assert!(stream.next_chunk(&mut |_: Step| ControlFlow::Break(())).is_err());
    let mut frames = 0;
    while let Some(piece) = stream.next_chunk(&mut NoProgress).unwrap() {
        assert!(piece.frames() > 0);
        frames += piece.frames();
    }
    assert_eq!(frames, 15 * 640);
    assert!(stream.next_chunk(&mut NoProgress).unwrap().is_none());
}

#[test]
fn progress_rises_to_one() {
    let model = load("melody", None, 1);
    let mut seen = Vec::new();
    let mut listen = |step: Step| {
        seen.push((step.stage, step.fraction));
        ControlFlow::Continue(())
    };
    model.generate_batch(&mixed(&model), &mut listen).unwrap();
    assert!(seen.windows(2).all(|w| w[0].1 <= w[1].1), "{seen:?}");
    assert_eq!(seen.last().unwrap().1, 1.0);
    for stage in ["prompt", "generate", "decode"] {
        assert!(seen.iter().any(|s| s.0 == stage), "{stage}");
    }
}

#[test]
fn what_cannot_be_served_is_named() {
    let model = load("mono", None, 1);
    let ok = request("piano", 0.1, 0);
    let rate = AudioBuffer::new(44_100, 1, 1000).unwrap();
    let mut broken = sound(&model);
    broken.channel_mut(0)[77] = f32::NAN;
    let surround = AudioBuffer::new(32_000, 6, 1000).unwrap();
    let words = vec!["word"; 10_000].join(" ");
    let cases = [
        (Request::new(""), "prompt is empty"),
        (Request::new(words), "prompt"),
        (Request { seconds: 0.0, ..ok.clone() }, "seconds is 0"),
        (Request { seconds: -3.0, ..ok.clone() }, "seconds is -3"),
        (Request { seconds: f64::NAN, ..ok.clone() }, "seconds is NaN"),
        (Request { seconds: 1e9, ..ok.clone() }, "seconds is 1000000000"),
        (Request { top_k: Some(513), ..ok.clone() }, "top_k is 513"),
        (Request { top_p: Some(-0.5), ..ok.clone() }, "top_p is -0.5"),
        (Request { temperature: Some(f32::INFINITY), ..ok.clone() }, "temperature is inf"),
        (Request { guidance_scale: Some(0.0), ..ok.clone() }, "guidance_scale is 0"),
        (Request { prompt: None, token_ids: Some(vec![1_000_000]), ..ok.clone() }, "token id 1000000"),
        (Request { continue_from: Some(rate.clone()), ..ok.clone() }, "44100 Hz"),
        (Request { continue_from: Some(broken), ..ok.clone() }, "frame 77"),
        (Request { continue_from: Some(surround), ..ok.clone() }, "6 channels"),
        (Request { continue_codes: Some(vec![vec![0]; 3]), ..ok.clone() }, "3 codebooks"),
        (Request { continue_codes: Some(vec![vec![600]; 4]), ..ok.clone() }, "code 600 in codebook 0"),
        (Request { continue_codes: Some(vec![vec![0], vec![], vec![0], vec![0]]), ..ok.clone() }, "codebook 1"),
        (Request { melody: Some(sound(&model)), ..ok.clone() }, "melody"),
    ];
    for (request, word) in &cases {
        let e = model.generate(request, &mut NoProgress).unwrap_err();
        assert!(e.code() == "SF_INVALID_ARGUMENT" && e.to_string().contains(word), "{word}: {e}");
        assert!(model.stream(request).is_err(), "{word}");
        let e = model.generate_batch(&[ok.clone(), request.clone()], &mut NoProgress).unwrap_err();
        assert!(e.to_string().contains(word), "{e}");
    }
    for size in [0, 65] {
        let e = model.generate_batch(&vec![ok.clone(); size], &mut NoProgress).unwrap_err();
        assert!(e.code() == "SF_INVALID_ARGUMENT" && e.to_string().contains(&format!("batch of {size}")), "{e}");
    }
    assert_eq!(model.decode_codes(&[]).unwrap_err().code(), "SF_INVALID_ARGUMENT");
    assert_eq!(model.encode_audio(&rate).unwrap_err().code(), "SF_INVALID_ARGUMENT");
    // The model is as good as before.
    assert!(model.generate(&ok, &mut NoProgress).is_ok());
}

#[test]
fn what_cannot_be_loaded_is_named() {
    let options = LoadOptions::default();
    let e = MusicGen::load("/no/such/checkpoint", &options).err().unwrap();
    assert!(e.code() == "SF_IO" && e.to_string().contains("/no/such/checkpoint"), "{e}");
    let e = MusicGen::load(folder("mono"), &LoadOptions { threads: 10_000, ..options.clone() }).err().unwrap();
    assert!(e.code() == "SF_INVALID_ARGUMENT" && e.to_string().contains("10000"), "{e}");
    #[cfg(not(feature = "cuda"))]
    {
        let cuda = LoadOptions { device: DeviceKind::Cuda(0), ..options };
        let e = MusicGen::load(folder("mono"), &cuda).err().unwrap();
        assert!(e.code() == "SF_UNSUPPORTED" && e.to_string().contains("cuda"), "{e}");
    }
    assert_eq!("cuda:1".parse::<DeviceKind>().unwrap(), DeviceKind::Cuda(1));
    for bad in ["gpu", "cuda:", "cpu:0", "cuda:-1", ""] {
        assert_eq!(bad.parse::<DeviceKind>().unwrap_err().code(), "SF_INVALID_ARGUMENT", "{bad}");
    }
}
