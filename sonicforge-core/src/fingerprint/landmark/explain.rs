//! Why a match is one: the peaks of query and track on one plane, and the landmarks that agree on where the track lies.

use super::constellation::{Constellation, Star};
use super::matching::Match;
use super::pairs::{MAX_GAP, MAX_STEP, MIN_GAP};
use super::peaks::Peak;
use super::sketch::Sketch;
use super::spectrogram::LOW_HZ;
use super::{BANDS, FRAME_S, PER_OCTAVE};

/// Peaks of the query below this rank make the landmarks that are shown.
const RANK: u16 = 16;
/// Each with this many others.
const FAN: usize = 5;
/// Landmarks agree when they differ by no more than this.
const FRAMES_OFF: f32 = 1.5;
const BANDS_OFF: f32 = 1.0;
/// A landmark says where the track lies to this many seconds.
const AGREES_S: f64 = 0.1;

/// A peak: seconds of the query, and Hz in it.
pub type PeakAt = (f64, f64);

/// A landmark that query and track share: a pair of peaks, and where it says that the track begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharedLandmark {
    /// The first peak in the query.
    pub anchor: PeakAt,
    /// The second.
    pub target: PeakAt,
    /// Second of the track that would be heard at the beginning of the query.
    pub offset_s: f64,
    /// Whether that is where the match has it.
    pub agrees: bool,
}

/// Why a [`Match`] is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The match.
    pub found: Match,
    /// Length of the query in seconds.
    pub seconds: f64,
    /// The whitened spectrogram of the query: frames × 180 bands, 0 for what is below the mean of its band to 255 for 3 nepers above.
    pub spectrogram: Vec<u8>,
    /// Frames of the spectrogram.
    pub frames: usize,
    /// Centres of its lowest and of its highest band in Hz.
    pub range_hz: (f64, f64),
    /// Peaks of the query.
    pub query_peaks: Vec<PeakAt>,
    /// Peaks of the track, where and how high they would be in the query.
    pub track_peaks: Vec<PeakAt>,
    /// Landmarks that both have, wherever they lie in the track.
    pub landmarks: Vec<SharedLandmark>,
}

fn hz(band: f32) -> f64 {
    LOW_HZ * (f64::from(band) / PER_OCTAVE).exp2()
}

/// Lays a track over the query it was found in.
pub(in super::super) fn explain(sketch: &Sketch, track: &Constellation, found: &Match) -> Explanation {
    let (rate, pitch) = (found.tempo_factor as f32, (found.pitch_factor.log2() * PER_OCTAVE) as f32);
    let start = ((found.track_start_s - found.query_start_s * found.tempo_factor) / FRAME_S) as f32;
    let seconds = |frame: f32| f64::from(frame) * FRAME_S;
    let peak_band = |p: &Peak| f32::from(p.band) + f32::from(p.fraction) / 128.0;
    let peaks: Vec<&Peak> = sketch.peaks.iter().filter(|p| p.rank < RANK).collect();
    let in_query = |s: &Star| ((s.frame as f32 - start) / rate, f32::from(s.band) + pitch);
    let length = sketch.frames.len() as f32;
    let track_peaks = track.stars().iter().map(in_query).filter(|p| (0.0..length).contains(&p.0));
    let track_peaks = track_peaks.map(|(t, band)| (seconds(t), hz(band))).collect();

    // The pairs of the track: anchor, frames and bands to the target.
    let pairs = pairs_of(track.stars(), |s| (s.frame, f32::from(s.band)), usize::MAX);
    let mut by_gap: Vec<Vec<(u32, f32, f32)>> = vec![Vec::new(); MAX_GAP as usize * 2];
    for (anchor, gap, step) in pairs {
        by_gap[gap as usize].push((track.stars()[anchor].frame, f32::from(track.stars()[anchor].band), step));
    }
    let mut landmarks = Vec::new();
    for (anchor, gap, step) in pairs_of(&peaks, |p| (p.frame, peak_band(p)), FAN) {
        let (p, expected) = (peaks[anchor], gap as f32 * rate);
        let low = (expected - FRAMES_OFF).ceil().max(0.0) as usize;
        let high = ((expected + FRAMES_OFF).floor() as usize).min(by_gap.len() - 1);
        for list in &by_gap[low..=high] {
            for &(frame, band, other) in list {
                if (other - step).abs() > BANDS_OFF || (band + pitch - peak_band(p)).abs() > BANDS_OFF {
                    continue;
                }
                let offset = seconds(frame as f32 - p.frame as f32 * rate);
                landmarks.push(SharedLandmark {
                    anchor: (seconds(p.frame as f32), hz(peak_band(p))),
                    target: (seconds((p.frame + gap) as f32), hz(peak_band(p) + step)),
                    offset_s: offset,
                    agrees: (offset - seconds(start)).abs() <= AGREES_S,
                });
            }
        }
    }
    let gray = |level: i16| (f32::from(level) / 3.0).clamp(0.0, 255.0) as u8;
    Explanation {
        found: found.clone(),
        seconds: sketch.seconds(),
        spectrogram: sketch.frames.iter().flat_map(|f| f.iter().map(|&x| gray(x))).collect(),
        frames: sketch.frames.len(),
        range_hz: (hz(0.0), hz((BANDS - 1) as f32)),
        query_peaks: peaks.iter().map(|p| (seconds(p.frame as f32), hz(peak_band(p)))).collect(),
        track_peaks,
        landmarks,
    }
}

/// Anchor, gap in frames, step in bands of each pair within reach, for each anchor the nearest `fan`.
fn pairs_of<T>(peaks: &[T], place: impl Fn(&T) -> (u32, f32), fan: usize) -> Vec<(usize, u32, f32)> {
    let mut out = Vec::new();
    for (i, anchor) in peaks.iter().enumerate() {
        let (frame, band) = place(anchor);
        let near = peaks[i + 1..].iter().map(&place).take_while(|p| p.0 - frame <= MAX_GAP);
        let near = near.map(|p| (p.0 - frame, p.1 - band));
        let near = near.filter(|&(gap, step)| gap >= MIN_GAP && step.abs() <= MAX_STEP as f32);
        out.extend(near.take(fan).map(|(gap, step)| (i, gap, step)));
    }
    out
}
