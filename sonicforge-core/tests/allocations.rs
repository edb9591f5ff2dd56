//! `process` does not ask for memory: an allocator that counts keeps it true.
//!
//! Counted per thread, so that the test harness beside it does not matter. Giving memory back counts too: it takes locks as
//! well.
#![cfg(feature = "master")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sonicforge_core::analyze::{Analyzer, LoudnessMeter, TruePeakMeter};
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::master::*;
use sonicforge_core::testing::Signal;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(memory, layout, size) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count();
        unsafe { System.dealloc(memory, layout) }
    }
}

fn count() {
    // The thread's own counter may be gone while the thread ends.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often the allocator was called while `work` ran.
fn calls(work: impl FnOnce()) -> u64 {
    let before = CALLS.with(Cell::get);
    work();
    CALLS.with(Cell::get) - before
}

/// Settings that do something, and others to move to; the second equalizer differs in kind, so that it is faded to.
fn modules() -> Vec<(Module, Module)> {
    let band = |threshold_db, ratio, makeup_db| BandParams { threshold_db, ratio, makeup_db, ..BandParams::default() };
    let multiband = |ratio, corner: f64| {
        Module::Multiband(MultibandParams {
            crossovers_hz: vec![90.0, corner, 2_500.0, 5_000.0, 9_000.0],
            bands: vec![band(-30.0, ratio, 1.0); 6],
        })
    };
    let peak = |frequency_hz, gain_db| EqualizerBand { frequency_hz, gain_db, ..EqualizerBand::default() };
    let equalizer = |bands: &[EqualizerBand]| Module::Equalizer(EqualizerParams { bands: bands.to_vec() });
    let cut = EqualizerBand { kind: BandKind::HighPass, frequency_hz: 40.0, ..EqualizerBand::default() };
    let limiter = |ceiling_dbtp| Module::Limiter(LimiterParams { ceiling_dbtp, ..LimiterParams::default() });
    let glue =
        |ratio| Module::Glue(GlueParams { ratio, threshold_db: -30.0, makeup_db: ratio, ..GlueParams::default() });
    let exciter = |even_db| Module::Exciter(ExciterParams { even_db, odd_db: -24.0, ..ExciterParams::default() });
    let widener = |width| Module::Widener(WidenerParams { width, mono_below_hz: 90.0 * width, decorrelation: 0.4 });
    let de_esser = |frequency_hz| Module::DeEsser(DeEsserParams { frequency_hz, ..DeEsserParams::default() });
    vec![
        (Module::Gain(GainParams { gain_db: 12.0 }), Module::Gain(GainParams { gain_db: -3.0 })),
        (equalizer(&[cut.clone(), peak(900.0, 3.0)]), equalizer(&[cut.clone(), peak(1_900.0, -6.0)])),
        (equalizer(&[cut.clone(), peak(900.0, 3.0)]), equalizer(&[peak(900.0, 3.0), cut, peak(3_000.0, 1.0)])),
        (de_esser(5_000.0), de_esser(7_500.0)),
        (multiband(3.0, 400.0), multiband(6.0, 1_400.0)),
        (multiband(3.0, 400.0), Module::Multiband(neutral_six())),
        (glue(2.0), glue(4.0)),
        (exciter(-20.0), exciter(-32.0)),
        (exciter(-20.0), Module::Exciter(ExciterParams::default())),
        (widener(1.4), widener(0.5)),
        (limiter(-1.0), limiter(-6.0)),
    ]
}

fn neutral_six() -> MultibandParams {
    MultibandParams {
        crossovers_hz: vec![90.0, 400.0, 2_500.0, 5_000.0, 9_000.0],
        bands: vec![BandParams::default(); 6],
    }
}

const BLOCKS: [usize; 9] = [1, 64, 65, 512, 4_096, 7, 480, 63, 1_000];

/// Runs the whole buffer; returns the calls that `process` made.
fn run(chain: &mut MasteringChain, audio: &mut AudioBuffer) -> u64 {
    let (mut at, mut turn, mut total) = (0, 0, 0);
    while at < audio.frames() {
        let end = (at + BLOCKS[turn % BLOCKS.len()]).min(audio.frames());
        let mut block = audio.block_range(at, end);
        total += calls(|| chain.process(&mut block));
        (at, turn) = (end, turn + 1);
    }
    total
}

fn loud(sample_rate: u32, channels: usize, seconds: f64) -> AudioBuffer {
    let mut audio = Signal::Music { seed: 4 }.render(sample_rate, channels, seconds).unwrap();
    audio.samples_mut().iter_mut().for_each(|x| *x *= 3.0);
    audio
}

#[test]
fn the_counter_counts() {
    assert!(calls(|| drop(std::hint::black_box(vec![1u8; 100]))) >= 2);
}

#[test]
fn every_processor() {
    for (sample_rate, channels) in [(44_100, 2), (96_000, 1), (8_000, 2)] {
        for (module, other) in modules() {
            let mut chain = MasteringChain::new(&Preset::new("one", vec![module.clone()])).unwrap();
            chain.prepare(Spec { sample_rate, channels, max_frames: 4_096 }).unwrap();
            let mut audio = loud(sample_rate, channels, 0.4);
            assert_eq!(run(&mut chain, &mut audio), 0, "{} at rest", module.name());
            chain.set_module(0, other).unwrap();
            let mut audio = loud(sample_rate, channels, 0.4);
            assert_eq!(run(&mut chain, &mut audio), 0, "{} on its way", module.name());
            // Changed again while it still moves.
            let mut audio = loud(sample_rate, channels, 0.2);
            for at in (0..audio.frames() - 200).step_by(200) {
                chain.set_module(0, module.clone()).unwrap();
                let mut block = audio.block_range(at, at + 200);
                assert_eq!(calls(|| chain.process(&mut block)), 0, "{} changed all the time", module.name());
            }
            assert_eq!(calls(|| chain.reset()), 0, "reset of {}", module.name());
        }
    }
}

#[test]
fn a_chain_with_everything_and_a_nested_one() {
    let (now, next): (Vec<_>, Vec<_>) = modules().into_iter().unzip();
    let nested = |m: &[Module]| Module::Chain(Preset::new("inside", m.to_vec()));
    let mut chain = MasteringChain::new(&Preset::new("all", [now.clone(), vec![nested(&now)]].concat())).unwrap();
    chain.prepare(Spec { sample_rate: 48_000, channels: 2, max_frames: 4_096 }).unwrap();
    let mut audio = loud(48_000, 2, 0.5);
    assert_eq!(run(&mut chain, &mut audio), 0);
    for (i, module) in next.iter().enumerate() {
        chain.set_module(i, module.clone()).unwrap();
    }
    chain.set_module(next.len(), nested(&next)).unwrap();
    let mut audio = loud(48_000, 2, 0.5);
    assert_eq!(run(&mut chain, &mut audio), 0, "everything on its way");
}

#[test]
fn bad_samples_cost_no_memory() {
    let mut audio = loud(48_000, 2, 0.2);
    for (i, x) in audio.samples_mut().iter_mut().enumerate() {
        match i % 97 {
            3 => *x = f32::NAN,
            4 => *x = f32::INFINITY,
            5 => *x = f32::MAX,
            _ => {}
        }
    }
    let all: Vec<_> = modules().into_iter().map(|m| m.0).collect();
    let mut chain = MasteringChain::new(&Preset::new("all", all)).unwrap();
    chain.prepare(Spec { sample_rate: 48_000, channels: 2, max_frames: 4_096 }).unwrap();
    assert_eq!(run(&mut chain, &mut audio), 0);
}

/// What is listened to may grow: one number per 100 ms for the loudness, four for the timeline. Its lists double, so that
/// a minute costs some reallocations and the pushes between them none.
#[test]
fn the_analyzer_grows_seldom() {
    let mut audio = loud(48_000, 2, 60.0);
    let mut analyzer = Analyzer::new(48_000, 2).unwrap();
    let (mut total, mut pushes, mut dear) = (0, 0, 0);
    for at in (0..audio.frames()).step_by(480) {
        let block = audio.block_range(at, at + 480);
        let n = calls(|| analyzer.push(&block).unwrap());
        total += n;
        pushes += 1;
        dear += u64::from(n > 0);
    }
    println!("analyzer: {total} calls in {dear} of {pushes} pushes");
    assert!(total <= 100, "{total} calls of the allocator in a minute");
    assert!(dear * 50 < pushes, "{dear} of {pushes} pushes asked for memory");
}

#[test]
fn the_meters_alone() {
    let mut audio = loud(48_000, 2, 20.0);
    let mut true_peak = TruePeakMeter::new(48_000, 2).unwrap();
    let mut loudness = LoudnessMeter::new(48_000, 2).unwrap();
    let block = audio.block();
    assert_eq!(calls(|| true_peak.push(&block).unwrap()), 0);
    let n = calls(|| loudness.push(&block).unwrap());
    println!("loudness meter: {n} calls");
    assert!(n <= 30, "{n} calls of the allocator in 20 s");
    let read = calls(|| {
        std::hint::black_box((loudness.momentary(), loudness.short_term(), true_peak.current_dbtp()));
    });
    assert_eq!(read, 0, "a reading on a screen");
}
