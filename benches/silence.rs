//! Noise against the silence that follows it: what rings on in the filters must not cost more than sound does. (Where it
//! decays into denormal numbers, a filter that lets it takes some twenty times as long.)
//!
//! `cargo bench -p sonicforge-benches --bench silence`; per kernel "noise" and "silence" are ten seconds of stereo at 48 kHz,
//! the silence beginning with a burst of 0.1 s. Silence must not be the slower one.

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

fn silence(c: &mut Criterion) {
    let noise = Signal::Noise { level_dbfs: -6.0, seed: 1 }.render(RATE, 2, 10.0).expect("the arguments are in range");
    let mut burst = AudioBuffer::new(RATE, 2, noise.frames()).expect("the arguments are in range");
    for channel in 0..2 {
        burst.channel_mut(channel)[..4_800].copy_from_slice(&noise.channel(channel)[..4_800]);
    }
    let mut group = c.benchmark_group("silence");
    group.throughput(Throughput::Elements(noise.frames() as u64)).sample_size(10);
    for kernel in KERNELS {
        let preset = Preset::from_json(kernel_preset(kernel).expect("a kernel of the list")).expect("a valid preset");
        let mut chain = MasteringChain::new(&preset).expect("a valid preset");
        chain
            .prepare(Spec { sample_rate: RATE, channels: 2, max_frames: BLOCK })
            .expect("a rate and channels in range");
        for (name, input) in [("noise", &noise), ("silence", &burst)] {
            group.bench_function(format!("{kernel}, {name}"), |bencher| {
                bencher.iter_batched_ref(
                    || input.clone(),
                    |audio| run(black_box(&mut chain), audio),
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, silence);
criterion_main!(benches);
