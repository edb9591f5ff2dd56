//! The landmark index through the public door, on melodies drawn at random.
#![cfg(feature = "fingerprint")]

use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::fingerprint::{Constellation, Fingerprint, Index, Match, QueryOptions, Sketch};
use sonicforge_core::testing::{Signal, Xorshift};

const RATE: u32 = 22_050;

/// Notes of a plucked instrument, at random times and heights; every seed is another piece. Played `speed` times as fast.
fn piece(seed: u64, seconds: f64, speed: f64) -> AudioBuffer {
    let mut rng = Xorshift::new(seed * 7_919 + 1);
    let frames = (seconds / speed * f64::from(RATE)) as usize;
    let mut out = vec![0.0f32; frames];
    let mut at = 0.0;
    while at < seconds {
        let hz = 180.0 * ((rng.bipolar() + 1.0) * 22.0).floor().mul_add(1.0 / 12.0, 0.0).exp2();
        let start = (at / speed * f64::from(RATE)) as usize;
        let (w, decay) = (std::f64::consts::TAU * hz * speed / f64::from(RATE), (-4.0 * speed / f64::from(RATE)).exp());
        let mut level = 0.2;
        for (n, y) in out[start..].iter_mut().take(RATE as usize).enumerate() {
            let phase = w * n as f64;
            *y += (level * (phase.sin() + 0.5 * (2.0 * phase).sin() + 0.25 * (3.0 * phase).sin())) as f32;
            level *= decay;
        }
        at += 0.06 + 0.12 * (rng.bipolar() + 1.0);
    }
    AudioBuffer::from_planar(RATE, 1, out).unwrap()
}

fn part(audio: &AudioBuffer, from_s: f64, seconds: f64) -> AudioBuffer {
    let rate = f64::from(audio.sample_rate());
    let (from, to) = ((from_s * rate) as usize, ((from_s + seconds) * rate) as usize);
    AudioBuffer::from_planar(audio.sample_rate(), 1, audio.channel(0)[from..to].to_vec()).unwrap()
}

fn index(seeds: std::ops::Range<u64>) -> Index {
    let mut index = Index::new();
    for seed in seeds {
        index.insert(&format!("piece {seed}"), &Fingerprint::of(&piece(seed, 40.0, 1.0)).unwrap()).unwrap();
    }
    index
}

fn ask(index: &Index, audio: &AudioBuffer) -> Option<Match> {
    index.query(&Sketch::of(audio).unwrap(), &QueryOptions::default()).unwrap().into_iter().next()
}

#[test]
fn an_excerpt_is_found_at_its_place_with_its_key_and_speed() {
    let index = index(0..30);
    for seed in 0..12u64 {
        let from = 3.0 + seed as f64 * 2.1;
        let found = ask(&index, &part(&piece(seed, 40.0, 1.0), from, 10.0)).unwrap();
        assert_eq!(found.id, format!("piece {seed}"));
        assert!((found.track_start_s - found.query_start_s - from).abs() < 0.05, "{found:?}");
        assert!((found.pitch_factor, found.tempo_factor) == (1.0, 1.0), "{found:?}");

        let speed = [0.94, 0.96, 0.98, 1.02, 1.04, 1.06][seed as usize % 6];
        let found = ask(&index, &part(&piece(seed, 40.0, speed), from / speed, 10.0)).unwrap();
        assert_eq!(found.id, format!("piece {seed}"));
        assert!((found.pitch_factor / speed - 1.0).abs() < 0.003, "{found:?}");
        assert!((found.tempo_factor / speed - 1.0).abs() < 0.003, "{found:?}");
        assert!((found.track_start_s - found.query_start_s * speed - from).abs() < 0.1, "{from} {found:?}");
    }
}

#[test]
fn noise_does_not_hide_it_and_what_is_unknown_is_not_found() {
    let index = index(0..30);
    let mut rng = Xorshift::new(5);
    for seed in 0..10u64 {
        let mut noisy = part(&piece(seed, 40.0, 1.0), 11.3, 10.0);
        let rms = (noisy.channel(0).iter().map(|x| x * x).sum::<f32>() / noisy.frames() as f32).sqrt();
        // White noise of a uniform density as strong as the music.
        noisy.channel_mut(0).iter_mut().for_each(|x| *x += 3f32.sqrt() * rms * rng.bipolar() as f32);
        assert_eq!(ask(&index, &noisy).unwrap().id, format!("piece {seed}"));
        assert_eq!(ask(&index, &part(&piece(1_000 + seed, 40.0, 1.0), 11.3, 10.0)), None);
    }
    for signal in [Signal::Silence, Signal::Noise { level_dbfs: -6.0, seed: 2 }, Signal::Impulse { at: 9_000 }] {
        assert_eq!(ask(&index, &signal.render(44_100, 2, 10.0).unwrap()), None, "{signal:?}");
    }
}

#[test]
fn a_bell_and_silence_match_nothing() {
    let bell = |seconds: f64| {
        let ring = |n: usize| (-(n as f64) / 12_000.0).exp() * (n as f64 * 0.25).sin() * 0.5;
        let x = (0..(seconds * f64::from(RATE)) as usize).map(|n| if n < 22_050 { ring(n) as f32 } else { 0.0 });
        AudioBuffer::from_planar(RATE, 1, x.collect()).unwrap()
    };
    let mut index = index(0..5);
    index.insert("bell", &Fingerprint::of(&bell(60.0)).unwrap()).unwrap();
    assert_eq!(ask(&index, &part(&bell(60.0), 20.0, 10.0)), None);
    assert_eq!(ask(&index, &bell(20.0)), None);
}

/// Half a minute of `guest` from `from_s` on, from the 20th second of a minute and a half of another piece on: in its place, or
/// mixed with what goes on.
fn part_of_another(guest: &AudioBuffer, from_s: f64, goes_on: bool) -> AudioBuffer {
    let mut query = piece(500, 90.0, 1.0);
    let guest = part(guest, from_s, 30.0);
    let part = &mut query.channel_mut(0)[20 * RATE as usize..50 * RATE as usize];
    part.iter_mut().zip(guest.channel(0)).for_each(|(x, y)| *x = y + if goes_on { *x } else { 0.0 });
    query
}

/// `b` behind `a`.
fn joined(a: &AudioBuffer, b: &AudioBuffer) -> AudioBuffer {
    AudioBuffer::from_planar(RATE, 1, [a.channel(0), b.channel(0)].concat()).unwrap()
}

fn assert_edges(found: &Match, id: &str, from_s: f64) {
    assert_eq!(found.id, id);
    assert!((found.query_start_s - 20.0).abs() < 0.2 && (found.query_end_s - 50.0).abs() < 0.2, "{found:?}");
    let starts = found.track_start_s - found.query_start_s + 20.0;
    assert!((starts - from_s).abs() < 0.1, "{found:?}");
}

#[test]
fn a_part_of_a_long_query() {
    let index = index(0..10);
    for (seed, goes_on) in [(3, false), (4, true)] {
        let found = ask(&index, &part_of_another(&piece(seed, 40.0, 1.0), 7.0, goes_on)).unwrap();
        assert_edges(&found, &format!("piece {seed}"), 7.0);
    }
}

#[test]
fn a_whole_query_has_no_cuts() {
    let query = part(&piece(3, 40.0, 1.0), 7.0, 10.0);
    let found = ask(&index(0..5), &query).unwrap();
    assert!(found.query_start_s < 0.02 && found.query_end_s > 9.95, "{found:?}");
}

#[test]
fn silence_that_the_track_shares_belongs_to_it() {
    let mut track = piece(30, 50.0, 1.0);
    for seconds in [4..9, 32..37] {
        track.channel_mut(0)[seconds.start * RATE as usize..seconds.end * RATE as usize].fill(0.0);
    }
    let mut index = index(0..5);
    index.insert("with rests", &Fingerprint::of(&track).unwrap()).unwrap();
    // From rest to rest.
    assert_edges(&ask(&index, &part_of_another(&track, 5.5, false)).unwrap(), "with rests", 5.5);
}

#[test]
fn of_two_repetitions_the_one_that_goes_on_as_the_query_does() {
    let [refrain, first, second] = [31, 32, 33].map(|seed| piece(seed, 20.0, 1.0));
    let song = joined(&joined(&refrain, &first), &joined(&refrain, &second));
    let mut index = index(0..5);
    index.insert("song", &Fingerprint::of(&song).unwrap()).unwrap();
    for from in [2.0, 42.0] {
        assert_edges(&ask(&index, &part_of_another(&song, from, false)).unwrap(), "song", from);
    }
}

#[cfg(feature = "plot")]
#[test]
fn a_match_has_its_picture() {
    let index = index(1..4);
    let query = Sketch::of(&part(&piece(2, 40.0, 1.0), 10.0, 10.0)).unwrap();
    let found = &index.query(&query, &QueryOptions::default()).unwrap()[0];
    let explanation = index.snapshot().explain(&query, found).unwrap();
    assert!(explanation.landmarks.iter().filter(|l| l.agrees).count() > 20);
    let svg = sonicforge_core::plot::match_svg(&explanation);
    // With the spectrogram, which a wrong number of bands would leave out.
    assert!(svg.contains("piece 2 was found") && svg.contains("<image"));
}

#[test]
fn tracks_come_and_go() {
    let mut index = Index::new();
    assert!(index.is_empty());
    assert_eq!(ask(&index, &part(&piece(1, 40.0, 1.0), 5.0, 10.0)), None);
    let prints: Vec<Fingerprint> = (0..20).map(|seed| Fingerprint::of(&piece(seed, 40.0, 1.0)).unwrap()).collect();
    for (seed, print) in prints.iter().enumerate() {
        index.insert(&seed.to_string(), print).unwrap();
    }
    let error = index.insert("7", &prints[7]).unwrap_err();
    assert!(error.to_string().contains("\"7\" is in the index already"), "{error}");
    let before = index.snapshot();
    for seed in (0..20).step_by(2).chain([5, 7, 9]) {
        assert!(index.remove(&seed.to_string()).unwrap());
        assert!(!index.remove(&seed.to_string()).unwrap());
    }
    assert_eq!((index.len(), before.len()), (7, 20));
    for seed in 0..20u64 {
        let excerpt = part(&piece(seed, 40.0, 1.0), 5.0, 10.0);
        let gone = seed % 2 == 0 || [5, 7, 9].contains(&seed);
        assert_eq!(ask(&index, &excerpt).map(|m| m.id), (!gone).then(|| seed.to_string()));
        // What was cloned is a snapshot.
        let found = before.query(&Sketch::of(&excerpt).unwrap(), &QueryOptions::default()).unwrap();
        assert_eq!(found[0].id, seed.to_string());
    }
    index.insert("7", &prints[8]).unwrap();
    assert_eq!(ask(&index, &part(&piece(8, 40.0, 1.0), 5.0, 10.0)).unwrap().id, "7");
}

#[test]
fn the_same_answers_however_the_index_grew() {
    let (grown, mut backwards) = (index(0..12), Index::new());
    for seed in (0..12).rev() {
        backwards.insert(&format!("piece {seed}"), &Fingerprint::of(&piece(seed, 40.0, 1.0)).unwrap()).unwrap();
    }
    assert_eq!(grown.stats().postings, backwards.stats().postings);
    for seed in 0..12u64 {
        let excerpt = part(&piece(seed, 40.0, 1.03), 9.0, 6.0);
        let (a, b) = (ask(&grown, &excerpt).unwrap(), ask(&backwards, &excerpt).unwrap());
        assert_eq!((a.id, a.track_start_s), (b.id, b.track_start_s));
    }
}

#[test]
fn constellations_come_back_from_bytes_and_strangers_bytes_are_refused() {
    let print = Fingerprint::of(&piece(2, 40.0, 1.0)).unwrap().landmarks;
    assert!(print.len() > 300, "{}", print.len());
    let silence = Fingerprint::of(&AudioBuffer::new(RATE, 1, 100).unwrap()).unwrap();
    let bytes = print.to_bytes();
    assert_eq!(Constellation::from_bytes(&bytes).unwrap(), print);
    let mut rng = Xorshift::new(4);
    for len in 0..bytes.len().min(200) {
        if let Ok(read) = Constellation::from_bytes(&bytes[..len]) {
            assert!(read.len() < print.len());
        }
        let noise: Vec<u8> = [2].into_iter().chain((0..len).map(|_| rng.next_u64() as u8)).collect();
        if let Ok(read) = Constellation::from_bytes(&noise) {
            let print = Fingerprint { landmarks: read.clone(), ..silence.clone() };
            Index::new().insert("noise", &print).unwrap();
            assert_eq!(Constellation::from_bytes(&read.to_bytes()).unwrap(), read);
        }
    }
    assert_eq!(Constellation::from_bytes(&[1, 0]).unwrap_err().code(), "SF_UNSUPPORTED");
    assert_eq!(Constellation::from_bytes(&[]).unwrap_err().code(), "SF_FORMAT");
    assert_eq!(Constellation::from_bytes(&[2, 5, 9, 0, 0]).unwrap_err().code(), "SF_FORMAT");
    let wrong = QueryOptions { max_pitch_semitones: 4.0, ..QueryOptions::default() };
    let error = Index::new().query(&Sketch::default(), &wrong).unwrap_err();
    assert!(error.to_string().contains("max_pitch_semitones is 4"), "{error}");
}
