//! Any preset on any samples in any blocks: finite numbers come out, and the samples do not depend on the blocks.
#![no_main]

use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::master::{MasteringChain, Preset, Processor, Spec};

libfuzzer_sys::fuzz_target!(|input: (&str, Vec<f32>, Vec<u8>, bool)| {
    let (text, samples, sizes, stereo) = input;
    let Ok(preset) = Preset::from_json(text) else { return };
    let channels = if stereo { 2 } else { 1 };
    let samples: Vec<f32> = samples.into_iter().take(8_192 * channels).collect();
    let whole = samples.len() / channels * channels;
    let audio = AudioBuffer::from_planar(48_000, channels, samples[..whole].to_vec()).expect("whole frames");
    let run = |sizes: &[u8]| {
        let mut chain = MasteringChain::new(&preset).expect("a preset that was accepted");
        chain.prepare(Spec { sample_rate: 48_000, channels, max_frames: 8_192 }).expect("a rate in range");
        let mut out = audio.clone();
        let (mut at, mut turn) = (0, 0);
        while at < out.frames() {
            let size = sizes.get(turn % sizes.len().max(1)).map_or(8_192, |&n| usize::from(n) + 1);
            let end = (at + size).min(out.frames());
            chain.process(&mut out.block_range(at, end));
            (at, turn) = (end, turn + 1);
        }
        out
    };
    let out = run(&[]);
    assert!(out.samples().iter().all(|x| x.is_finite()));
    assert!(run(&sizes) == out);
});
