//! Reading everything there is in an analysis, beside the crate ebur128 in its full mode, on twenty seconds of stereo at
//! 48 kHz; then each meter alone, and what silence costs after a burst.
//!
//! `cargo bench -p sonicforge-benches --bench meter`; throughput is in frames. Our analysis also holds the spectrum, the
//! stereo image, the levels and the timeline, which ebur128 does not have.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sonicforge_core::analyze::{LoudnessMeter, TruePeakMeter, analyze};
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::testing::Signal;

const RATE: u32 = 48_000;

/// I, LRA, M, S, sample and true peak, as it is usually fed: interleaved, in steps of 100 ms.
fn ebur128(interleaved: &[f32]) -> (f64, f64, f64) {
    let mut meter = ebur128::EbuR128::new(2, RATE, ebur128::Mode::all()).expect("a rate and channels in range");
    let mut loudest = f64::NEG_INFINITY;
    for step in interleaved.chunks(2 * RATE as usize / 10) {
        meter.add_frames_f32(step).expect("whole frames");
        loudest = loudest.max(meter.loudness_shortterm().expect("the mode is on"));
    }
    let peak = (0..2).map(|c| meter.true_peak(c).expect("the mode is on")).fold(0.0, f64::max);
    (meter.loudness_global().expect("the mode is on"), loudest, peak)
}

fn meter(c: &mut Criterion) {
    let music = Signal::Music { seed: 1 }.render(RATE, 2, 20.0).expect("the arguments are in range");
    let mut burst = AudioBuffer::new(RATE, 2, music.frames()).expect("the arguments are in range");
    for channel in 0..2 {
        burst.channel_mut(channel)[..4_800].copy_from_slice(&music.channel(channel)[..4_800]);
    }
    // The worst case for the true peak: everything is as loud as the loudest.
    let noise = Signal::Noise { level_dbfs: -1.0, seed: 1 }.render(RATE, 2, 20.0).expect("the arguments are in range");
    let mut group = c.benchmark_group("meter");
    group.throughput(Throughput::Elements(music.frames() as u64)).sample_size(10);
    for (title, input) in [("music", &music), ("noise", &noise), ("silence after a burst", &burst)] {
        group.bench_function(format!("analyze, {title}"), |b| {
            b.iter(|| analyze(black_box(input)).expect("a buffer that exists"))
        });
        let interleaved = input.to_interleaved();
        group.bench_function(format!("crate ebur128, {title}"), |b| b.iter(|| ebur128(black_box(&interleaved))));
    }
    let mut input = music.clone();
    group.bench_function("loudness alone, music", |b| {
        b.iter(|| {
            let mut meter = LoudnessMeter::new(RATE, 2).expect("a rate and channels in range");
            meter.push(black_box(&input.block())).expect("two channels");
            (meter.integrated(), meter.loudness_range())
        });
    });
    group.bench_function("true peak alone, music", |b| {
        b.iter(|| {
            let mut meter = TruePeakMeter::new(RATE, 2).expect("a rate and channels in range");
            meter.push(black_box(&input.block())).expect("two channels");
            meter.finish()
        });
    });
    group.finish();
}

criterion_group!(benches, meter);
criterion_main!(benches);
