//! The meters on ten seconds of stereo at 48 kHz, beside the crate ebur128 in its full mode.
//!
//! `cargo bench -p sonicforge-benches --bench meter`; throughput is in frames.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ebur128::{EbuR128, Mode};
use sonicforge_core::analyze::{LoudnessMeter, TruePeakMeter, analyze};
use sonicforge_core::testing::Signal;

const BLOCK: usize = 4_800;
const RATE: u32 = 48_000;

fn meter(c: &mut Criterion) {
    let mut music = Signal::Music { seed: 1 }.render(RATE, 2, 10.0).expect("the arguments are in range");
    let frames = music.frames();
    let mut group = c.benchmark_group("meter");
    group.throughput(Throughput::Elements(frames as u64)).sample_size(10);
    group.bench_function("analyze, everything", |b| b.iter(|| analyze(black_box(&music))));
    group.bench_function("crate ebur128, full mode", |b| {
        b.iter(|| {
            let mut meter = EbuR128::new(2, RATE, Mode::all()).expect("a rate and channels in range");
            for at in (0..frames).step_by(BLOCK) {
                let end = (at + BLOCK).min(frames);
                let planes = [&music.channel(0)[at..end], &music.channel(1)[at..end]];
                meter.add_frames_planar_f32(&planes).expect("two channels");
            }
            black_box((meter.loudness_global(), meter.loudness_range(), meter.true_peak(0)))
        });
    });
    group.bench_function("loudness", |b| {
        b.iter(|| {
            let mut meter = LoudnessMeter::new(RATE, 2).expect("a rate and channels in range");
            meter.push(&black_box(&mut music).block()).expect("two channels");
            (meter.integrated(), meter.loudness_range())
        });
    });
    group.bench_function("true peak", |b| {
        b.iter(|| {
            let mut meter = TruePeakMeter::new(RATE, 2).expect("a rate and channels in range");
            meter.push(&black_box(&mut music).block()).expect("two channels");
            meter.finish()
        });
    });
    group.finish();
}

criterion_group!(benches, meter);
criterion_main!(benches);
