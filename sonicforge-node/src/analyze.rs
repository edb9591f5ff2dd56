//! Listening: a whole sound in one job, or block by block.

use napi::Result;
use napi::bindgen_prelude::{AsyncTask, Float32ArraySlice};
use napi_derive::napi;
use sonicforge_core::analyze::{self, Analysis};
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::error::{self, Error};
use sonicforge_core::io::Reader;
use sonicforge_core::progress::{Progress, Step};

use crate::enter::{Job, Watch, Work, enter, start};
use crate::values::{Outcome, audio};

/// How many frames are measured between two looks at the job.
const PIECE: usize = 1 << 16;

/// Measures a whole sound piece by piece, so that it can be watched and stopped.
pub fn listen(buffer: &AudioBuffer, watch: &mut Watch) -> error::Result<Analysis> {
    let mut analyzer = analyze::Analyzer::new(buffer.sample_rate(), buffer.channels())?;
    let frames = buffer.frames();
    for from in (0..frames).step_by(PIECE) {
        let to = frames.min(from + PIECE);
        let piece: Vec<_> = (0..buffer.channels()).map(|c| &buffer.channel(c)[from..to]).collect();
        analyzer.push_channels(&piece)?;
        if watch.report(Step::new("analyze", to as f64 / frames as f64)).is_break() {
            return Err(Error::Cancelled("the analysis"));
        }
    }
    Ok(analyzer.finish())
}

/// Measures a whole sound; JSON.
#[napi(js_name = "analyze")]
pub fn analyze_whole(job: &Job, samples: &[f32], rate: u32, channels: u32) -> Result<AsyncTask<Work>, String> {
    let buffer = enter(|| audio(samples, rate, channels))?;
    Ok(start(job, move |watch| Ok(Outcome::Text(listen(&buffer, watch)?.to_json()))))
}

/// Measures a file in memory that does not grow with its length.
fn listen_to_file(path: String, watch: &mut Watch) -> error::Result<Analysis> {
    let mut reader = Reader::open(path)?;
    let (rate, channels, length) = (reader.info().sample_rate, reader.info().channels, reader.info().frames);
    let mut analyzer = analyze::Analyzer::new(rate, channels)?;
    let mut piece = AudioBuffer::new(rate, channels, PIECE)?;
    let mut done = 0;
    loop {
        let came = reader.read(&mut piece.block())?;
        if came == 0 {
            return Ok(analyzer.finish());
        }
        analyzer.push(&piece.block_range(0, came))?;
        done += came as u64;
        let fraction = length.map_or(0.0, |length| done as f64 / length.max(1) as f64);
        if watch.report(Step::new("analyze", fraction)).is_break() {
            return Err(Error::Cancelled("the analysis"));
        }
    }
}

/// Measures a file; JSON.
#[napi]
pub fn analyze_file(job: &Job, path: String) -> AsyncTask<Work> {
    start(job, move |watch| Ok(Outcome::Text(listen_to_file(path, watch)?.to_json())))
}

/// What a meter on a screen shows.
#[napi(object, object_from_js = false, use_nullable = true)]
pub struct Live {
    /// Frames measured so far.
    pub frames: f64,
    /// Loudness of the last 400 ms.
    pub momentary_lufs: Option<f64>,
    /// Loudness of the last 3 s.
    pub short_term_lufs: Option<f64>,
    /// Gated loudness since the beginning.
    pub integrated_lufs: Option<f64>,
    /// Highest true peak since the beginning.
    pub true_peak_dbtp: Option<f64>,
}

/// Measures block by block.
#[napi]
pub struct Analyzer(Option<analyze::Analyzer>);

#[napi]
impl Analyzer {
    /// For blocks of this rate and this many channels.
    #[napi(constructor)]
    pub fn new(sample_rate: u32, channels: u32) -> Result<Self, String> {
        enter(|| Ok(Self(Some(analyze::Analyzer::new(sample_rate, channels as usize)?))))
    }

    fn living(&mut self) -> error::Result<&mut analyze::Analyzer> {
        self.0.as_mut().ok_or_else(|| Error::invalid("this analyzer has finished; make a new one"))
    }

    /// Listens to the next frames.
    #[napi]
    pub fn push(&mut self, channels: Vec<Float32ArraySlice>) -> Result<(), String> {
        let channels: Vec<&[f32]> = channels.iter().map(|channel| &**channel).collect();
        enter(|| self.living()?.push_channels(&channels))
    }

    /// What can be said so far.
    #[napi]
    pub fn current(&mut self) -> Result<Live, String> {
        let live = enter(|| Ok(self.living()?.current()))?;
        Ok(Live {
            frames: live.frames as f64,
            momentary_lufs: live.momentary_lufs,
            short_term_lufs: live.short_term_lufs,
            integrated_lufs: live.integrated_lufs,
            true_peak_dbtp: live.true_peak_dbtp,
        })
    }

    /// The measurement, as JSON; the analyzer is used up.
    #[napi]
    pub fn finish(&mut self) -> Result<String, String> {
        enter(|| {
            self.living()?;
            Ok(self.0.take().map(|analyzer| analyzer.finish().to_json()).unwrap_or_default())
        })
    }
}
