//! Figures of the index of fingerprints.
//!
//! ```text
//! index-figures scan FOLDER INDEX          decoding alone, then decoding and fingerprinting into INDEX; its size; how fast postings
//!                                          come in; how long it takes to open and to ask
//! index-figures synthetic TRACKS FOLDER INDEX   INDEX of so many tracks of four minutes, drawn from the landmarks of the index FOLDER
//!                                          backwards and in other keys; and the real ones
//! index-figures ask INDEX FOLDER N         N excerpts of 10 s of the files of FOLDER, which the index holds: time of each
//! index-figures extract FILE               times real time: fingerprints of the first five minutes of FILE, in memory
//! index-figures dedupe FOLDER [INDEX]      the report of duplicates, as JSON
//! ```
//! Seconds are CPU seconds of one thread.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::fingerprint::{
    Change, Chromaprint, Constellation, DuplicateOptions, Fingerprint, Index, IndexOptions, IndexTrack, QueryOptions,
    ScanOptions, Sketch, scan,
};
use sonicforge_core::io::Reader;
use sonicforge_core::progress::NoProgress;
use sonicforge_core::testing::Xorshift;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = match words[..] {
        ["scan", folder, index] => figures(folder, index)?,
        ["synthetic", tracks, from, to] => synthetic(tracks.parse()?, from, to)?,
        ["ask", index, folder, n] => ask(index, folder, n.parse()?)?,
        ["extract", file] => extract(file)?,
        ["dedupe", folder, ref rest @ ..] => {
            let mut index = match rest {
                [place, ..] => Index::open(place, &IndexOptions::default())?,
                [] => Index::new(),
            };
            let report = scan(folder, &mut index, &ScanOptions::default(), &mut NoProgress)?;
            let began = Instant::now();
            let found = index.duplicates(&DuplicateOptions::default(), &mut NoProgress)?;
            json!({ "scan": report, "report": found, "duplicates_wall_s": began.elapsed().as_secs_f64() })
        }
        _ => return Err("see the head of benches/index_figures.rs".into()),
    };
    println!("{said:#}");
    Ok(())
}

/// Time that this thread has spent on a processor (Linux).
fn cpu_s() -> Outcome<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().ok_or("schedstat is empty")?.parse::<f64>()? / 1e9)
}

fn files(index: &Index, folder: &str) -> Outcome<Vec<String>> {
    let mut ids = index.snapshot().ids()?;
    ids.sort();
    Ok(ids.into_iter().map(|id| Path::new(folder).join(id).display().to_string()).collect())
}

fn decode(path: &str, most_frames: usize) -> Outcome<AudioBuffer> {
    let mut reader = Reader::open(path)?;
    let (rate, channels) = (reader.info().sample_rate, reader.info().channels);
    let mut buffer = AudioBuffer::new(rate, channels, 1 << 15)?;
    let mut all = vec![Vec::new(); channels];
    loop {
        let n = reader.read(&mut buffer.block())?;
        if n == 0 || all[0].len() >= most_frames {
            return Ok(AudioBuffer::from_channels(rate, &all)?);
        }
        all.iter_mut().enumerate().for_each(|(c, out)| out.extend_from_slice(&buffer.channel(c)[..n]));
    }
}

fn figures(folder: &str, to: &str) -> Outcome<serde_json::Value> {
    let options = ScanOptions { threads: 1, pcm_hash: false, ..ScanOptions::default() };
    let mut index = Index::open(to, &IndexOptions::default())?;
    let before = cpu_s()?;
    let report = scan(folder, &mut index, &options, &mut NoProgress)?;
    index.flush()?;
    let scanned = cpu_s()? - before;
    let before = cpu_s()?;
    for path in files(&index, folder)? {
        let mut reader = Reader::open(path)?;
        let mut buffer = AudioBuffer::new(reader.info().sample_rate, reader.info().channels, 1 << 15)?;
        while reader.read(&mut buffer.block())? > 0 {}
    }
    let decoded = cpu_s()? - before;
    let stats = index.stats();
    let mut changes = Vec::new();
    index.snapshot().tracks(|track| {
        changes.push(Change::Insert(track));
        Ok(())
    })?;
    let seconds: f64 = changes.iter().map(|c| if let Change::Insert(t) = c { t.seconds } else { 0.0 }).sum();
    drop(index);
    // The same tracks once more, without decoding: 32 at a time, each batch synced.
    let again = tempfile::tempdir()?;
    let (before, wall) = (cpu_s()?, Instant::now());
    let mut fresh = Index::open(again.path(), &IndexOptions { background: false, ..IndexOptions::default() })?;
    for batch in changes.chunks(32) {
        fresh.apply(batch.to_vec())?;
    }
    fresh.flush()?;
    let (ingest, ingest_wall) = (cpu_s()? - before, wall.elapsed().as_secs_f64());
    let postings = fresh.stats().postings as f64;
    drop(fresh);
    let wall = Instant::now();
    let opened = Index::open(again.path(), &IndexOptions::default())?;
    let open_s = wall.elapsed().as_secs_f64();
    let hours = seconds / 3_600.0;
    Ok(json!({
        "tracks": opened.len(), "hours": hours, "failed": report.failed.len(), "postings": stats.postings, "segments": stats.segments,
        "mb_per_hour": stats.bytes as f64 / 1e6 / hours,
        "decode_times_real_time": seconds / decoded, "scan_times_real_time": seconds / scanned, "scan_over_decode": decoded / scanned,
        "ingest_postings_per_cpu_s": postings / ingest, "ingest_postings_per_wall_s": postings / ingest_wall, "open_s": open_s,
    }))
}

fn extract(file: &str) -> Outcome<serde_json::Value> {
    let audio = decode(file, 300 * 48_000)?;
    let seconds = audio.frames() as f64 / f64::from(audio.sample_rate());
    // Medians of seven.
    let rate = |work: &dyn Fn() -> sonicforge_core::error::Result<()>| -> Outcome<f64> {
        let mut rates = Vec::new();
        for _ in 0..7 {
            let before = cpu_s()?;
            work()?;
            rates.push(seconds / (cpu_s()? - before));
        }
        rates.sort_by(f64::total_cmp);
        Ok(rates[3])
    };
    Ok(json!({
        "sample_rate": audio.sample_rate(), "channels": audio.channels(), "seconds": seconds,
        "both": rate(&|| Fingerprint::of(&audio).map(drop))?,
        "chromaprint": rate(&|| Chromaprint::of(&audio).map(drop))?,
        "sketch": rate(&|| Sketch::of(&audio).map(drop))?,
    }))
}

fn synthetic(count: usize, from: &str, to: &str) -> Outcome<serde_json::Value> {
    let source = Index::open(from, &IndexOptions { read_only: true, ..IndexOptions::default() })?;
    let mut real = Vec::new();
    source.snapshot().tracks(|track| {
        real.push(track);
        Ok(())
    })?;
    // Pieces of ten seconds of other tracks, backwards and up to six bands higher or lower.
    let stars: Vec<&[_]> = real.iter().map(|t| t.landmarks.stars()).collect();
    let lengths: Vec<u32> = real.iter().map(|t| t.landmarks.frames()).collect();
    let kind = real.first().ok_or("the index is empty")?.landmarks.to_bytes()[0];
    let mut rng = Xorshift::new(11);
    let mut make = |name: String| -> Outcome<IndexTrack> {
        let mut bytes = vec![kind];
        let frames = 10_336u32; // four minutes
        leb(frames, &mut bytes);
        let (mut at, mut last) = (0u32, 0u32);
        while at < frames {
            let which = (rng.next_u64() % stars.len() as u64) as usize;
            let shift = 1 + (rng.next_u64() % 6) as i32;
            let shift = if rng.next_u64() % 2 == 0 { shift } else { -shift };
            let begin = (rng.next_u64() % u64::from(lengths[which].saturating_sub(431).max(1))) as u32;
            let low = stars[which].partition_point(|s| s.frame < begin);
            let high = stars[which].partition_point(|s| s.frame < begin + 431);
            let mut piece: Vec<(u32, u8, u8)> = stars[which][low..high]
                .iter()
                .map(|s| (begin + 430 - s.frame, i32::from(s.band) + shift, s.rank))
                .filter(|s| (0..180).contains(&s.1))
                .map(|(f, b, r)| (f, b as u8, r))
                .collect();
            piece.sort_unstable();
            for (f, band, rank) in piece {
                let frame = at + f;
                if frame < frames {
                    leb(frame - last, &mut bytes);
                    bytes.extend([band, rank]);
                    last = frame;
                }
            }
            at += 431;
        }
        Ok(IndexTrack {
            id: name,
            seconds: 240.0,
            note: String::new(),
            pcm: None,
            chromaprint: Chromaprint::decode("AQAAAA")?,
            landmarks: Constellation::from_bytes(&bytes)?,
        })
    };
    let (before, wall) = (cpu_s()?, Instant::now());
    let mut index = Index::open(to, &IndexOptions { background: false, ..IndexOptions::default() })?;
    index.apply(real.iter().cloned().map(Change::Insert).collect())?;
    // Large batches are built in memory and handed over as files: a log would write everything twice.
    let part = Path::new(to).with_extension("part");
    let mut made = 0;
    while made < count {
        let now = (count - made).min(20_000);
        let mut changes = Vec::with_capacity(now);
        for n in made..made + now {
            changes.push(Change::Insert(make(format!("synthetic {n}"))?));
        }
        let mut batch = Index::new();
        batch.apply(changes)?;
        batch.export(&part)?;
        drop(batch);
        index.import(&part)?;
        made += now;
        eprintln!("{made} tracks, {:.0} s", wall.elapsed().as_secs_f64());
    }
    std::fs::remove_file(&part)?;
    index.flush()?;
    let stats = index.stats();
    Ok(json!({
        "tracks": stats.tracks, "postings": stats.postings, "segments": stats.segments, "bytes": stats.bytes,
        "cpu_s": cpu_s()? - before, "wall_s": wall.elapsed().as_secs_f64(),
    }))
}

fn leb(mut n: u32, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn ask(index: &str, folder: &str, n: usize) -> Outcome<serde_json::Value> {
    let wall = Instant::now();
    let index = Index::open(index, &IndexOptions { read_only: true, ..IndexOptions::default() })?;
    let opened = wall.elapsed().as_secs_f64();
    let mut ids: Vec<String> = index.snapshot().ids()?.into_iter().filter(|id| !id.starts_with("synthetic ")).collect();
    ids.sort();
    let mut rng = Xorshift::new(5);
    let mut queries = Vec::new();
    while queries.len() < n {
        let id = &ids[(rng.next_u64() % ids.len() as u64) as usize];
        let path = Path::new(folder).join(id).display().to_string();
        let audio = decode(&path, 150 * 48_000)?;
        let (rate, length) = (audio.sample_rate() as usize, 10 * audio.sample_rate() as usize);
        if audio.frames() < length + rate {
            continue;
        }
        let from = (rng.next_u64() % (audio.frames() - length) as u64) as usize;
        let mut mono = vec![0.0f32; length];
        for c in 0..audio.channels() {
            mono.iter_mut()
                .zip(&audio.channel(c)[from..from + length])
                .for_each(|(m, x)| *m += x / audio.channels() as f32);
        }
        let power = mono.iter().map(|x| x * x).sum::<f32>() / length as f32;
        if power < 1e-6 {
            continue;
        }
        // Noise 10 dB below, so that it is no copy.
        let level = (3.0 * power / 10.0).sqrt();
        mono.iter_mut().for_each(|x| *x += level * rng.bipolar() as f32);
        queries.push((id.clone(), Sketch::of(&AudioBuffer::from_planar(rate as u32, 1, mono)?)?));
    }
    let mut table = serde_json::Map::new();
    let plain = QueryOptions { max_pitch_semitones: 0.0, max_tempo_percent: 0.0, ..QueryOptions::default() };
    for (what, options) in [("warming", &plain), ("plain", &plain), ("with keys and speeds", &QueryOptions::default())]
    {
        let (mut times, mut right) = (Vec::new(), 0);
        for (id, sketch) in &queries {
            let before = cpu_s()?;
            let found = index.query(sketch, options)?;
            times.push(1e3 * (cpu_s()? - before));
            right += usize::from(found.first().is_some_and(|m| m.id == *id));
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        table.insert(
            what.to_owned(),
            json!({ "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "right": right, "of": n }),
        );
    }
    let stats = index.stats();
    Ok(json!({
        "open_s": opened, "tracks": stats.tracks, "postings": stats.postings, "bytes": stats.bytes, "segments": stats.segments,
        "queries": table,
    }))
}
