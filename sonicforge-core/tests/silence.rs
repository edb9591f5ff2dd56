//! After a loud burst every filter rings out to silence, not to denormal numbers.
//!
//! A number below 2⁻¹⁰²² (f32: 2⁻¹²⁶) is denormal, and arithmetic with it takes up to a hundred times as long. The chain works
//! in f64 and drops what is below 10⁻³⁰ at the next multiple of 64 frames. What can be seen of that from outside is asked for
//! here: a sound passes the denormal numbers of f32 in at most a few such pieces, and after a while it is exactly zero. What
//! it costs is measured by `benches/silence.rs`.
#![cfg(feature = "master")]

use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::master::*;
use sonicforge_core::testing::Signal;

const FS: u32 = 48_000;

fn band(ratio: f64) -> BandParams {
    BandParams { threshold_db: -40.0, ratio, slow_release_ms: 3_000.0, makeup_db: 2.0, ..BandParams::default() }
}

fn modules() -> Vec<Module> {
    let equalizer = |kind, frequency_hz, q| {
        Module::Equalizer(EqualizerParams { bands: vec![EqualizerBand { kind, frequency_hz, gain_db: 6.0, q }] })
    };
    vec![
        Module::Gain(GainParams { gain_db: -150.0 }),
        equalizer(BandKind::HighPass, 22.0, 0.707),
        equalizer(BandKind::LowPass, 60.0, 0.707),
        equalizer(BandKind::Peak, 40.0, 12.0),
        equalizer(BandKind::LowShelf, 20.0, 0.2),
        equalizer(BandKind::HighShelf, 15_000.0, 0.5),
        Module::DeEsser(DeEsserParams { threshold_db: -60.0, relative_db: -40.0, ..DeEsserParams::default() }),
        Module::Multiband(MultibandParams {
            crossovers_hz: vec![30.0, 120.0, 1_200.0, 6_000.0, 12_000.0],
            bands: vec![band(4.0); 6],
        }),
        Module::Glue(GlueParams { ratio: 4.0, sidechain_hz: 10.0, makeup_db: 3.0, ..GlueParams::default() }),
        Module::Exciter(ExciterParams { even_db: -12.0, odd_db: -12.0, ..ExciterParams::default() }),
        Module::Widener(WidenerParams { width: 1.5, mono_below_hz: 100.0, decorrelation: 1.0 }),
        Module::Limiter(LimiterParams { slow_release_ms: 5_000.0, ..LimiterParams::default() }),
    ]
}

/// Samples that may be denormal on the way to silence: the two channels of four quanta.
const PASSING: usize = 2 * 4 * 64;

/// Runs a burst of half a second, then `silence_s` of zeros; hardly a sample may be denormal, and the last second is zero.
fn rings_out(name: &str, modules: Vec<Module>, silence_s: usize) {
    let mut chain = MasteringChain::new(&Preset::new(name, modules)).unwrap();
    chain.prepare(Spec { sample_rate: FS, channels: 2, max_frames: FS as usize }).unwrap();
    let mut burst = Signal::Noise { level_dbfs: 6.0, seed: 5 }.render(FS, 2, 0.5).unwrap();
    chain.process(&mut burst.block());
    let mut denormal = 0;
    for second in 0..silence_s {
        let mut piece = AudioBuffer::new(FS, 2, FS as usize).unwrap();
        chain.process(&mut piece.block());
        denormal += piece.samples().iter().filter(|x| x.is_subnormal()).count();
        assert!(denormal <= PASSING, "{name}: {denormal} denormal samples up to second {second}");
        if second + 1 == silence_s {
            let loudest = piece.samples().iter().fold(0.0f32, |m, x| m.max(x.abs()));
            assert!(loudest == 0.0, "{name}: still {loudest:e} after {silence_s} s of silence");
        }
    }
}

#[test]
fn each_module_alone() {
    for module in modules() {
        let name = match &module {
            Module::Equalizer(p) => format!("equalizer {:?}", p.bands[0].kind),
            other => other.name().to_string(),
        };
        rings_out(&name, vec![module], 30);
    }
}

#[test]
fn minutes_through_the_whole_chain() {
    rings_out("the whole chain", modules(), 120);
}

/// The slowest filter there is: 10 Hz at a quality of 40 falls by 6.8 dB a second.
#[test]
fn the_slowest_bell() {
    let bands = vec![EqualizerBand { kind: BandKind::Peak, frequency_hz: 10.0, gain_db: 12.0, q: 40.0 }];
    rings_out("a slow bell", vec![Module::Equalizer(EqualizerParams { bands })], 180);
}

/// A sound that fades for minutes goes through every magnitude on its way to nothing.
#[test]
fn a_fade_to_nothing() {
    let mut chain = MasteringChain::new(&Preset::new("fade", modules())).unwrap();
    chain.prepare(Spec { sample_rate: FS, channels: 2, max_frames: FS as usize }).unwrap();
    let tone = Signal::Sine { frequency_hz: 220.0, level_dbfs: 0.0, phase_deg: 0.0 }.render(FS, 2, 1.0).unwrap();
    for second in 0..50 {
        let mut piece = tone.clone();
        // 18 dB a second: the smallest f32 is reached in the end.
        for c in 0..2 {
            for (i, x) in piece.channel_mut(c).iter_mut().enumerate() {
                let seconds = f64::from(second) + i as f64 / f64::from(FS);
                *x = (f64::from(*x) * 10f64.powf(-0.9 * seconds)) as f32;
            }
        }
        chain.process(&mut piece.block());
        assert!(piece.samples().iter().all(|x| x.is_finite()), "second {second}");
    }
    let mut rest = AudioBuffer::new(FS, 2, FS as usize).unwrap();
    for _ in 0..3 {
        rest.samples_mut().fill(0.0);
        chain.process(&mut rest.block());
    }
    assert!(rest.samples().iter().all(|&x| x == 0.0));
}
