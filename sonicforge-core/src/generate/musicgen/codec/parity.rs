//! Against transformers' `EncodecModel`, whose results lie in `tests/fixtures/generate` (see the README there).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::Codec;
use crate::generate::musicgen::checkpoint::Checkpoint;
use crate::generate::musicgen::kernels::Pool;

/// Waveforms, and latents, whose size is not bounded by 1.
const WAVEFORM: f32 = 1e-5;
const LATENT: f32 = 1e-4;

struct Given(HashMap<String, Tensor>);

impl Given {
    fn floats(&self, name: &str) -> Vec<f32> {
        self.0[name].flatten_all().and_then(|t| t.to_vec1()).unwrap()
    }

    /// `[songs · codebooks][frames]`.
    fn codes(&self, name: &str) -> Vec<Vec<u32>> {
        let codes = &self.0[name];
        let frames = codes.dims()[codes.rank() - 1];
        let codes: Vec<i64> = codes.flatten_all().and_then(|t| t.to_vec1()).unwrap();
        codes.chunks(frames).map(|codes| codes.iter().map(|&code| u32::try_from(code).unwrap()).collect()).collect()
    }
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn check(folder: &Path) {
    let given = Given(candle_core::safetensors::load(folder.join("reference.safetensors"), &Device::Cpu).unwrap());
    let checkpoint = Checkpoint::open(folder).unwrap();
    let channels = checkpoint.config().decoder.audio_channels;
    for (threads, portable) in [(1, false), (2, false), (1, true)] {
        let pool = Pool::new(threads).unwrap();
        let codec = Codec::load(&checkpoint, "audio_encoder.", &Device::Cpu, pool, portable).unwrap();
        let at = |what: &str| format!("{what} of {}, {threads} threads, portable {portable}", folder.display());

        let samples = given.floats("codec.wav");
        let latents = codec.latents(&samples).unwrap();
        let hidden = checkpoint.config().codec.hidden_size;
        let expected = given.floats("codec.latent");
        let frames = expected.len() / hidden;
        let expected: Vec<f32> = (0..expected.len()).map(|i| expected[(i % hidden) * frames + i / hidden]).collect();
        let error = furthest(&latents, &expected);
        assert!(error < LATENT, "{}: {error:e}", at("latents"));

        let codes = codec.encode(&samples).unwrap();
        assert_eq!(codes, given.codes("codec.codes"), "{}", at("codes"));
        let error = furthest(&codec.decode(&codes).unwrap(), &given.floats("codec.decoded"));
        assert!(error < WAVEFORM, "{}: {error:e}", at("decoded sound"));

        // Every generated song. Stereo codes alternate between the sides.
        let mut runs = 0;
        for name in given.0.keys().filter_map(|name| name.strip_suffix(".waveform")) {
            let codes = given.codes(&format!("{name}.codes"));
            let waveform = given.floats(&format!("{name}.waveform"));
            let samples = codes[0].len() * codec.hop();
            for (i, exact) in waveform.chunks(samples).enumerate() {
                let (song, channel) = (i / channels, i % channels);
                let books = codec.codebooks() * channels;
                let side: Vec<Vec<u32>> =
                    codes[song * books..][..books].iter().skip(channel).step_by(channels).cloned().collect();
                let error = furthest(&codec.decode(&side).unwrap(), exact);
                assert!(error < WAVEFORM, "{}: {error:e}", at(name));
                runs += 1;
            }
        }
        assert!(runs >= 4, "{}: only {runs} songs", at("waveforms"));
    }
}

#[test]
fn sound_and_codes_are_those_of_transformers() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/generate");
    for kind in ["mono", "stereo", "melody"] {
        check(&fixtures.join(kind));
    }
}

/// Folders that `make_fixtures.py random` wrote, below the one that SONICFORGE_DRAWN names.
#[test]
#[ignore = "needs folders that are not in the repository"]
fn drawn_architectures_are_those_of_transformers() {
    let parent = PathBuf::from(std::env::var_os("SONICFORGE_DRAWN").expect("the folder of the folders"));
    let mut count = 0;
    for entry in std::fs::read_dir(parent).unwrap() {
        check(&entry.unwrap().path());
        count += 1;
    }
    assert!(count > 0);
}
