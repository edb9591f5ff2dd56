//! EBU Tech 3341 and 3342: every case that can be generated, against the nominal value within EBU's tolerance, against a
//! reference meter in f64 (`golden/ebu.json`, made by `golden/tools/reference_meter.py`), and against the crate ebur128.
//!
//! Cases 7 and 8 are programmes that the EBU hands out; they cannot be generated.

use std::f64::consts::PI;

use sonicforge_core::analyze::{Analysis, Analyzer, LoudnessMeter, TruePeakMeter, analyze};
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::dsp::window::kaiser;
use sonicforge_core::units::db_to_gain;

/// EBU's tolerances: loudness in LU, range in LU, true peak in dB above and below.
const LOUDNESS: f64 = 0.1;
const RANGE: f64 = 1.0;
const PEAK_OVER: f64 = 0.2;
const PEAK_UNDER: f64 = 0.4;
/// Ours, against the reference: a fifth of EBU's.
const OWN: f64 = 0.02;

const RATES: [u32; 2] = [48_000, 44_100];

/// A tone of 1 kHz in steps of (seconds, peak level in dBFS of each channel), with one phase all through; `OFF` is silence.
fn tones(rate: u32, hz: f64, steps: &[(f64, Vec<f64>)]) -> AudioBuffer {
    let channels = steps[0].1.len();
    let mut samples = vec![Vec::new(); channels];
    let mut time = 0.0;
    for (seconds, levels) in steps {
        time += seconds;
        let (start, end) = (samples[0].len(), (time * f64::from(rate)).round() as usize);
        for (channel, &level) in samples.iter_mut().zip(levels) {
            let a = if level == OFF { 0.0 } else { db_to_gain(level) };
            channel.extend((start..end).map(|n| (a * (2.0 * PI * hz * n as f64 / f64::from(rate)).sin()) as f32));
        }
    }
    AudioBuffer::from_channels(rate, &samples).unwrap()
}

const OFF: f64 = f64::NEG_INFINITY;

fn stereo(rate: u32, steps: &[(f64, f64)]) -> AudioBuffer {
    let steps: Vec<_> = steps.iter().map(|&(s, l)| (s, vec![l; 2])).collect();
    tones(rate, 1_000.0, &steps)
}

/// A sine of this amplitude with tapers of a tenth of its length, so that the ends do not ring.
fn tapered(rate: u32, seconds: f64, hz: f64, degrees: f64, amplitude: f64) -> AudioBuffer {
    let n = (f64::from(rate) * seconds) as usize;
    let ramp = f64::from(rate) * seconds * 0.1;
    let y: Vec<f32> = (0..n)
        .map(|i| {
            let edge = (i.min(n - 1 - i) as f64 / ramp).min(1.0);
            let tone = (2.0 * PI * hz * i as f64 / f64::from(rate) + degrees.to_radians()).sin();
            (amplitude * (PI / 2.0 * edge).sin().powi(2) * tone) as f32
        })
        .collect();
    AudioBuffer::from_channels(rate, &[y.clone(), y]).unwrap()
}

/// Cases 20 to 23: fs/6 at half scale with one period at full scale, made at 4·fs, low-passed, every fourth sample kept.
fn burst(rate: u32, offset: usize) -> AudioBuffer {
    let n = (3.2 * f64::from(rate)).round() as usize * 4;
    let (ramp, period, middle) = (9_600.0, 24, n / 2);
    let x: Vec<f64> = (0..n)
        .map(|i| {
            let level = if (middle..middle + period).contains(&i) { 1.0 } else { 0.5 };
            let taper = (i.min(n - 1 - i) as f64 / ramp).min(1.0);
            level * taper * (2.0 * PI * (i as f64 - middle as f64) / period as f64).sin()
        })
        .collect();
    let window = kaiser(1_025, 10.0);
    let mut h: Vec<f64> = (0..1_025)
        .map(|k| {
            let t = 0.24 * (k as f64 - 512.0);
            window[k] * if t == 0.0 { 1.0 } else { (PI * t).sin() / (PI * t) }
        })
        .collect();
    let sum: f64 = h.iter().sum();
    h.iter_mut().for_each(|h| *h /= sum);
    let y: Vec<f32> = (offset..n)
        .step_by(4)
        .map(|i| {
            let (from, to) = ((i + 512).saturating_sub(n - 1), (i + 512).min(1_024));
            (from..=to).map(|k| h[k] * x[i + 512 - k]).sum::<f64>() as f32
        })
        .collect();
    AudioBuffer::from_channels(rate, &[y.clone(), y]).unwrap()
}

fn gapped(step: f64, tone: f64, i: usize, level: f64) -> [(f64, f64); 3] {
    [(i as f64 * step, OFF), (tone, level), (1.0, OFF)]
}

struct Reference(serde_json::Value);

impl Reference {
    fn open() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/ebu.json");
        Self(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
    }

    /// Compares everything that the reference reads of this case and returns the largest error.
    fn check(&self, rate: u32, case: &str, ours: &Analysis) -> f64 {
        let expected = &self.0["readings"][rate.to_string()][case];
        let ours = serde_json::to_value(ours).unwrap();
        let mut worst = 0.0f64;
        for (field, expected) in expected.as_object().unwrap_or_else(|| panic!("no reading of {case}")) {
            match (ours[field].as_f64(), expected.as_f64()) {
                (Some(a), Some(e)) => {
                    assert!((a - e).abs() <= OWN, "{case} at {rate} Hz: {field} is {a:.4}, the reference reads {e:.4}");
                    worst = worst.max((a - e).abs());
                }
                (a, e) => assert_eq!(a, e, "{case} at {rate} Hz: {field}"),
            }
        }
        worst
    }
}

fn near(what: &str, value: Option<f64>, nominal: f64, under: f64, over: f64) {
    let value = value.unwrap_or_else(|| panic!("{what} has no reading"));
    assert!(value >= nominal - under && value <= nominal + over, "{what} is {value:.4}, nominal {nominal}");
}

/// The crate's readings of the same: integrated, range, and the loudest momentary and short-term reading, asked for every 100 ms.
fn ebur128(audio: &AudioBuffer) -> (f64, f64, f64, f64) {
    let mut meter = ebur128::EbuR128::new(audio.channels() as u32, audio.sample_rate(), ebur128::Mode::all()).unwrap();
    let step = audio.sample_rate() as usize / 10;
    let (mut m, mut s) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for start in (0..audio.frames()).step_by(step) {
        let end = (start + step).min(audio.frames());
        let planes: Vec<&[f32]> = (0..audio.channels()).map(|c| &audio.channel(c)[start..end]).collect();
        meter.add_frames_planar_f32(&planes).unwrap();
        m = m.max(meter.loudness_momentary().unwrap());
        s = s.max(meter.loudness_shortterm().unwrap());
    }
    (meter.loudness_global().unwrap(), meter.loudness_range().unwrap(), m, s)
}

/// The crate gates with a histogram of 0.1 LU bins, takes the range once a second, and was asked every 100 ms.
fn agrees_with_ebur128(case: &str, audio: &AudioBuffer, ours: &Analysis) {
    let (i, lra, m, s) = ebur128(audio);
    near(&format!("{case}: integrated against ebur128"), ours.integrated_lufs, i, 0.07, 0.07);
    near(&format!("{case}: range against ebur128"), ours.loudness_range_lu, lra, 0.2, 0.2);
    near(&format!("{case}: momentary against ebur128"), ours.momentary_max_lufs, m, 0.01, 0.3);
    near(&format!("{case}: short-term against ebur128"), ours.short_term_max_lufs, s, 0.01, 0.05);
}

#[test]
fn tech_3341_integrated() {
    let reference = Reference::open();
    let mut worst = 0.0f64;
    for rate in RATES {
        let five = |levels: [f64; 5]| tones(rate, 1_000.0, &[(20.0, levels.to_vec())]);
        let lfe = tones(rate, 1_000.0, &[(20.0, vec![-28.0, -28.0, -24.0, -10.0, -30.0, -30.0])]);
        let cases = [
            ("3341-1", stereo(rate, &[(20.0, -23.0)]), -23.0),
            ("3341-2", stereo(rate, &[(20.0, -33.0)]), -33.0),
            ("3341-3", stereo(rate, &[(10.0, -36.0), (60.0, -23.0), (10.0, -36.0)]), -23.0),
            (
                "3341-4",
                stereo(rate, &[(10.0, -72.0), (10.0, -36.0), (60.0, -23.0), (10.0, -36.0), (10.0, -72.0)]),
                -23.0,
            ),
            ("3341-5", stereo(rate, &[(20.0, -26.0), (20.1, -20.0), (20.0, -26.0)]), -23.0),
            ("3341-6", five([-28.0, -28.0, -24.0, -30.0, -30.0]), -23.0),
            // The same with a loud LFE, which must not be heard.
            ("3341-6-lfe", lfe, -23.0),
        ];
        for (case, audio, nominal) in cases {
            let a = analyze(&audio).unwrap();
            near(case, a.integrated_lufs, nominal, LOUDNESS, LOUDNESS);
            if matches!(case, "3341-1" | "3341-2") {
                near(case, a.momentary_max_lufs, nominal, LOUDNESS, LOUDNESS);
                near(case, a.short_term_max_lufs, nominal, LOUDNESS, LOUDNESS);
            }
            worst = worst.max(reference.check(rate, case, &a));
            if rate == RATES[0] {
                agrees_with_ebur128(case, &audio, &a);
            }
        }
    }
    println!("largest error against the f64 reference: {worst:.6} LU");
}

/// Cases 9 and 12: once the window is full, the reading stands still at every 10 ms.
#[test]
fn tech_3341_steady_readings() {
    let reference = Reference::open();
    for rate in RATES {
        type Reading = fn(&LoudnessMeter) -> Option<f64>;
        let cases: [(&str, AudioBuffer, f64, Reading); 2] = [
            ("3341-9", stereo(rate, &[(1.34, -20.0), (1.66, -30.0)].repeat(5)), 3.0, LoudnessMeter::short_term),
            ("3341-12", stereo(rate, &[(0.18, -20.0), (0.22, -30.0)].repeat(25)), 1.0, LoudnessMeter::momentary),
        ];
        for (case, mut audio, from, reading) in cases {
            reference.check(rate, case, &analyze(&audio).unwrap());
            let mut meter = LoudnessMeter::new(rate, 2).unwrap();
            let step = rate as usize / 100;
            let mut read = 0;
            for start in (0..audio.frames() - step).step_by(step) {
                meter.push(&audio.block_range(start, start + step)).unwrap();
                if (start + step) as f64 / f64::from(rate) >= from {
                    near(case, reading(&meter), -23.0, LOUDNESS, LOUDNESS);
                    read += 1;
                }
            }
            assert!(read > 800, "{case}: {read} readings");
        }
    }
}

/// Cases 10 and 13: a burst at any time is read in full. Cases 11 and 14: the maximum follows a live stream of them.
#[test]
fn tech_3341_maxima() {
    let reference = Reference::open();
    for rate in RATES {
        for i in 1..=20 {
            let (long, short) = (gapped(0.15, 3.0, i, -23.0), gapped(0.02, 0.4, i, -23.0));
            let a = analyze(&stereo(rate, &long)).unwrap();
            near("3341-10", a.short_term_max_lufs, -23.0, LOUDNESS, LOUDNESS);
            reference.check(rate, &format!("3341-10-{i}"), &a);
            let a = analyze(&stereo(rate, &short)).unwrap();
            near("3341-13", a.momentary_max_lufs, -23.0, LOUDNESS, LOUDNESS);
            reference.check(rate, &format!("3341-13-{i}"), &a);
        }
        type Reading = fn(&LoudnessMeter) -> Option<f64>;
        let live: [(&str, f64, f64, Reading); 2] = [
            ("3341-11", 0.15, 3.0, LoudnessMeter::short_term_max),
            ("3341-14", 0.02, 0.4, LoudnessMeter::momentary_max),
        ];
        for (case, step, tone, reading) in live {
            let steps: Vec<_> = (1..=20).flat_map(|i| gapped(step, tone, i, -39.0 + i as f64)).collect();
            let mut audio = stereo(rate, &steps);
            reference.check(rate, case, &analyze(&audio).unwrap());
            let mut meter = LoudnessMeter::new(rate, 2).unwrap();
            let (mut start, mut time) = (0, 0.0);
            for (i, burst) in steps.chunks(3).enumerate() {
                time += burst.iter().map(|s| s.0).sum::<f64>();
                let end = (time * f64::from(rate)).round() as usize;
                meter.push(&audio.block_range(start, end)).unwrap();
                near(case, reading(&meter), -38.0 + i as f64, LOUDNESS, LOUDNESS);
                start = end;
            }
        }
    }
}

#[test]
fn tech_3341_true_peak() {
    let reference = Reference::open();
    let mut worst = 0.0f64;
    for rate in RATES {
        let fs = f64::from(rate);
        let mut cases = vec![
            ("3341-15", tapered(rate, 1.0, fs / 4.0, 0.0, 0.5), -6.0),
            ("3341-16", tapered(rate, 1.0, fs / 4.0, 45.0, 0.5), -6.0),
            ("3341-17", tapered(rate, 1.0, fs / 6.0, 60.0, 0.5), -6.0),
            ("3341-18", tapered(rate, 1.0, fs / 8.0, 67.5, 0.5), -6.0),
            ("3341-19", tapered(rate, 1.0, fs / 4.0, 45.0, 1.41), 3.0),
        ];
        let names = ["3341-20", "3341-21", "3341-22", "3341-23"];
        cases.extend(names.iter().enumerate().map(|(offset, &name)| (name, burst(rate, offset), 0.0)));
        for (case, audio, nominal) in cases {
            let a = analyze(&audio).unwrap();
            near(case, a.true_peak_dbtp, nominal, PEAK_UNDER, PEAK_OVER);
            worst = worst.max(reference.check(rate, case, &a));
        }
    }
    println!("largest error against the f64 reference: {worst:.6} dB");
}

/// The truth is known here: the amplitude. Every phase of every tone up to 20 kHz.
#[test]
fn true_peak_of_any_tone_at_any_phase() {
    let mut worst = 0.0f64;
    for rate in RATES {
        for hz in (1..=80).map(|i| 250.0 * f64::from(i)) {
            for phase in 0..8 {
                // Whole turns of an odd step, so that phases between the samples differ as well.
                let mut audio = tapered(rate, 0.25, hz, 22.5 * f64::from(phase) + 3.0, 0.5);
                let mut meter = TruePeakMeter::new(rate, 2).unwrap();
                meter.push(&audio.block()).unwrap();
                let error = meter.finish().unwrap() - 20.0 * 0.5f64.log10();
                assert!(error.abs() <= OWN, "{error:+.4} dB at {hz} Hz, {rate} Hz, phase {phase}");
                worst = worst.max(error.abs());
            }
        }
    }
    println!("largest error: {worst:.6} dB");
}

#[test]
fn tech_3342_loudness_range() {
    let reference = Reference::open();
    for rate in RATES {
        let cases = [
            ("3342-1", stereo(rate, &[(20.0, -20.0), (20.0, -30.0)]), 10.0),
            ("3342-2", stereo(rate, &[(20.0, -20.0), (20.0, -15.0)]), 5.0),
            ("3342-3", stereo(rate, &[(20.0, -40.0), (20.0, -20.0)]), 20.0),
            (
                "3342-4",
                stereo(rate, &[(20.0, -50.0), (20.0, -35.0), (20.0, -20.0), (20.0, -35.0), (20.0, -50.0)]),
                15.0,
            ),
        ];
        for (case, audio, nominal) in cases {
            let a = analyze(&audio).unwrap();
            near(case, a.loudness_range_lu, nominal, RANGE, RANGE);
            reference.check(rate, case, &a);
            if rate == RATES[0] {
                agrees_with_ebur128(case, &audio, &a);
            }
        }
    }
}

/// As the compliance material of ITU-R BS.2217: tones made to read −23 and −24 LKFS, the two gates, each channel alone.
#[test]
fn bs_2217_like() {
    let reference = Reference::open();
    for rate in RATES {
        for hz in [25.0, 100.0, 500.0, 1_000.0, 2_000.0, 10_000.0] {
            let k = reference.0["k_gain"][rate.to_string()][format!("{hz}")].as_f64().unwrap();
            for lkfs in [-23.0, -24.0] {
                // Two channels of amplitude a have a mean square of a² together.
                let level = lkfs + 0.691 - 20.0 * k.log10();
                let a = analyze(&tones(rate, hz, &[(20.0, vec![level; 2])])).unwrap();
                near(&format!("{hz} Hz at {rate}"), a.integrated_lufs, lkfs, OWN, OWN);
            }
        }
        // Absolute gate: −69.5 LKFS is measured, −70.5 is not.
        let level =
            |lkfs: f64| lkfs + 0.691 - 20.0 * reference.0["k_gain"][rate.to_string()]["1000"].as_f64().unwrap().log10();
        near(
            "absolute gate",
            analyze(&stereo(rate, &[(20.0, level(-69.5))])).unwrap().integrated_lufs,
            -69.5,
            OWN,
            OWN,
        );
        assert_eq!(analyze(&stereo(rate, &[(20.0, level(-70.5))])).unwrap().integrated_lufs, None);
        // Relative gate: 12 LU below the rest is not measured, 8 LU below is.
        let below = |lu: f64| {
            let steps = [(30.0, level(-10.0)), (30.0, level(-10.0 - lu))];
            analyze(&stereo(rate, &steps)).unwrap().integrated_lufs
        };
        // (The three gating blocks that lie across the step are measured too.)
        near("relative gate", below(20.0), -10.0, LOUDNESS, LOUDNESS);
        near("relative gate", below(8.0), -10.0 + 10.0 * ((1.0 + 10f64.powf(-0.8)) / 2.0).log10(), LOUDNESS, LOUDNESS);
        // One channel at a time: the surround channels weigh 1.5 dB more, the LFE nothing.
        for c in 0..6 {
            let mut levels = vec![OFF; 6];
            levels[c] = level(-23.0) + 3.0103;
            let nominal = if c >= 4 { -23.0 + 10.0 * 1.41f64.log10() } else { -23.0 };
            let read = analyze(&tones(rate, 1_000.0, &[(5.0, levels)])).unwrap().integrated_lufs;
            match c {
                3 => assert_eq!(read, None),
                _ => near(&format!("channel {c}"), read, nominal, OWN, OWN),
            }
        }
    }
}

/// The library's own meters agree with each other.
#[test]
fn single_meters_read_what_the_analyzer_reads() {
    let mut audio = stereo(48_000, &[(5.0, -20.0), (5.0, -30.0)]);
    let a = analyze(&audio).unwrap();
    let mut meter = LoudnessMeter::new(48_000, 2).unwrap();
    meter.push(&audio.block()).unwrap();
    assert_eq!(meter.integrated(), a.integrated_lufs);
    assert_eq!(meter.loudness_range(), a.loudness_range_lu);
    assert_eq!(meter.momentary_max(), a.momentary_max_lufs);
    assert_eq!(meter.blocks().len(), 100);
    let mut peak = TruePeakMeter::new(48_000, 2).unwrap();
    peak.push(&audio.block()).unwrap();
    assert_eq!(peak.finish(), a.true_peak_dbtp);
    let mut live = Analyzer::new(48_000, 2).unwrap();
    live.push(&audio.block_range(0, 48_000)).unwrap();
    near("live momentary", live.current().momentary_lufs, -20.0, 0.1, 0.1);
    assert_eq!(live.current().short_term_lufs, None);
}
