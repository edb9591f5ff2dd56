//! Fingerprints through the public door: equal however the sound is cut, for whatever comes.
#![cfg(feature = "fingerprint")]

use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::fingerprint::{Chromaprint, ChromaprintPreset, Chromaprinter};
use sonicforge_core::fingerprint::{Fingerprint, FingerprintParams, Fingerprinter};
use sonicforge_core::testing::{Signal, Xorshift};

/// The word of a window in which there is nothing.
const SILENCE: u32 = 627_964_279;

fn music(rate: u32, channels: usize, seconds: f64) -> AudioBuffer {
    Signal::Music { seed: 5 }.render(rate, channels, seconds).unwrap()
}

fn pcm(audio: &AudioBuffer) -> Vec<i16> {
    audio.to_interleaved().iter().map(|x| (x * 32_768.0).round_ties_even() as i16).collect()
}

#[test]
fn the_same_however_it_is_cut() {
    let mut rng = Xorshift::new(1);
    for (rate, channels) in [(8_000, 1), (11_025, 2), (44_100, 2), (48_000, 1), (96_000, 3), (384_000, 1)] {
        let mut audio = music(rate, channels, 6.0);
        let interleaved = pcm(&audio);
        for preset in ChromaprintPreset::ALL {
            let params = FingerprintParams { preset, ..FingerprintParams::default() };
            let whole = Fingerprint::with(&audio, &params).unwrap();
            assert_eq!(whole.chromaprint.words().is_empty(), preset == ChromaprintPreset::Test3, "{preset}");
            for longest in [1_000, 40_000, 100_000] {
                let mut f = Fingerprinter::new(rate, channels, &params).unwrap();
                let mut at = 0;
                while at < audio.frames() {
                    let end = (at + 1 + rng.next_u64() as usize % longest).min(audio.frames());
                    f.push(&audio.block_range(at, end)).unwrap();
                    at = end;
                }
                assert_eq!(f.finish(), whole, "{rate} {channels} {preset} {longest}");
            }
            // PCM of 16 bit, cut within frames too.
            let mut printer = Chromaprinter::new(rate, channels, preset).unwrap();
            let mut rest = &interleaved[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at((1 + rng.next_u64() as usize % 7_001).min(rest.len()));
                printer.push_i16(now);
                rest = later;
            }
            assert_eq!(printer.finish(), whole.chromaprint, "{rate} {channels} {preset}");
        }
    }
}

#[test]
fn single_frames_at_a_time() {
    let audio = music(44_100, 2, 3.5);
    let mut f = Fingerprinter::new(44_100, 2, &FingerprintParams::default()).unwrap();
    for n in 0..audio.frames() {
        f.push_channels(&[&audio.channel(0)[n..=n], &audio.channel(1)[n..=n]]).unwrap();
    }
    assert_eq!(f.finish(), Fingerprint::of(&audio).unwrap());
}

#[test]
fn as_many_words_as_the_length_says() {
    for (preset, frame, hop) in [
        (ChromaprintPreset::Test2, 4_096, 1_365),
        (ChromaprintPreset::Test3, 4_096, 4_096),
        (ChromaprintPreset::Test5, 2_048, 1_024),
    ] {
        for words in [1, 2, 50] {
            let samples = frame + (18 + words) * hop;
            for (less, expected) in [(0, words), (1, words - 1)] {
                let noise = Signal::Noise { level_dbfs: -6.0, seed: 3 };
                let mut audio = noise.render(11_025, 1, 30.0).unwrap();
                audio = AudioBuffer::from_planar(11_025, 1, {
                    let mut x = audio.into_samples();
                    x.resize(samples - less, 0.25);
                    x
                })
                .unwrap();
                assert_eq!(Chromaprint::with(&audio, preset).unwrap().words().len(), expected);
            }
        }
    }
}

#[test]
fn two_minutes_are_948_words() {
    let long = Chromaprint::from_words(ChromaprintPreset::Test2, (0..5_000).collect()).unwrap();
    assert_eq!(long.first(120.0).words().len(), 948);
    assert_eq!(Chromaprint::of(&music(44_100, 1, 120.0)).unwrap().words().len(), 948);
    assert_eq!(long.first(1.0).words().len(), 0);
    assert_eq!(long.first(f64::NAN).words().len(), 0);
    assert_eq!(long.first(1e9), long);
}

#[test]
fn silence_is_one_word_over_and_over() {
    let audio = Signal::Silence.render(44_100, 2, 10.0).unwrap();
    let print = Chromaprint::of(&audio).unwrap();
    assert!(print.words().len() > 50 && print.words().iter().all(|&w| w == SILENCE));
    let trimmed = Chromaprint::with(&audio, ChromaprintPreset::Test4).unwrap();
    assert!(trimmed.words().is_empty());
}

#[test]
fn leading_silence_changes_nothing_where_it_is_trimmed() {
    // A loud beginning, so that the trim falls on the same sample; at 11 025 Hz, where nothing is resampled.
    let sound = Signal::Noise { level_dbfs: -3.0, seed: 8 }.render(11_025, 1, 8.0).unwrap();
    let mut late = vec![0.0; 5_000];
    late.extend_from_slice(sound.samples());
    let late = AudioBuffer::from_planar(11_025, 1, late).unwrap();
    let params = FingerprintParams { silence_threshold: Some(0), ..FingerprintParams::default() };
    let (a, b) = (Fingerprint::with(&sound, &params).unwrap(), Fingerprint::with(&late, &params).unwrap());
    assert_eq!(a.chromaprint, b.chromaprint);
    assert_ne!(Chromaprint::of(&sound).unwrap(), Chromaprint::of(&late).unwrap());
}

#[test]
fn odd_input_has_clear_results() {
    for rate in [8_000, 44_100, 384_000] {
        for channels in 1..=8 {
            let short = Fingerprint::of(&music(rate, channels, 0.001)).unwrap();
            assert!(short.chromaprint.words().is_empty());
            assert_eq!(short.frames, u64::from(rate) / 1_000);
            let empty = Fingerprint::of(&AudioBuffer::new(rate, channels, 0).unwrap()).unwrap();
            assert!(empty.chromaprint.words().is_empty() && empty.seconds == 0.0);
            let noise = Signal::Noise { level_dbfs: -6.0, seed: 1 }.render(rate, channels, 3.8).unwrap();
            assert!(!Fingerprint::of(&noise).unwrap().chromaprint.words().is_empty());
        }
    }
    let mut odd = music(44_100, 2, 4.0);
    odd.channel_mut(0)[1_000] = f32::NAN;
    odd.channel_mut(1)[2_000] = f32::NEG_INFINITY;
    let mut plain = odd.clone();
    plain.channel_mut(0)[1_000] = 0.0;
    plain.channel_mut(1)[2_000] = -1.0;
    let (odd, plain) = (Fingerprint::of(&odd).unwrap(), Fingerprint::of(&plain).unwrap());
    assert_eq!((odd.non_finite_samples, plain.non_finite_samples), (2, 0));
    assert_eq!(odd.chromaprint, plain.chromaprint);
}

#[test]
fn what_is_refused() {
    let params = FingerprintParams::default();
    let message = |r: Result<(), sonicforge_core::error::Error>| r.unwrap_err().to_string();
    assert!(message(Fingerprinter::new(7_999, 2, &params).map(drop)).contains("7999"));
    assert!(message(Fingerprinter::new(44_100, 9, &params).map(drop)).contains('9'));
    let loud = FingerprintParams { silence_threshold: Some(40_000), ..params.clone() };
    assert!(message(Fingerprinter::new(44_100, 2, &loud).map(drop)).contains("40000"));
    let mut f = Fingerprinter::new(44_100, 2, &params).unwrap();
    assert!(message(f.push_channels(&[&[0.0]])).contains("1 channels"));
    assert!(message(f.push_channels(&[&[0.0], &[0.0, 0.0]])).contains("channel 1 has 2 frames"));
    assert!(message(f.push_buffer(&music(48_000, 2, 1.0))).contains("48000 Hz"));
    assert_eq!(f.finish().frames, 0);
    assert!("test9".parse::<ChromaprintPreset>().unwrap_err().to_string().contains("test9"));
}

#[test]
fn text_and_json_come_back() {
    let print = Fingerprint::of(&music(44_100, 2, 5.0)).unwrap();
    assert_eq!(Fingerprint::from_json(&print.to_json()).unwrap(), print);
    let text = print.chromaprint.encode();
    assert!(text.starts_with("AQAA"), "{text}");
    assert_eq!(Chromaprint::decode(&format!(" {text}==\n")).unwrap(), print.chromaprint);
    for (text, code) in
        [("AQ*A", "SF_FORMAT"), ("", "SF_FORMAT"), ("AQAAAQ", "SF_FORMAT"), ("CQAAAA", "SF_UNSUPPORTED")]
    {
        assert_eq!(Chromaprint::decode(text).unwrap_err().code(), code, "{text}");
    }
    let newer = print.to_json().replacen("\"schema\":1", "\"schema\":2", 1);
    assert!(Fingerprint::from_json(&newer).unwrap_err().to_string().contains("schema 2"));
    assert_eq!(Fingerprint::from_json("{}").unwrap_err().code(), "SF_FORMAT");
}

#[test]
fn a_simhash_counts_more_than_half() {
    let hash = |words: &[u32]| Chromaprint::from_words(ChromaprintPreset::Test2, words.to_vec()).unwrap().simhash();
    assert_eq!(hash(&[]), 0);
    assert_eq!(hash(&[0b11]), 0b11);
    assert_eq!(hash(&[0b11, 0b01]), 0b01);
    assert_eq!(hash(&[0b110, 0b100, 0b011]), 0b110);
}
