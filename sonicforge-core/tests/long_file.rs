//! A long file takes no more memory than a short one. Alone in its process, so that the high-water mark is its own.
#![cfg(all(target_os = "linux", feature = "master", feature = "io"))]

use sonicforge_core::io::{Reader, SampleFormat, WriteOptions, Writer};
use sonicforge_core::master::{Target, master_file};
use sonicforge_core::progress::NoProgress;
use sonicforge_core::testing::Signal;

/// The most memory this process has held at once, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn ten_minutes_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (rate, minutes) = (22_050, 10);
    let write = |name: &str, pieces: usize| {
        let path = folder.path().join(name);
        let options =
            WriteOptions { dither: sonicforge_core::io::Dither::None, ..WriteOptions::new(SampleFormat::Int16) };
        let mut writer = Writer::create(&path, rate, 2, &options).unwrap();
        let piece = Signal::Music { seed: 2 }.render(rate, 2, 6.0).unwrap();
        for i in 0..pieces {
            let mut piece = piece.clone();
            let gain = 0.2 + 0.8 * (i % 7) as f32 / 7.0;
            piece.samples_mut().iter_mut().for_each(|x| *x *= gain);
            writer.write(&mut piece.block()).unwrap();
        }
        writer.finish().unwrap();
        path
    };
    let (short, long) = (write("short.wav", 2), write("long.wav", 10 * minutes));
    let frames = Reader::open(&long).unwrap().info().frames.unwrap();
    assert_eq!(frames, 600 * u64::from(rate));
    let output = folder.path().join("out.wav");
    let run = |input: &std::path::Path| {
        let options = WriteOptions::new(SampleFormat::Int16);
        master_file(input, &output, &Target::named("spotify").unwrap(), &options, &mut NoProgress).unwrap()
    };
    run(&short);
    let before = peak_memory();
    let report = run(&long);
    let grown = peak_memory() - before;
    assert!(report.loudness_reached && report.ceiling_met, "{:?}", report.refusal);
    assert_eq!(report.after.frames, frames);
    // As floats the sound alone would be 106 MB. What grows is the envelope (half a byte a frame, twice that while its list
    // doubles) and the timelines.
    println!("{:.1} MB grown over ten minutes", grown as f64 / 1e6);
    assert!(grown < 32 << 20, "{grown} bytes");
}
