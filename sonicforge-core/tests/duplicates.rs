//! Duplicates of a catalogue, and a folder of files, through the public door.
#![cfg(all(feature = "fingerprint", feature = "io"))]

use std::ops::ControlFlow;

use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::fingerprint::{
    DuplicateOptions, DuplicateReport, Fingerprint, FingerprintParams, Index, Relation, ScanOptions, fingerprint_file,
    scan,
};
use sonicforge_core::io::{self, SampleFormat, WriteOptions};
use sonicforge_core::progress::{NoProgress, Step};

mod melody;
use melody::{RATE, piece};

/// At another speed, as a tape.
fn sped(audio: &AudioBuffer, factor: f64) -> AudioBuffer {
    let rate = (f64::from(RATE) * factor).round() as u32;
    AudioBuffer::from_planar(rate, 1, audio.channel(0).to_vec()).unwrap().resample(RATE).unwrap()
}

/// With another balance: a one-pole shelf.
fn darker(audio: &AudioBuffer) -> AudioBuffer {
    let mut low = 0.0;
    let x = audio.channel(0).iter().map(|x| {
        low += 0.12 * (x - low);
        low + 0.3 * x
    });
    AudioBuffer::from_planar(RATE, 1, x.collect()).unwrap()
}

fn joined(parts: &[&AudioBuffer]) -> AudioBuffer {
    let x: Vec<f32> = parts.iter().flat_map(|p| p.channel(0).iter().copied()).collect();
    AudioBuffer::from_planar(RATE, 1, x).unwrap()
}

fn find(index: &Index) -> DuplicateReport {
    index.duplicates(&DuplicateOptions::default(), &mut NoProgress).unwrap()
}

#[test]
fn every_relation_is_told() {
    let params = FingerprintParams { pcm_hash: true, ..FingerprintParams::default() };
    let mut index = Index::new();
    let mut add =
        |id: &str, audio: &AudioBuffer| index.insert(id, &Fingerprint::with(audio, &params).unwrap()).unwrap();
    let pieces: Vec<AudioBuffer> = (0..7).map(|seed| piece(seed, 70.0)).collect();
    for (i, audio) in pieces.iter().enumerate() {
        add(&format!("piece {i}"), audio);
    }
    add("copy of 0", &pieces[0]);
    let mut quieter = pieces[1].clone();
    quieter.channel_mut(0).iter_mut().for_each(|x| *x *= 0.5);
    add("quieter 1", &quieter);
    add("faster 2", &sped(&pieces[2], 1.03));
    add("cut 3", &pieces[3].trim(9.0, 70.0).unwrap());
    add("contains 4", &joined(&[&piece(100, 110.0), &pieces[4], &piece(101, 60.0)]));
    add("darker 5", &darker(&pieces[5]));
    add("shares with 6", &joined(&[&piece(102, 60.0), &pieces[6].trim(20.0, 60.0).unwrap(), &piece(103, 60.0)]));

    let report = find(&index);
    let pairs: Vec<_> = report.groups.iter().flat_map(|g| &g.pairs).collect();
    let told: Vec<(&str, &str, Relation)> = pairs.iter().map(|p| (&*p.first, &*p.second, p.relation)).collect();
    let table = report.to_table();
    assert_eq!(report.groups.len(), 6, "{table}");
    for expected in [
        ("copy of 0", "piece 0", Relation::Identical),
        ("piece 1", "quieter 1", Relation::Transcode),
        ("faster 2", "piece 2", Relation::Sped),
        ("piece 3", "cut 3", Relation::Trimmed),
        ("contains 4", "piece 4", Relation::Contains),
    ] {
        assert!(told.contains(&expected), "{expected:?}\n{table}");
    }
    let dark = pairs.iter().find(|p| p.first == "darker 5").unwrap();
    assert!(matches!(dark.relation, Relation::Remaster | Relation::Transcode), "{table}");
    let fast = pairs.iter().find(|p| p.first == "faster 2").unwrap();
    assert!((fast.tempo_factor - 1.03).abs() < 0.003 && (fast.pitch_factor - 1.03).abs() < 0.003, "{fast:?}");
    let cut = pairs.iter().find(|p| p.second == "cut 3").unwrap();
    assert!((cut.stretches[0].first_start_s - cut.stretches[0].second_start_s - 9.0).abs() < 0.3, "{cut:?}");
    assert_eq!(report.shares.len(), 1, "{table}");
    let share = &report.shares[0];
    assert_eq!((&*share.first, &*share.second), ("piece 6", "shares with 6"));
    let length = share.stretches[0].first_end_s - share.stretches[0].first_start_s;
    assert!((30.0..50.0).contains(&length), "{share:?}");
    let again: DuplicateReport = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(again, report);
}

#[test]
fn bells_and_silence_are_nobodys_duplicates() {
    let bell = |hz: f64| {
        let x = (0..40 * RATE as usize).map(|n| {
            let t = n as f64 / f64::from(RATE);
            if t < 1.5 { ((-t / 0.4).exp() * (std::f64::consts::TAU * hz * t).sin() * 0.5) as f32 } else { 0.0 }
        });
        AudioBuffer::from_planar(RATE, 1, x.collect()).unwrap()
    };
    let mut index = Index::new();
    for (id, audio) in [
        ("bell", bell(440.0)),
        ("other bell", bell(523.0)),
        ("silence", AudioBuffer::new(RATE, 1, 30 * RATE as usize).unwrap()),
        ("more silence", AudioBuffer::new(RATE, 1, 40 * RATE as usize).unwrap()),
        ("short", AudioBuffer::new(RATE, 1, 22).unwrap()),
        ("piece", piece(9, 40.0)),
    ] {
        index.insert(id, &Fingerprint::of(&audio).unwrap()).unwrap();
    }
    let report = find(&index);
    assert!(report.groups.is_empty() && report.shares.is_empty(), "{}", report.to_table());
}

#[test]
fn options_out_of_range_and_the_wish_to_stop() {
    let mut index = Index::new();
    for seed in 0..3 {
        index.insert(&seed.to_string(), &Fingerprint::of(&piece(seed, 20.0)).unwrap()).unwrap();
    }
    for wrong in [
        DuplicateOptions { max_pitch_semitones: 4.0, ..DuplicateOptions::default() },
        DuplicateOptions { max_tempo_percent: f64::NAN, ..DuplicateOptions::default() },
        DuplicateOptions { probes: 0, ..DuplicateOptions::default() },
        DuplicateOptions { min_shared_s: 1.0, ..DuplicateOptions::default() },
    ] {
        assert_eq!(index.duplicates(&wrong, &mut NoProgress).unwrap_err().code(), "SF_INVALID_ARGUMENT");
    }
    let mut last = 0.0;
    let mut watch = |step: Step| {
        assert!(step.fraction >= last);
        last = step.fraction;
        ControlFlow::<()>::Continue(())
    };
    index.duplicates(&DuplicateOptions { threads: 1, ..DuplicateOptions::default() }, &mut watch).unwrap();
    let error = index.duplicates(&DuplicateOptions::default(), &mut |_| ControlFlow::Break(())).unwrap_err();
    assert_eq!(error.code(), "SF_CANCELLED");
}

#[test]
fn a_folder_is_heard_once_and_followed() {
    let music = tempfile::tempdir().unwrap();
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, audio: &AudioBuffer| {
        let path = music.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        io::write(path, audio, &WriteOptions::new(SampleFormat::Int16)).unwrap();
    };
    write("a.wav", &piece(1, 25.0));
    write("deep/er/a again.flac", &piece(1, 25.0));
    write("b.wav", &piece(2, 25.0));
    std::fs::write(music.path().join("broken.mp3"), b"no music").unwrap();
    std::fs::write(music.path().join("notes.txt"), b"no sound").unwrap();
    let mut index = Index::open(place.path(), &Default::default()).unwrap();
    // Stopped at the first file: nothing is half there, and the next scan does it all.
    let stopped = scan(music.path(), &mut index, &ScanOptions::default(), &mut |_: Step| ControlFlow::Break(()));
    assert_eq!(stopped.unwrap_err().code(), "SF_CANCELLED");
    let report = scan(music.path(), &mut index, &ScanOptions::default(), &mut NoProgress).unwrap();
    assert_eq!(report.added, ["a.wav", "b.wav", "deep/er/a again.flac"]);
    assert_eq!((report.failed.len(), report.failed[0].0.as_str(), report.unchanged), (1, "broken.mp3", 0));
    let again = scan(music.path(), &mut index, &ScanOptions::default(), &mut NoProgress).unwrap();
    assert_eq!((again.added.len(), again.unchanged, again.removed.len()), (0, 3, 0));
    let found = find(&index);
    assert_eq!(found.groups.len(), 1);
    assert_eq!(found.groups[0].ids, ["a.wav", "deep/er/a again.flac"]);
    assert_eq!(found.groups[0].pairs[0].relation, Relation::Identical);

    write("b.wav", &piece(3, 31.0));
    std::fs::remove_file(music.path().join("a.wav")).unwrap();
    let changed = scan(music.path(), &mut index, &ScanOptions::default(), &mut NoProgress).unwrap();
    assert_eq!((changed.added, changed.removed), (vec!["b.wav".to_owned()], vec!["a.wav".to_owned()]));
    let track = index.get("b.wav").unwrap().unwrap();
    assert!((track.seconds - 31.0).abs() < 1e-6 && track.note.contains("bytes"), "{}", track.note);
    let file = fingerprint_file(music.path().join("b.wav"), &FingerprintParams::default()).unwrap();
    assert_eq!((file.chromaprint, file.landmarks), (track.chromaprint, track.landmarks));
    drop(index);
    let error =
        scan(music.path().join("nowhere"), &mut Index::new(), &ScanOptions::default(), &mut NoProgress).unwrap_err();
    assert_eq!(error.code(), "SF_IO");
}
