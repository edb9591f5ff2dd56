//! Every processor alone, then the chain, on ten seconds of stereo at 48 kHz in blocks of 512; the limiter also with nothing
//! to do, and the chain on silence (denormals must not cost anything).
//!
//! `cargo bench -p sonicforge-benches --bench master`; throughput is in frames.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use sonicforge_benches::{KERNELS, kernel_preset};
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::master::{MasteringChain, Preset, Processor, Spec};
use sonicforge_core::testing::Signal;

const BLOCK: usize = 512;
const RATE: u32 = 48_000;

fn run(chain: &mut MasteringChain, audio: &mut AudioBuffer) {
    let frames = audio.frames();
    for at in (0..frames).step_by(BLOCK) {
        chain.process(&mut audio.block_range(at, (at + BLOCK).min(frames)));
    }
}

fn master(c: &mut Criterion) {
    let music = Signal::Music { seed: 1 }.render(RATE, 2, 10.0).expect("the arguments are in range");
    let mut loud = music.clone();
    loud.samples_mut().iter_mut().for_each(|x| *x *= 4.0);
    // A burst, then silence: what is left in the filters decays into denormals, if it is let.
    let mut burst = AudioBuffer::new(RATE, 2, 10 * RATE as usize).expect("the arguments are in range");
    for channel in 0..2 {
        burst.channel_mut(channel)[..4_800].copy_from_slice(&music.channel(channel)[..4_800]);
    }
    let mut group = c.benchmark_group("master");
    group.throughput(Throughput::Elements(music.frames() as u64)).sample_size(10);
    let cases = KERNELS.iter().map(|&name| (name.to_owned(), name, if name == "limiter" { &loud } else { &music }));
    let more = [("limiter, nothing over", "limiter", &music), ("chain, silence after a burst", "chain", &burst)];
    for (title, kernel, input) in cases.chain(more.map(|(title, kernel, input)| (title.to_owned(), kernel, input))) {
        let preset = Preset::from_json(kernel_preset(kernel).expect("a kernel of the list")).expect("a valid preset");
        let mut chain = MasteringChain::new(&preset).expect("a valid preset");
        chain
            .prepare(Spec { sample_rate: RATE, channels: 2, max_frames: BLOCK })
            .expect("a rate and channels in range");
        group.bench_function(title, |bencher| {
            bencher.iter_batched_ref(
                || input.clone(),
                |audio| run(black_box(&mut chain), audio),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, master);
criterion_main!(benches);
