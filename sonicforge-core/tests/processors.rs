//! What an ear, a meter or a mathematician would check of each processor and of the chain.

use sonicforge_core::audio::{AudioBuffer, Block};
use sonicforge_core::master::*;
use sonicforge_core::testing::{Signal, Xorshift};

const FS: u32 = 48_000;

fn music(seconds: f64) -> AudioBuffer {
    Signal::Music { seed: 1 }.render(FS, 2, seconds).unwrap()
}

fn sine(frequency_hz: f64, level_dbfs: f64, seconds: f64) -> AudioBuffer {
    Signal::Sine { frequency_hz, level_dbfs, phase_deg: 0.0 }.render(FS, 2, seconds).unwrap()
}

fn preset(modules: Vec<Module>) -> Preset {
    Preset::new("test", modules)
}

/// Every module with settings that do something.
fn busy() -> Vec<Module> {
    let band = |threshold_db: f64| BandParams { threshold_db, ratio: 3.0, makeup_db: 1.0, ..BandParams::default() };
    vec![
        Module::Gain(GainParams { gain_db: 3.0 }),
        Module::Equalizer(EqualizerParams {
            bands: vec![
                EqualizerBand { kind: BandKind::HighPass, frequency_hz: 30.0, ..EqualizerBand::default() },
                EqualizerBand { kind: BandKind::Peak, frequency_hz: 900.0, gain_db: -2.0, q: 1.2 },
                EqualizerBand { kind: BandKind::HighShelf, frequency_hz: 9_000.0, gain_db: 2.5, q: 0.7 },
            ],
        }),
        Module::DeEsser(DeEsserParams::default()),
        Module::Multiband(MultibandParams {
            bands: vec![band(-30.0), band(-32.0), band(-30.0), band(-40.0)],
            ..MultibandParams::default()
        }),
        Module::Glue(GlueParams { ratio: 2.0, threshold_db: -20.0, ..GlueParams::default() }),
        Module::Exciter(ExciterParams { even_db: -20.0, odd_db: -26.0, ..ExciterParams::default() }),
        Module::Chain(preset(vec![Module::Widener(WidenerParams {
            width: 1.3,
            mono_below_hz: 120.0,
            decorrelation: 0.5,
        })])),
        Module::Gain(GainParams { gain_db: 9.0 }),
        Module::Limiter(LimiterParams::default()),
    ]
}

/// Runs a processor over a buffer in blocks of these sizes in turn; the latency stays in.
fn stream(p: &mut dyn Processor, input: &AudioBuffer, sizes: &[usize]) -> AudioBuffer {
    let mut out = input.clone();
    p.prepare(Spec { sample_rate: input.sample_rate(), channels: input.channels(), max_frames: 8_192 }).unwrap();
    let (mut at, mut turn) = (0, 0);
    while at < out.frames() {
        let end = (at + sizes[turn % sizes.len()]).min(out.frames());
        p.process(&mut out.block_range(at, end));
        at = end;
        turn += 1;
    }
    out
}

/// Amplitude of the tone `f` in `x`, by correlation over whole periods as far as they fit.
fn tone(x: &[f32], f: f64, fs: f64) -> f64 {
    let n = x.len();
    let (mut re, mut im, mut norm) = (0.0, 0.0, 0.0);
    for (i, &x) in x.iter().enumerate() {
        // A Blackman–Harris window: side lobes below −92 dB.
        let t = std::f64::consts::TAU * i as f64 / n as f64;
        let w = 0.35875 - 0.48829 * t.cos() + 0.14128 * (2.0 * t).cos() - 0.01168 * (3.0 * t).cos();
        let a = std::f64::consts::TAU * f * i as f64 / fs;
        re += w * f64::from(x) * a.cos();
        im += w * f64::from(x) * a.sin();
        norm += w;
    }
    2.0 * (re * re + im * im).sqrt() / norm
}

fn db(x: f64) -> f64 {
    20.0 * x.log10()
}

#[test]
fn neutral_settings_leave_the_samples_alone() {
    let x = music(2.0);
    let neutral = [
        Module::Gain(GainParams::default()),
        Module::Equalizer(EqualizerParams::default()),
        Module::Equalizer(EqualizerParams { bands: vec![EqualizerBand::default(); 5] }),
        Module::DeEsser(DeEsserParams { ratio: 1.0, ..DeEsserParams::default() }),
        Module::DeEsser(DeEsserParams { max_reduction_db: 0.0, ..DeEsserParams::default() }),
        Module::Multiband(MultibandParams::default()),
        Module::Glue(GlueParams::default()),
        Module::Exciter(ExciterParams::default()),
        Module::Widener(WidenerParams::default()),
        Module::Limiter(LimiterParams { ceiling_dbtp: 0.0, ..LimiterParams::default() }),
        Module::Chain(preset(vec![])),
    ];
    for module in &neutral {
        let mut y = x.clone();
        MasteringChain::new(&preset(vec![module.clone()])).unwrap().render(&mut y).unwrap();
        assert!(x == y, "{} is not neutral", module.name());
    }
    let mut y = x.clone();
    MasteringChain::new(&preset(neutral.to_vec())).unwrap().render(&mut y).unwrap();
    assert!(x == y, "all together");
}

#[test]
fn any_block_size_gives_the_same_samples() {
    let x = music(1.3);
    let mut chain = MasteringChain::new(&preset(busy())).unwrap();
    let want = stream(&mut chain, &x, &[8_192]);
    assert!(want != x);
    for sizes in [&[1usize][..], &[64], &[65], &[480], &[1, 63, 64, 65, 127, 1_000, 7]] {
        assert!(stream(&mut chain, &x, sizes) == want, "blocks of {sizes:?}");
    }
}

#[test]
fn each_module_alone_is_partition_invariant() {
    let x = music(0.7);
    for module in busy() {
        let mut chain = MasteringChain::new(&preset(vec![module.clone()])).unwrap();
        let want = stream(&mut chain, &x, &[4_096]);
        assert!(stream(&mut chain, &x, &[1, 17, 64, 333]) == want, "{}", module.name());
    }
}

#[test]
fn offline_is_the_stream_with_the_latency_taken_off() {
    let x = music(1.0);
    let mut chain = MasteringChain::new(&preset(busy())).unwrap();
    let mut padded = AudioBuffer::new(FS, 2, x.frames() + 512).unwrap();
    for c in 0..2 {
        padded.channel_mut(c)[..x.frames()].copy_from_slice(x.channel(c));
    }
    let streamed = stream(&mut chain, &padded, &[100]);
    let latency = chain.latency();
    assert!(latency > 0 && latency <= 512);
    let mut offline = x.clone();
    chain.render(&mut offline).unwrap();
    for c in 0..2 {
        assert!(offline.channel(c) == &streamed.channel(c)[latency..latency + x.frames()]);
    }
}

#[test]
fn latency_is_what_an_impulse_shows() {
    for rate in [8_000, 44_100, 48_000, 96_000] {
        let x = Signal::Impulse { at: 10 }.render(rate, 2, 0.2).unwrap();
        let mut limiter = Limiter::new(LimiterParams { ceiling_dbtp: 0.0, ..LimiterParams::default() }).unwrap();
        let mut small = x.clone();
        small.samples_mut().iter_mut().for_each(|s| *s *= 0.25);
        let y = stream(&mut limiter, &small, &[77]);
        let at = y.channel(0).iter().position(|&s| s != 0.0).unwrap();
        assert_eq!(at, 10 + limiter.latency(), "{rate} Hz");
    }
}

#[test]
fn reset_forgets() {
    let x = music(0.5);
    let mut chain = MasteringChain::new(&preset(busy())).unwrap();
    let first = stream(&mut chain, &x, &[512]);
    chain.reset();
    let mut again = x.clone();
    let mut at = 0;
    while at < again.frames() {
        let end = (at + 512).min(again.frames());
        chain.process(&mut again.block_range(at, end));
        at = end;
    }
    assert!(first == again);
}

#[test]
fn equalizer_follows_its_own_curve() {
    let params = EqualizerParams {
        bands: vec![
            EqualizerBand { kind: BandKind::LowShelf, frequency_hz: 150.0, gain_db: 3.0, q: 0.7 },
            EqualizerBand { kind: BandKind::Peak, frequency_hz: 1_000.0, gain_db: -6.0, q: 2.0 },
            EqualizerBand { kind: BandKind::LowPass, frequency_hz: 12_000.0, gain_db: 0.0, q: 0.7 },
        ],
    };
    for f in [40.0, 1_000.0, 1_400.0, 12_000.0] {
        let mut eq = Equalizer::new(params.clone()).unwrap();
        let y = stream(&mut eq, &sine(f, -12.0, 1.0), &[512]);
        let got = db(tone(&y.channel(0)[24_000..], f, 48e3)) + 12.0;
        assert!((got - params.magnitude_db(FS, f)).abs() < 1e-3, "{f} Hz: {got}");
    }
}

#[test]
fn compressor_has_the_curve_on_its_label_whatever_the_ballistics() {
    for (attack_ms, release_ms) in [(1.0, 100.0), (20.0, 200.0), (20.0, 20.0), (0.5, 1_000.0)] {
        let glue = GlueParams {
            threshold_db: -20.0,
            ratio: 4.0,
            knee_db: 0.0,
            attack_ms,
            release_ms,
            slow_release_ms: 800.0,
            sidechain_hz: 10.0,
            makeup_db: 0.0,
        };
        for level in [-30.0, -14.0, -8.0, -2.0] {
            let mut p = Glue::new(glue.clone()).unwrap();
            let y = stream(&mut p, &sine(1_000.0, level, 6.0), &[512]);
            let got = db(tone(&y.channel(0)[240_000..], 1_000.0, 48e3));
            let want = if level < -20.0 { level } else { -20.0 + (level + 20.0) / 4.0 };
            assert!((got - want).abs() < 0.1, "{attack_ms}/{release_ms} ms at {level} dB: {got}, want {want}");
        }
    }
}

#[test]
fn compressor_does_not_distort_a_low_tone() {
    let glue = GlueParams {
        threshold_db: -20.0,
        ratio: 4.0,
        knee_db: 0.0,
        attack_ms: 20.0,
        release_ms: 250.0,
        slow_release_ms: 0.0,
        sidechain_hz: 10.0,
        makeup_db: 0.0,
    };
    let y = stream(&mut Glue::new(glue).unwrap(), &sine(100.0, -8.0, 4.0), &[512]);
    let x = &y.channel(0)[96_000..];
    let thd = (2..=9).map(|h| tone(x, 100.0 * f64::from(h), 48e3).powi(2)).sum::<f64>().sqrt() / tone(x, 100.0, 48e3);
    assert!(thd < 0.001, "THD {} %", thd * 100.0);
}

#[test]
fn bands_that_have_nothing_to_do_sum_flat() {
    // One band'"'"'s makeup at 10⁻⁹ dB keeps the crossover in the path.
    let mut bands = vec![BandParams::default(); 4];
    bands[0].makeup_db = 1e-9;
    for f in [20.0, 120.0, 350.0, 1_200.0, 3_000.0, 6_000.0, 15_000.0, 20_000.0] {
        let params = MultibandParams { bands: bands.clone(), ..MultibandParams::default() };
        let y = stream(&mut Multiband::new(params).unwrap(), &sine(f, -6.0, 2.0), &[512]);
        let got = db(tone(&y.channel(0)[48_000..], f, 48e3)) + 6.0;
        assert!(got.abs() < 0.001, "{f} Hz: {got} dB");
    }
}

#[test]
fn exciter_adds_harmonics_and_no_aliases() {
    let fs = 44_100u32;
    for f in [5_012.0, 7_003.0, 9_007.0, 11_003.0, 13_009.0, 15_013.0] {
        let x = Signal::Sine { frequency_hz: f, level_dbfs: -1.0, phase_deg: 0.0 }.render(fs, 2, 2.0).unwrap();
        let mut e = Exciter::new(ExciterParams { frequency_hz: 3_000.0, even_db: -6.0, odd_db: -6.0 }).unwrap();
        let y = stream(&mut e, &x, &[512]);
        let tail = &y.channel(0)[22_050..22_050 + 44_100];
        // Everything that is not the tone or one of its harmonics below Nyquist, on a grid of 50 Hz up to 20 kHz.
        let mut worst = f64::NEG_INFINITY;
        for i in 1..400 {
            let g = f64::from(i) * 50.0 + 7.0;
            if (1..=3).all(|h| (g - f * f64::from(h)).abs() > 40.0) {
                worst = worst.max(db(tone(tail, g, 44.1e3)));
            }
        }
        // The places where aliases of harmonics 2 to 9 would fall.
        for h in 2..=9 {
            let g = (f * f64::from(h)).rem_euclid(44_100.0);
            let g = g.min(44_100.0 - g);
            if (1..=3).all(|k| (g - f * f64::from(k)).abs() > 40.0) && g < 21_400.0 {
                worst = worst.max(db(tone(tail, g, 44.1e3)));
            }
        }
        assert!(worst + 1.0 < -100.0, "{f} Hz: {worst} dB");
        if f < 10_000.0 {
            let second = db(tone(tail, 2.0 * f, 44.1e3)) + 1.0;
            assert!((second + 6.0).abs() < 1.0, "second harmonic {second}");
        }
    }
}

#[test]
fn de_esser_takes_the_sibilant_and_leaves_the_tone() {
    // 250 Hz at 0.1 with bursts of 7 kHz at 0.2: 200 ms every 500 ms, 10 ms ramps.
    let frames = 4 * FS as usize;
    let mut x = AudioBuffer::new(FS, 2, frames).unwrap();
    for c in 0..2 {
        for (n, y) in x.channel_mut(c).iter_mut().enumerate() {
            let t = n as f64 / 48e3;
            let p = t % 0.5;
            let ramp = if p < 0.2 { (p / 0.01).min((0.2 - p) / 0.01).clamp(0.0, 1.0) } else { 0.0 };
            *y = (0.1 * (std::f64::consts::TAU * 250.0 * t).sin()
                + 0.2 * ramp * (std::f64::consts::TAU * 7_000.0 * t).sin()) as f32;
        }
    }
    let y = stream(&mut DeEsser::new(DeEsserParams::default()).unwrap(), &x, &[512]);
    let part = |b: &AudioBuffer, f| db(tone(&b.channel(0)[96_000 + 1_920..96_000 + 7_680], f, 48e3));
    let burst = part(&y, 7_000.0) - part(&x, 7_000.0);
    assert!(burst < -4.0, "burst {burst} dB");
    let low = part(&y, 250.0) - part(&x, 250.0);
    assert!(low.abs() < 0.05, "tone {low} dB");
    let whole = db(tone(y.channel(0), 250.0, 48e3)) - db(tone(x.channel(0), 250.0, 48e3));
    assert!(whole.abs() < 0.05, "tone over all {whole} dB");
    // Without sibilance: to the bit.
    let plain = sine(250.0, -6.0, 1.0);
    assert!(stream(&mut DeEsser::new(DeEsserParams::default()).unwrap(), &plain, &[512]) == plain);
}

#[test]
fn widener_keeps_the_fold_down() {
    let params = WidenerParams { width: 1.7, mono_below_hz: 150.0, decorrelation: 1.0 };
    let mono = {
        let m = Signal::Music { seed: 2 }.render(FS, 1, 4.0).unwrap();
        AudioBuffer::from_channels(FS, &[m.channel(0), m.channel(0)]).unwrap()
    };
    for (name, x, wants_side) in [("stereo", music(4.0), true), ("mono", mono, true)] {
        let y = stream(&mut Widener::new(params.clone()).unwrap(), &x, &[512]);
        let (mut error, mut side) = (0f64, 0f64);
        for n in 0..x.frames() {
            let fold = |b: &AudioBuffer| f64::from(b.channel(0)[n]) + f64::from(b.channel(1)[n]);
            error = error.max((fold(&y) - fold(&x)).abs());
            if n > 96_000 {
                side += (f64::from(y.channel(0)[n]) - f64::from(y.channel(1)[n])).powi(2);
            }
        }
        assert!(db(error) < -132.0, "{name}: {} dB", db(error));
        assert!((side > 1.0) == wants_side, "{name}: side {side}");
    }
}

#[test]
fn limiter_holds_the_ceiling_between_the_samples() {
    // A quarter-rate tone at 45° whose samples are 3 dB below its peak, 6 dB over.
    let mut x = AudioBuffer::new(FS, 2, 48_000).unwrap();
    for c in 0..2 {
        for (n, y) in x.channel_mut(c).iter_mut().enumerate() {
            *y = (2.0 * (std::f64::consts::FRAC_PI_2 * n as f64 + std::f64::consts::FRAC_PI_4).sin()) as f32;
        }
    }
    let y = stream(&mut Limiter::new(LimiterParams::default()).unwrap(), &x, &[512]);
    let peak = y.channel(0)[24_000..].iter().fold(0.0f32, |m, s| m.max(s.abs()));
    let true_peak = db(f64::from(peak) * std::f64::consts::SQRT_2);
    assert!(true_peak <= -1.0 && true_peak > -1.15, "{true_peak}");
    // The mono path is the same.
    let m = AudioBuffer::from_channels(FS, &[x.channel(0)]).unwrap();
    let ym = stream(&mut Limiter::new(LimiterParams::default()).unwrap(), &m, &[512]);
    assert!(ym.channel(0) == y.channel(0));
}

#[test]
fn limiter_turns_loud_music_down_smoothly() {
    let mut x = music(3.0);
    x.samples_mut().iter_mut().for_each(|s| *s *= 4.0);
    let mut l = Limiter::new(LimiterParams::default()).unwrap();
    let y = stream(&mut l, &x, &[512]);
    let peak = y.samples().iter().fold(0.0f32, |m, s| m.max(s.abs()));
    assert!(db(f64::from(peak)) <= -1.0, "{peak}");
    assert!(l.max_reduction_db() > 3.0);
}

#[test]
fn nan_infinity_and_absurd_gain_come_out_finite_and_counted() {
    let mut x = music(0.5);
    for (i, bad) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN].into_iter().enumerate() {
        x.channel_mut(0)[5_000 + 97 * i] = bad;
    }
    let mut modules = busy();
    modules.insert(0, Module::Gain(GainParams { gain_db: 200.0 }));
    let mut chain = MasteringChain::new(&preset(modules)).unwrap();
    let y = stream(&mut chain, &x, &[333]);
    assert!(y.samples().iter().all(|s| s.is_finite()));
    assert_eq!(chain.non_finite_samples(), 3);
    // The past is not poisoned: after a reset all is as before.
    let clean = music(0.3);
    let mut chain = MasteringChain::new(&preset(busy())).unwrap();
    let want = stream(&mut chain, &clean, &[333]);
    stream(&mut chain, &x, &[333]);
    assert!(stream(&mut chain, &clean, &[333]) == want);
}

#[test]
fn odd_sounds_do_not_panic() {
    let mut chain = MasteringChain::new(&preset(busy())).unwrap();
    for (rate, channels, frames) in
        [(8_000, 1, 0), (8_000, 2, 1), (11_025, 1, 100), (384_000, 2, 5_000), (22_050, 2, 63)]
    {
        let mut x = AudioBuffer::new(rate, channels, frames).unwrap();
        x.samples_mut().fill(0.9);
        chain.render(&mut x).unwrap();
        assert_eq!(x.frames(), frames);
        assert!(x.samples().iter().all(|s| s.is_finite()));
    }
    let error = chain.render(&mut AudioBuffer::new(FS, 8, 10).unwrap()).unwrap_err();
    assert_eq!(error.code(), "SF_UNSUPPORTED");
    assert!(error.to_string().contains("mono or stereo"), "{error}");
}

#[test]
fn parameters_move_without_zipper_noise() {
    let moves: [(&str, Module, Module); 6] = [
        ("gain", Module::Gain(GainParams { gain_db: 0.0 }), Module::Gain(GainParams { gain_db: -12.0 })),
        (
            "equalizer",
            Module::Equalizer(EqualizerParams {
                bands: vec![EqualizerBand { gain_db: 0.0, ..EqualizerBand::default() }],
            }),
            Module::Equalizer(EqualizerParams {
                bands: vec![EqualizerBand { gain_db: 12.0, ..EqualizerBand::default() }],
            }),
        ),
        (
            "equalizer, other kind",
            Module::Equalizer(EqualizerParams {
                bands: vec![EqualizerBand { gain_db: 6.0, ..EqualizerBand::default() }],
            }),
            Module::Equalizer(EqualizerParams {
                bands: vec![EqualizerBand { kind: BandKind::HighPass, ..EqualizerBand::default() }],
            }),
        ),
        (
            "multiband from neutral",
            Module::Multiband(MultibandParams::default()),
            Module::Multiband(MultibandParams {
                bands: vec![BandParams { makeup_db: 6.0, ..BandParams::default() }; 4],
                ..MultibandParams::default()
            }),
        ),
        (
            "widener",
            Module::Widener(WidenerParams::default()),
            Module::Widener(WidenerParams { width: 0.0, ..WidenerParams::default() }),
        ),
        (
            "glue",
            Module::Glue(GlueParams::default()),
            Module::Glue(GlueParams { ratio: 8.0, threshold_db: -40.0, ..GlueParams::default() }),
        ),
    ];
    let x = sine(400.0, -12.0, 1.0);
    for (name, before, after) in moves {
        let mut chain = MasteringChain::new(&preset(vec![before])).unwrap();
        chain.prepare(Spec { sample_rate: FS, channels: 2, max_frames: 512 }).unwrap();
        let mut y = x.clone();
        for at in (0..y.frames() - 512).step_by(512) {
            if at == 24_064 {
                chain.set_module(0, after.clone()).unwrap();
            }
            chain.process(&mut y.block_range(at, at + 512));
        }
        // A jump shows as energy far above the tone.
        let mut high = Equalizer::new(EqualizerParams {
            bands: vec![
                EqualizerBand { kind: BandKind::HighPass, frequency_hz: 9_000.0, ..EqualizerBand::default() };
                4
            ],
        })
        .unwrap();
        let rest = stream(&mut high, &y, &[512]);
        let click = rest.channel(0)[20_000..40_000].iter().fold(0.0f32, |m, s| m.max(s.abs()));
        assert!(db(f64::from(click)) < -75.0, "{name}: {} dB", db(f64::from(click)));
    }
}

#[test]
fn presets_travel_as_json_and_toml() {
    let p = preset(busy());
    assert_eq!(Preset::from_json(&p.to_json()).unwrap(), p);
    assert_eq!(Preset::from_toml(&p.to_toml()).unwrap(), p);
    for name in Preset::names() {
        let p = Preset::named(name).unwrap();
        assert_eq!(Preset::from_toml(&p.to_toml()).unwrap(), p);
        MasteringChain::new(&p).unwrap().render(&mut music(0.2)).unwrap();
    }
    let e = Preset::from_json(r#"{"schema":1,"modules":[{"type":"limiter","ceiling_db":-1}]}"#).unwrap_err();
    assert!(e.to_string().contains("ceiling_db"), "{e}");
    let e = Preset::from_json(r#"{"schema":1,"modules":[{"type":"gain"},{"type":"limiter","ceiling_dbtp":7}]}"#)
        .unwrap_err();
    assert!(e.to_string().contains("modules[1] (limiter): ceiling_dbtp is 7"), "{e}");
    assert_eq!(Preset::from_json(r#"{"schema":99}"#).unwrap_err().code(), "SF_UNSUPPORTED");
    assert_eq!(Preset::from_json("{").unwrap_err().code(), "SF_FORMAT");
    let deep = (0..20).fold(preset(vec![]), |p, _| preset(vec![Module::Chain(p)]));
    assert!(MasteringChain::new(&deep).is_err());
}

#[test]
fn a_host_may_lend_its_own_memory() {
    let mut rng = Xorshift::new(5);
    let mut l: Vec<f32> = (0..1_000).map(|_| rng.bipolar() as f32).collect();
    let mut r = l.clone();
    let mut gain = Gain::new(GainParams { gain_db: -6.0 }).unwrap();
    gain.prepare(Spec { sample_rate: FS, channels: 2, max_frames: 1_000 }).unwrap();
    gain.process(&mut Block::new([&mut l[..], &mut r[..]]).unwrap());
    assert_eq!(l, r);
}
