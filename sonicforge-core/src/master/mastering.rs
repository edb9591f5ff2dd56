//! Render: the plan is run, the loudness found, the result measured and, where it missed, run again.
//!
//! ```text
//! listen   input ─► analyzer (before)                                           unless the plan's maker has listened
//! measure  input ─► chain ─► envelope ─► drive                                  see `solver`
//! render   input ─► chain ─► drive ─► limiter ─► output (dithered) ─► analyzer (after)
//! ```
//!
//! Nothing is kept but the envelope: a sound of any length takes the same memory, from a file as from a buffer, and both give
//! the same samples. What the analyzer measures is what was written, dither included. When it finds the loudness more than
//! 0.05 LU off or the peak over the ceiling, the render pass runs again with that taken off (rarely: see the report's
//! `passes`).

use std::path::Path;

use crate::analyze::{Analysis, Analyzer};
use crate::audio::{AudioBuffer, Block};
use crate::error::{Error, Result};
use crate::master::chain::{AnyStage, MasteringChain};
use crate::master::gain::{Gain, GainParams};
use crate::master::limiter::{CHECKED_MARGIN_DB, Limiter};
use crate::master::plan::{Plan, check_channels, plan_for};
use crate::master::processor::{Processor, Spec};
use crate::master::report::{
    BandReduction, GainReduction, LOUDNESS_TOLERANCE_LU, REPORT_SCHEMA, ReductionTimeline, Report,
};
use crate::master::solver::Envelope;
use crate::master::target::Target;
use crate::progress::{Progress, Step, check};

/// The most render passes.
const MAX_RENDERS: u32 = 4;
/// A render is repeated when it is this far off, though 0.1 is promised.
const GOOD_ENOUGH_LU: f64 = 0.05;
/// How far below the ceiling our meter must read, so that no other meter reads an over.
const SAFE_DB: f64 = 0.01;
/// Steps of the reduction timeline.
const MAX_STEPS: usize = 36_000;

/// A sound that can be read again from its beginning.
trait Source {
    fn sample_rate(&self) -> u32;
    fn channels(&self) -> usize;
    /// Length in frames, when it is known before reading.
    fn frames(&self) -> Option<u64>;
    fn rewind(&mut self) -> Result<()>;
    /// Fills the block from its beginning; returns how many frames, 0 at the end.
    fn read(&mut self, block: &mut Block<'_>) -> Result<usize>;
}

/// Where the master goes. What the block holds after `write` is what is kept.
trait Sink {
    /// Begins again.
    fn restart(&mut self) -> Result<()>;
    fn write(&mut self, block: &mut Block<'_>) -> Result<()>;
}

struct BufferSource<'a> {
    buffer: &'a AudioBuffer,
    at: usize,
}

impl Source for BufferSource<'_> {
    fn sample_rate(&self) -> u32 {
        self.buffer.sample_rate()
    }
    fn channels(&self) -> usize {
        self.buffer.channels()
    }
    fn frames(&self) -> Option<u64> {
        Some(self.buffer.frames() as u64)
    }
    fn rewind(&mut self) -> Result<()> {
        self.at = 0;
        Ok(())
    }
    fn read(&mut self, block: &mut Block<'_>) -> Result<usize> {
        let len = block.frames().min(self.buffer.frames() - self.at);
        for c in 0..block.channels() {
            block.channel_mut(c)[..len].copy_from_slice(&self.buffer.channel(c)[self.at..self.at + len]);
        }
        self.at += len;
        Ok(len)
    }
}

struct BufferSink {
    buffer: AudioBuffer,
    at: usize,
}

impl Sink for BufferSink {
    fn restart(&mut self) -> Result<()> {
        self.at = 0;
        Ok(())
    }
    fn write(&mut self, block: &mut Block<'_>) -> Result<()> {
        let len = block.frames();
        for c in 0..block.channels() {
            self.buffer.channel_mut(c)[self.at..self.at + len].copy_from_slice(block.channel(c));
        }
        self.at += len;
        Ok(())
    }
}

#[cfg(feature = "io")]
mod files {
    use super::*;
    use crate::io::{Reader, WriteOptions, Writer};

    pub(super) struct FileSource {
        pub(super) reader: Reader,
    }

    impl Source for FileSource {
        fn sample_rate(&self) -> u32 {
            self.reader.info().sample_rate
        }
        fn channels(&self) -> usize {
            self.reader.info().channels
        }
        fn frames(&self) -> Option<u64> {
            self.reader.info().frames
        }
        fn rewind(&mut self) -> Result<()> {
            self.reader.rewind()
        }
        fn read(&mut self, block: &mut Block<'_>) -> Result<usize> {
            self.reader.read(block)
        }
    }

    pub(super) struct FileSink<'a> {
        pub(super) path: &'a Path,
        pub(super) sample_rate: u32,
        pub(super) channels: usize,
        pub(super) options: WriteOptions,
        pub(super) writer: Option<Writer>,
    }

    impl FileSink<'_> {
        pub(super) fn finish(mut self) -> Result<()> {
            match self.writer.take() {
                Some(writer) => writer.finish(),
                None => Err(Error::Internal("a master was finished before it was begun".into())),
            }
        }
    }

    impl Sink for FileSink<'_> {
        fn restart(&mut self) -> Result<()> {
            // The unfinished one takes its temporary file along.
            self.writer = None;
            self.writer = Some(Writer::create(self.path, self.sample_rate, self.channels, &self.options)?);
            Ok(())
        }
        fn write(&mut self, block: &mut Block<'_>) -> Result<()> {
            match self.writer.as_mut() {
                Some(writer) => writer.write(block),
                None => Err(Error::Internal("a master was written before it was begun".into())),
            }
        }
    }
}

/// Which part of the whole call a pass is.
struct Span<'a> {
    progress: &'a mut dyn Progress,
    stage: &'static str,
    from: f64,
    to: f64,
}

impl Span<'_> {
    fn report(&mut self, done: u64, all: Option<u64>) -> Result<()> {
        // A file that does not say how long it is still moves on, ever more slowly.
        let share = match all {
            Some(all) => done as f64 / all.max(1) as f64,
            None => 1.0 - 1.0 / (1.0 + done as f64 / 10e6),
        };
        let fraction = self.from + (self.to - self.from) * share.min(1.0);
        check(self.progress, "mastering", Step::new(self.stage, fraction))
    }
}

/// Reads `source` from its beginning through `process`, which lags by `latency` frames, into `take`; the tail is drawn out
/// and the lag taken off, so that `take` gets exactly the frames that were read. Returns how many.
fn pass(
    source: &mut dyn Source,
    latency: usize,
    span: &mut Span<'_>,
    mut process: impl FnMut(&mut Block<'_>),
    mut take: impl FnMut(&mut Block<'_>) -> Result<()>,
) -> Result<u64> {
    source.rewind()?;
    let (rate, channels, all) = (source.sample_rate(), source.channels(), source.frames());
    // 50 ms a piece: the wish to stop is asked for as often, counted in sound.
    let piece_frames = piece_frames(rate);
    let mut piece = AudioBuffer::new(rate, channels, piece_frames)?;
    let (mut read, mut given) = (0u64, 0u64);
    let mut skip = latency;
    loop {
        let len = source.read(&mut piece.block())?;
        if len == 0 {
            break;
        }
        read += len as u64;
        process(&mut piece.block_range(0, len));
        let from = skip.min(len);
        skip -= from;
        if from < len {
            given += (len - from) as u64;
            take(&mut piece.block_range(from, len))?;
        }
        span.report(read, all)?;
    }
    while given < read {
        let len = piece_frames.min((read - given) as usize + skip);
        for c in 0..channels {
            piece.channel_mut(c)[..len].fill(0.0);
        }
        process(&mut piece.block_range(0, len));
        let from = skip.min(len);
        skip -= from;
        if from < len {
            given += (len - from) as u64;
            take(&mut piece.block_range(from, len))?;
        }
    }
    Ok(read)
}

fn piece_frames(sample_rate: u32) -> usize {
    (sample_rate / 20) as usize
}

/// Values at 50 ms, merged to 100 ms steps and further when there are too many.
#[derive(Debug, Default)]
struct Trace {
    values: Vec<f32>,
    merged: usize,
    filled: usize,
}

impl Trace {
    fn push(&mut self, value: f64) {
        let merged = self.merged.max(2);
        match self.values.last_mut() {
            Some(last) if self.filled > 0 => *last = last.max(value as f32),
            _ => self.values.push(value as f32),
        }
        self.filled = (self.filled + 1) % merged;
        if self.values.len() == MAX_STEPS && self.filled == 0 {
            for i in 0..MAX_STEPS / 2 {
                self.values[i] = self.values[2 * i].max(self.values[2 * i + 1]);
            }
            self.values.truncate(MAX_STEPS / 2);
            self.merged = merged * 2;
        }
    }

    fn step_s(&self) -> f64 {
        self.merged.max(2) as f64 * 0.05
    }
}

/// What the chain did, for the report.
#[derive(Debug, Default)]
struct ChainTrace {
    bands: Vec<Trace>,
    de_esser: Trace,
}

impl ChainTrace {
    /// After a piece: the deepest reductions in it, of the first module of each kind.
    fn push(&mut self, chain: &mut MasteringChain) {
        let (mut seen_bands, mut seen_de_esser) = (false, false);
        chain.visit(|stage| match stage {
            AnyStage::Multiband(m) if !seen_bands => {
                seen_bands = true;
                for (i, r) in m.reductions_mut().enumerate() {
                    if self.bands.len() <= i {
                        self.bands.push(Trace::default());
                    }
                    self.bands[i].push(r.take_recent());
                }
            }
            AnyStage::DeEsser(d) if !seen_de_esser => {
                seen_de_esser = true;
                self.de_esser.push(d.reduction_mut().take_recent());
            }
            AnyStage::Glue(g) => {
                g.reduction_mut().take_recent();
            }
            _ => {}
        });
    }
}

/// What came of a render pass.
struct Rendered {
    after: Analysis,
    limiter: GainReduction,
    trace: Trace,
    chain_trace: ChainTrace,
    latency: usize,
}

fn render_pass(
    source: &mut dyn Source,
    sink: &mut dyn Sink,
    chain: &mut MasteringChain,
    plan: &Plan,
    (drive_db, margin_db): (f64, f64),
    span: &mut Span<'_>,
) -> Result<Rendered> {
    let (rate, channels) = (source.sample_rate(), source.channels());
    let spec = Spec { sample_rate: rate, channels, max_frames: piece_frames(rate) };
    chain.prepare(spec)?;
    let mut drive = Gain::new(GainParams { gain_db: drive_db })?;
    drive.prepare(spec)?;
    let mut limiter = Limiter::new(plan.limiter.clone())?;
    limiter.prepare(spec)?;
    limiter.set_margin(margin_db);
    let latency = chain.latency() + limiter.latency();
    let mut after = Analyzer::new(rate, channels)?;
    let (mut trace, mut chain_trace) = (Trace::default(), ChainTrace::default());
    sink.restart()?;
    pass(
        source,
        latency,
        span,
        |block| {
            chain.process(block);
            drive.process(block);
            limiter.process(block);
            trace.push(limiter.take_recent());
            chain_trace.push(chain);
        },
        |block| {
            sink.write(block)?;
            after.push(block)
        },
    )?;
    let limiter =
        GainReduction { max_db: limiter.max_reduction_db().max(0.0), mean_db: limiter.mean_reduction_db().max(0.0) };
    Ok(Rendered { after: after.finish(), limiter, trace, chain_trace, latency })
}

/// Everything but the doors.
fn run(
    plan: Option<&Plan>,
    target: &Target,
    source: &mut dyn Source,
    sink: &mut dyn Sink,
    progress: &mut dyn Progress,
) -> Result<Report> {
    check_channels(source.channels())?;
    let (rate, channels) = (source.sample_rate(), source.channels());
    let mut passes = 1;
    // Listen.
    let mut span = Span { progress, stage: "listen", from: 0.0, to: 0.15 };
    let mut before = Analyzer::new(rate, channels)?;
    pass(source, 0, &mut span, |_| {}, |block| before.push(block))?;
    let before = before.finish();
    let owned;
    let plan = match plan {
        Some(plan) => plan,
        None => {
            owned = plan_for(&before, target)?;
            &owned
        }
    };
    plan.validate()?;
    let mut chain = MasteringChain::new(&plan.chain)?;
    // Measure.
    passes += 1;
    let mut span = Span { progress: span.progress, stage: "measure", from: 0.15, to: 0.5 };
    chain.prepare(Spec { sample_rate: rate, channels, max_frames: piece_frames(rate) })?;
    let mut envelope = Envelope::new(rate, channels);
    let chain_latency = chain.latency();
    pass(
        source,
        chain_latency,
        &mut span,
        |block| chain.process(block),
        |block| {
            envelope.push(block);
            Ok(())
        },
    )?;
    envelope.finish();
    let target = &plan.target;
    let solve =
        |correction| envelope.solve(&plan.limiter, target.loudness_lufs, correction, plan.max_gain_reduction_db);
    // Render, until both numbers are good.
    let (mut correction, mut margin_db) = (0.0, CHECKED_MARGIN_DB);
    let mut from = 0.5;
    let mut done;
    let mut solution;
    loop {
        passes += 1;
        solution = solve(correction);
        let to = from + 0.9 * (1.0 - from);
        let mut span = Span { progress: &mut *span.progress, stage: "render", from, to };
        let drive_db = solution.map_or(0.0, |s| s.drive_db).clamp(-200.0, 200.0);
        done = render_pass(source, sink, &mut chain, plan, (drive_db, margin_db), &mut span)?;
        from = to;
        let over = done.after.true_peak_dbtp.unwrap_or(f64::NEG_INFINITY) - target.ceiling_dbtp;
        let off = match (solution, done.after.integrated_lufs) {
            (Some(s), Some(loudness)) if s.within_budget => loudness - target.loudness_lufs,
            _ => 0.0,
        };
        if (over <= -SAFE_DB && off.abs() <= GOOD_ENOUGH_LU) || passes == 2 + MAX_RENDERS {
            break;
        }
        if over > -SAFE_DB {
            margin_db += over + 2.0 * SAFE_DB;
        }
        if off.abs() > 0.5 * GOOD_ENOUGH_LU {
            correction -= off;
        }
    }
    check(span.progress, "mastering", Step::new("done", 1.0))?;
    let within_budget = solution.is_some_and(|s| s.within_budget);
    let needed_db = solution
        .map_or(0.0, |s| (s.needed_db + envelope.peak_db() - plan.limiter.ceiling_dbtp + CHECKED_MARGIN_DB).max(0.0));
    Ok(make_report(
        plan,
        before,
        done,
        &mut chain,
        Found {
            drive_db: solution.map_or(0.0, |s| s.drive_db),
            within_budget,
            measurable: solution.is_some(),
            needed_db,
            passes,
            rate,
        },
    ))
}

struct Found {
    drive_db: f64,
    within_budget: bool,
    measurable: bool,
    needed_db: f64,
    passes: u32,
    rate: u32,
}

fn make_report(plan: &Plan, before: Analysis, done: Rendered, chain: &mut MasteringChain, found: Found) -> Report {
    let target = &plan.target;
    let Rendered { after, limiter, trace, chain_trace, latency } = done;
    let loudness_reached =
        after.integrated_lufs.is_some_and(|l| (l - target.loudness_lufs).abs() <= LOUDNESS_TOLERANCE_LU);
    let ceiling_met = after.true_peak_dbtp.is_none_or(|p| p <= target.ceiling_dbtp);
    let mut why = Vec::new();
    if !loudness_reached {
        why.push(if before.integrated_lufs.is_none() || !found.measurable {
            "the sound is silent or shorter than 0.4 s: it has no loudness to bring to a target".to_string()
        } else if !found.within_budget {
            format!(
                "{:.1} LUFS needs {:.1} dB of limiting at the loudest peak, the budget (max_gain_reduction_db) is {:.1} dB; {} LUFS is what it allows",
                target.loudness_lufs,
                found.needed_db,
                plan.max_gain_reduction_db,
                after.integrated_lufs.map_or("no".to_string(), |l| format!("{l:.2}"))
            )
        } else {
            format!(
                "the loudness came out at {:.2} LUFS after {} passes",
                after.integrated_lufs.unwrap_or(f64::NEG_INFINITY),
                found.passes
            )
        });
    }
    if !ceiling_met {
        why.push(format!(
            "the true peak is {:.2} dBTP, over the ceiling of {:.1} dBTP",
            after.true_peak_dbtp.unwrap_or(f64::NEG_INFINITY),
            target.ceiling_dbtp
        ));
    }
    let (mut bands, mut de_esser, mut glue) = (Vec::new(), None, None);
    chain.visit(|stage| match stage {
        AnyStage::Multiband(m) if bands.is_empty() => {
            let corners = &m.params().crossovers_hz;
            let corner = |i: usize| corners.get(i).copied();
            bands = m
                .reductions()
                .enumerate()
                .map(|(i, r)| BandReduction {
                    low_hz: if i == 0 { 0.0 } else { corner(i - 1).unwrap_or(0.0) },
                    high_hz: corner(i).unwrap_or(0.5 * f64::from(found.rate)),
                    max_db: r.max_db,
                    mean_db: r.mean_db(),
                })
                .collect();
        }
        AnyStage::DeEsser(d) if de_esser.is_none() => {
            de_esser = Some(GainReduction { max_db: d.reduction().max_db, mean_db: d.reduction().mean_db() });
        }
        AnyStage::Glue(g) if glue.is_none() => {
            glue = Some(GainReduction { max_db: g.reduction().max_db, mean_db: g.reduction().mean_db() });
        }
        _ => {}
    });
    let gain_match_db = match (before.integrated_lufs, after.integrated_lufs) {
        (Some(b), Some(a)) => a - b,
        _ => 0.0,
    };
    Report {
        schema: REPORT_SCHEMA,
        target: target.clone(),
        plan: plan.clone(),
        non_finite_samples: before.non_finite_samples,
        before,
        after,
        drive_db: found.drive_db,
        loudness_reached,
        ceiling_met,
        refusal: (!why.is_empty()).then(|| why.join("; ")),
        needed_gain_reduction_db: found.needed_db,
        limiter,
        bands,
        de_esser,
        glue,
        latency_frames: latency,
        passes: found.passes,
        gain_match_db,
        timeline: ReductionTimeline {
            step_s: trace.step_s(),
            bands_db: chain_trace.bands.into_iter().map(|t| t.values).collect(),
            de_esser_db: chain_trace.de_esser.values,
            limiter_db: trace.values,
        },
    }
}

impl Plan {
    /// Runs the plan on a sound in memory: the master and its report.
    ///
    /// Errors when the sound has more than two channels, or with `SF_CANCELLED` when `progress` says so.
    pub fn render(&self, audio: &AudioBuffer, progress: &mut dyn Progress) -> Result<(AudioBuffer, Report)> {
        render_buffer(Some(self), &self.target, audio, progress)
    }

    /// Runs the plan from a file to a file, in memory that does not grow with its length. Tags and cover art travel along
    /// unless `options` bring their own. The output appears under its name only when it is whole.
    ///
    /// Errors as [`Plan::render`], and when a file cannot be read or written.
    #[cfg(feature = "io")]
    pub fn render_file(
        &self,
        input: impl AsRef<Path>,
        output: impl AsRef<Path>,
        options: &crate::io::WriteOptions,
        progress: &mut dyn Progress,
    ) -> Result<Report> {
        render_file(Some(self), &self.target, input.as_ref(), output.as_ref(), options, progress)
    }
}

/// Listens, plans and renders: the master of `audio` for `target`, and its report.
///
/// Errors when the sound has more than two channels, or with `SF_CANCELLED` when `progress` says so.
pub fn master(audio: &AudioBuffer, target: &Target, progress: &mut dyn Progress) -> Result<(AudioBuffer, Report)> {
    render_buffer(None, target, audio, progress)
}

/// Listens, plans and renders from a file to a file, in memory that does not grow with its length. Tags and cover art travel
/// along unless `options` bring their own. The output appears under its name only when it is whole.
///
/// Errors as [`master`], and when a file cannot be read or written.
#[cfg(feature = "io")]
pub fn master_file(
    input: impl AsRef<Path>,
    output: impl AsRef<Path>,
    target: &Target,
    options: &crate::io::WriteOptions,
    progress: &mut dyn Progress,
) -> Result<Report> {
    render_file(None, target, input.as_ref(), output.as_ref(), options, progress)
}

fn render_buffer(
    plan: Option<&Plan>,
    target: &Target,
    audio: &AudioBuffer,
    progress: &mut dyn Progress,
) -> Result<(AudioBuffer, Report)> {
    target.validate()?;
    check_channels(audio.channels())?;
    let mut source = BufferSource { buffer: audio, at: 0 };
    let mut sink =
        BufferSink { buffer: AudioBuffer::new(audio.sample_rate(), audio.channels(), audio.frames())?, at: 0 };
    let report = run(plan, target, &mut source, &mut sink, progress)?;
    Ok((sink.buffer, report))
}

#[cfg(feature = "io")]
fn render_file(
    plan: Option<&Plan>,
    target: &Target,
    input: &Path,
    output: &Path,
    options: &crate::io::WriteOptions,
    progress: &mut dyn Progress,
) -> Result<Report> {
    target.validate()?;
    let reader = crate::io::Reader::open(input)?;
    let mut options = options.clone();
    if options.tags.is_empty() {
        options.tags = reader.tags().clone();
    }
    let mut source = files::FileSource { reader };
    check_channels(source.channels())?;
    let mut sink = files::FileSink {
        path: output,
        sample_rate: source.sample_rate(),
        channels: source.channels(),
        options,
        writer: None,
    };
    // An unwritable place is found before the work, not after it.
    sink.restart()?;
    let report = run(plan, target, &mut source, &mut sink, progress)?;
    sink.finish()?;
    Ok(report)
}
