//! What the analyzer promises besides right numbers: any cut gives the same bits, and nothing that comes in makes it stumble.

use std::time::{Duration, Instant};

use sonicforge_core::analyze::{
    Analysis, Analyzer, BandLevel, LoudnessMeter, TruePeakMeter, analyze, third_octave_centers,
};
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::testing::Signal;

fn music(rate: u32, channels: usize, seconds: f64) -> AudioBuffer {
    Signal::Music { seed: 5 }.render(rate, channels, seconds).unwrap()
}

fn sine(hz: f64, dbfs: f64) -> Signal {
    Signal::Sine { frequency_hz: hz, level_dbfs: dbfs, phase_deg: 10.0 }
}

/// Equal to the bit, through JSON, which keeps every bit of a float.
fn same(a: &Analysis, b: &Analysis, what: &str) {
    assert_eq!(a.to_json(), b.to_json(), "{what}");
}

#[test]
fn any_block_size_gives_the_same_bits() {
    for (rate, channels) in [(44_100, 2), (48_000, 1), (11_025, 3), (96_000, 2)] {
        let mut audio = music(rate, channels, 3.7);
        let whole = analyze(&audio).unwrap();
        for size in [1, 64, 65, 1_000, 8_192] {
            let mut analyzer = Analyzer::new(rate, channels).unwrap();
            let mut loudness = LoudnessMeter::new(rate, channels).unwrap();
            let mut peak = TruePeakMeter::new(rate, channels).unwrap();
            for start in (0..audio.frames()).step_by(size) {
                let block = audio.block_range(start, (start + size).min(audio.frames()));
                analyzer.push(&block).unwrap();
                loudness.push(&block).unwrap();
                peak.push(&block).unwrap();
            }
            same(&analyzer.finish(), &whole, &format!("blocks of {size} at {rate} Hz"));
            assert_eq!(loudness.integrated(), whole.integrated_lufs);
            assert_eq!(loudness.short_term_max(), whole.short_term_max_lufs);
            assert_eq!(peak.finish(), whole.true_peak_dbtp);
        }
    }
}

#[test]
fn nothing_to_measure_is_none() {
    for audio in [AudioBuffer::new(48_000, 2, 0).unwrap(), AudioBuffer::new(48_000, 2, 100_000).unwrap()] {
        let a = analyze(&audio).unwrap();
        for value in [
            a.integrated_lufs,
            a.momentary_max_lufs,
            a.short_term_max_lufs,
            a.loudness_range_lu,
            a.true_peak_dbtp,
            a.sample_peak_dbfs,
            a.rms_dbfs,
            a.plr_lu,
            a.crest_db,
            a.centroid_hz,
            a.correlation,
            a.width,
        ] {
            assert_eq!(value, None);
        }
        assert!(a.third_octave.iter().chain(&a.side_third_octave).all(|b| b.level_db == -120.0));
        assert_eq!(a.timeline.minimum.len(), audio.frames().div_ceil(4_800));
        assert_eq!(Analysis::from_json(&a.to_json()).unwrap(), a);
    }
}

#[test]
fn one_sample() {
    for channels in 1..=8 {
        let one = vec![0.5; channels];
        let a = analyze(&AudioBuffer::from_interleaved(8_000, channels, &one).unwrap()).unwrap();
        assert_eq!(a.frames, 1);
        assert!((a.sample_peak_dbfs.unwrap() + 6.0206).abs() < 1e-4);
        assert!((a.true_peak_dbtp.unwrap() + 6.0206).abs() < 1e-3);
        assert_eq!(a.integrated_lufs, None);
        assert_eq!((a.timeline.minimum[..].to_vec(), a.timeline.maximum[..].to_vec()), (vec![0.5], vec![0.5]));
        assert_eq!(a.correlation.is_some(), channels == 2);
    }
}

#[test]
fn every_rate_and_channel_count() {
    for rate in [8_000, 8_001, 11_025, 12_345, 22_050, 32_000, 44_100, 88_200, 176_400, 192_000, 383_999, 384_000] {
        let a = analyze(&sine(997.0, -20.0).render(rate, 1, 1.0).unwrap()).unwrap();
        let expected = -20.0 - 3.0103;
        assert!((a.integrated_lufs.unwrap() - expected).abs() < 0.25, "{rate} Hz: {:?}", a.integrated_lufs);
        assert!((a.rms_dbfs.unwrap() - expected).abs() < 0.01);
        // A tone that is cut off rings a little over its amplitude.
        assert!((-20.0..-19.8).contains(&a.true_peak_dbtp.unwrap()), "{rate} Hz: {:?}", a.true_peak_dbtp);
        // The clicks at both ends make a short tone a little brighter.
        let brighter = a.centroid_hz.unwrap() - 997.0;
        assert!(brighter.abs() < 400.0, "{rate} Hz: {:?}", a.centroid_hz);
        assert_eq!(a.third_octave.len(), third_octave_centers(rate).len());
        let loudest = a.third_octave.iter().max_by(|a, b| a.level_db.total_cmp(&b.level_db)).unwrap();
        assert_eq!(loudest.center_hz, 1_000.0);
        assert_eq!(a.timeline.maximum.len(), 10);
    }
    for channels in 1..=8 {
        let a = analyze(&music(48_000, channels, 1.0)).unwrap();
        assert_eq!((a.channels, a.dc_offset.len()), (channels, channels));
        assert!(a.integrated_lufs.is_some());
        assert_eq!(a.side_third_octave.is_empty(), channels != 2);
    }
    // The exact centre of the band called 4 kHz is 3 981 Hz.
    assert_eq!(third_octave_centers(8_000).last(), Some(&4_000.0));
    assert!(Analyzer::new(7_999, 2).is_err());
    assert!(Analyzer::new(48_000, 9).is_err());
}

#[test]
fn what_is_not_finite_is_counted_and_read_as_zero() {
    let mut bad = music(48_000, 2, 2.0);
    let mut clean = bad.clone();
    for (i, value) in [(7, f32::NAN), (600, f32::INFINITY), (601, f32::NEG_INFINITY), (90_000, -f32::NAN)] {
        bad.channel_mut(i % 2)[i] = value;
        clean.channel_mut(i % 2)[i] = 0.0;
    }
    let (bad_analysis, mut clean_analysis) = (analyze(&bad).unwrap(), analyze(&clean).unwrap());
    assert_eq!((bad_analysis.non_finite_samples, clean_analysis.non_finite_samples), (4, 0));
    clean_analysis.non_finite_samples = 4;
    same(&bad_analysis, &clean_analysis, "NaN is read as 0");
    let mut meter = LoudnessMeter::new(48_000, 2).unwrap();
    meter.push(&bad.block()).unwrap();
    assert_eq!(meter.integrated(), bad_analysis.integrated_lufs);
    let all = AudioBuffer::from_planar(48_000, 1, vec![f32::NAN; 50_000]).unwrap();
    let a = analyze(&all).unwrap();
    assert_eq!((a.non_finite_samples, a.rms_dbfs, a.integrated_lufs), (50_000, None, None));
    // Huge values are no sound; 200 dB over full scale still is.
    let huge = AudioBuffer::from_planar(48_000, 2, vec![f32::MAX; 100_000]).unwrap();
    let a = analyze(&huge).unwrap();
    assert_eq!((a.non_finite_samples, a.rms_dbfs), (100_000, None));
    let a = analyze(&Signal::Noise { level_dbfs: 200.0, seed: 1 }.render(48_000, 2, 4.0).unwrap()).unwrap();
    assert!((a.sample_peak_dbfs.unwrap() - 200.0).abs() < 0.01);
    assert_eq!(Analysis::from_json(&a.to_json()).unwrap(), a);
}

#[test]
fn wrong_channels_are_an_error() {
    let mut mono = AudioBuffer::new(48_000, 1, 10).unwrap();
    let mut analyzer = Analyzer::new(48_000, 2).unwrap();
    assert_eq!(analyzer.push(&mono.block()).unwrap_err().code(), "SF_INVALID_ARGUMENT");
    assert!(analyzer.push_buffer(&AudioBuffer::new(44_100, 2, 10).unwrap()).is_err());
    assert!(analyzer.push_channels(&[&[0.0; 3], &[0.0; 4]]).is_err());
    assert!(analyzer.push_channels(&[]).is_err());
    assert!(LoudnessMeter::new(48_000, 2).unwrap().push(&mono.block()).is_err());
    assert!(TruePeakMeter::new(48_000, 2).unwrap().push(&mono.block()).is_err());
    assert_eq!(analyzer.finish().frames, 0);
}

fn total(bands: &[BandLevel]) -> f64 {
    10.0 * bands.iter().map(|b| 10f64.powf(b.level_db / 10.0)).sum::<f64>().log10()
}

#[test]
fn the_bands_add_up_to_the_rms_and_lie_where_they_should() {
    let noise = Signal::Noise { level_dbfs: -6.0, seed: 3 };
    let a = analyze(&noise.render(48_000, 2, 10.0).unwrap()).unwrap();
    // White noise to 24 kHz: the bands reach from 22.4 Hz to 22.4 kHz.
    assert!((total(&a.third_octave) - (a.rms_dbfs.unwrap() + 10.0 * (22_364.8f64 / 24_000.0).log10())).abs() < 0.02);
    // Each band of white noise is 1 dB (a tenth of a decade) above its lower neighbour.
    for pair in a.third_octave[9..].windows(2) {
        assert!((pair[1].level_db - pair[0].level_db - 1.0).abs() < 0.4, "{pair:?}");
    }
    assert!((a.centroid_hz.unwrap() - 10_000.0).abs() < 100.0);
    // Independent channels: no correlation, half of the energy in the side, which is 3 dB below both together.
    assert!(a.correlation.unwrap().abs() < 0.01);
    assert!((a.width.unwrap() - 0.5).abs() < 0.005);
    assert!((total(&a.third_octave) - total(&a.side_third_octave) - 3.01).abs() < 0.05);
    for &hz in third_octave_centers(48_000) {
        let a = analyze(&sine(hz, 0.0).render(48_000, 1, 4.0).unwrap()).unwrap();
        let band = a.third_octave.iter().find(|b| b.center_hz == hz).unwrap();
        let leak = if hz < 45.0 { 1.0 } else { 0.1 };
        assert!((band.level_db + 3.01).abs() < leak, "{hz} Hz reads {}", band.level_db);
        for far in a.third_octave.iter().filter(|b| (b.center_hz / hz).log2().abs() > 1.9 && b.center_hz > 100.0) {
            assert!(far.level_db < -50.0, "{hz} Hz reads {} dB at {} Hz", far.level_db, far.center_hz);
        }
    }
}

#[test]
fn stereo_image() {
    let read = |left: f32, right: f32| {
        let mono = music(48_000, 1, 1.0);
        let scaled = |g: f32| mono.channel(0).iter().map(|x| x * g).collect::<Vec<_>>();
        let a = analyze(&AudioBuffer::from_channels(48_000, &[scaled(left), scaled(right)]).unwrap()).unwrap();
        (a.correlation, a.width.unwrap())
    };
    let near = |a: (Option<f64>, f64), b: (Option<f64>, f64)| {
        assert!((a.1 - b.1).abs() < 1e-6 && a.0.is_some() == b.0.is_some(), "{a:?} {b:?}");
        assert!((a.0.unwrap_or(0.0) - b.0.unwrap_or(0.0)).abs() < 1e-6, "{a:?} {b:?}");
    };
    near(read(1.0, 1.0), (Some(1.0), 0.0));
    near(read(1.0, -1.0), (Some(-1.0), 1.0));
    near(read(1.0, 0.0), (None, 0.5));
    // M = 0.75, S = 0.25.
    near(read(1.0, 0.5), (Some(1.0), 0.1));
}

#[test]
fn dc_and_clipping() {
    let mut audio = Signal::Constant { value: 0.25 }.render(48_000, 2, 1.0).unwrap();
    audio.channel_mut(1).fill(-0.125);
    let a = analyze(&audio).unwrap();
    assert_eq!(a.dc_offset, [0.25, -0.125]);
    // A run that lies across the cut of two quanta counts as one.
    let mut audio = AudioBuffer::new(48_000, 1, 2_000).unwrap();
    audio.channel_mut(0)[510..514].fill(1.0);
    audio.channel_mut(0)[1_000..1_002].fill(-1.0);
    audio.channel_mut(0)[1_500] = 1.5;
    assert_eq!(analyze(&audio).unwrap().clipped_samples, 5);
}

#[test]
fn the_timeline_is_bounded() {
    // 61 minutes at 8 kHz: over 36 000 steps of 100 ms, so the step doubles.
    let mut analyzer = Analyzer::new(8_000, 1).unwrap();
    let quiet: Vec<f32> = sine(500.0, -40.0).render(8_000, 1, 1.0).unwrap().into_samples();
    let loud: Vec<f32> = quiet.iter().map(|x| x * 10.0).collect();
    for second in 0..61 * 60 {
        analyzer.push_channels(&[if second == 1_000 { &loud } else { &quiet }]).unwrap();
    }
    let t = analyzer.finish().timeline;
    assert_eq!(t.step_s, 0.2);
    assert_eq!((t.minimum.len(), t.maximum.len()), (18_300, 18_300));
    assert_eq!((t.momentary_lufs.len(), t.short_term_lufs.len()), (18_300, 18_300));
    let loudest = (0..t.maximum.len()).max_by(|&a, &b| t.maximum[a].total_cmp(&t.maximum[b])).unwrap();
    assert!((5_000..5_005).contains(&loudest), "{loudest}");
    assert!((t.momentary_lufs[5_003].unwrap() - t.momentary_lufs[4_990].unwrap() - 20.0).abs() < 0.1);
    assert_eq!(t.short_term_lufs[13], None);
    assert!(t.short_term_lufs[14].is_some());
}

/// Filters that ring into denormals are many times slower; here silence after a burst must cost less than the burst.
#[test]
fn silence_after_a_burst_costs_nothing() {
    let noise = Signal::Noise { level_dbfs: -3.0, seed: 9 }.render(48_000, 2, 20.0).unwrap();
    let mut tail = AudioBuffer::new(48_000, 2, 960_000).unwrap();
    tail.channel_mut(0)[0] = 1.0;
    // A tail that a host's reverb left behind: it falls by 200 dB per second through all the denormals.
    let mut decay = AudioBuffer::new(48_000, 2, 960_000).unwrap();
    for c in 0..2 {
        for (n, x) in decay.channel_mut(c).iter_mut().enumerate() {
            *x = (10f64.powf(-(n as f64) / 4_800.0) * (0.3 * n as f64).sin()) as f32;
        }
    }
    let time = |audio: &AudioBuffer| {
        let once = || {
            let start = Instant::now();
            std::hint::black_box(analyze(audio).unwrap());
            start.elapsed()
        };
        (0..5).map(|_| once()).min().unwrap()
    };
    let (busy, silent, decaying) = (time(&noise), time(&tail), time(&decay));
    println!("noise {busy:?}, silence after an impulse {silent:?}, decay into denormals {decaying:?}");
    assert!(silent < busy + Duration::from_millis(2), "{silent:?} for silence, {busy:?} for noise");
    assert!(decaying < busy + Duration::from_millis(2), "{decaying:?} for a decay, {busy:?} for noise");
}
