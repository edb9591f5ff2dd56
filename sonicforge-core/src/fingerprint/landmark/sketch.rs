//! What a query is asked with: all peaks of the sound, and its whole whitened spectrogram.

use super::constellation::Star;
use super::peaks::{Peak, Peaks};
use super::spectrogram::{Levels, Spectrogram};
use super::whitening::Whitening;
use super::{BANDS, FRAME_S};
use crate::audio::AudioBuffer;
use crate::error::Result;
use crate::fingerprint::front::Front;

/// Peaks from this rank on are not looked up: about sixty a second.
const RANK: u16 = 60;

/// A sound to be looked for. Takes 38 kB a second, so it is made of excerpts rather than of hours.
#[derive(Debug, Clone, Default)]
pub struct Sketch {
    pub(super) frames: Vec<Levels>,
    pub(super) peaks: Vec<Peak>,
    /// At 11 025 Hz; none of what is only known by its peaks.
    pub(super) samples: Vec<i16>,
}

impl Sketch {
    /// Of a whole sound, at any rate and of any number of channels.
    pub fn of(audio: &AudioBuffer) -> Result<Self> {
        let mut samples = Vec::new();
        let mut front = Front::new(audio.sample_rate(), audio.channels())?;
        let channels: Vec<&[f32]> = (0..audio.channels()).map(|c| audio.channel(c)).collect();
        front.push_channels(&channels, &mut |heard| samples.extend_from_slice(heard))?;
        let mut rest = Vec::new();
        front.finish(&mut |heard| samples.extend_from_slice(heard), &mut |heard| rest.extend_from_slice(heard));
        samples.extend_from_slice(&rest);
        Ok(Self::of_samples(samples))
    }

    /// Of samples at 11 025 Hz.
    fn of_samples(samples: Vec<i16>) -> Self {
        let (mut spectrogram, mut whitening, mut peaks) = (Spectrogram::new(), Whitening::default(), Peaks::default());
        let mut out = Self::default();
        let keep = |list: &mut Vec<Peak>, peak: &Peak| {
            if peak.rank < RANK {
                list.push(*peak);
            }
        };
        let Self { frames, peaks: found, .. } = &mut out;
        let mut hear = |levels: &Levels| {
            whitening.push(levels, |white| {
                frames.push(*white);
                peaks.push(white, |peak| keep(found, peak));
            });
        };
        spectrogram.push(&samples, &mut hear);
        spectrogram.finish(&mut hear);
        whitening.finish(|white| {
            frames.push(*white);
            peaks.push(white, |peak| keep(found, peak));
        });
        peaks.finish(|peak| keep(found, peak));
        out.samples = samples;
        out
    }

    /// Of `frames` frames of a constellation, from `from` on: its peaks for the spectrogram, the stronger the higher. What a sound
    /// is compared with that is itself only known by its peaks.
    pub(in super::super) fn of_stars(stars: &[Star], from: u32, frames: u32) -> Self {
        let mut levels = vec![[0i16; BANDS]; frames as usize];
        let mut peaks = Vec::new();
        for s in stars.iter().filter(|s| (from..from.saturating_add(frames)).contains(&s.frame)) {
            let frame = s.frame - from;
            let height = 900 - 30 * i16::from(s.rank);
            let row = &mut levels[frame as usize];
            row[usize::from(s.band)] = height;
            for near in [s.band.wrapping_sub(1), s.band + 1] {
                if let Some(level) = row.get_mut(usize::from(near)) {
                    *level = (*level).max(height - 300);
                }
            }
            peaks.push(Peak { frame, band: s.band, fraction: 0, height, rank: u16::from(s.rank) });
        }
        Self { frames: levels, peaks, samples: Vec::new() }
    }

    /// Length in seconds, without the half windows at both ends.
    pub fn seconds(&self) -> f64 {
        self.frames.len() as f64 * FRAME_S
    }
}
