//! Parametric equalizer: a cascade of second-order sections.
//!
//! R. Bristow-Johnson's cookbook sections (see `dsp::biquad`). Gains, frequencies and qualities glide along straight lines of
//! dB, log-frequency and log-quality, the coefficients being renewed every four frames on the way; other bands or other kinds are
//! faded to over 20 ms.

use serde::{Deserialize, Serialize};

use crate::dsp::QUANTUM;
use crate::dsp::biquad::{Coefficients, Shape, State};
use crate::dsp::glide::Glide;
use crate::error::{Error, Result, in_range};
use crate::master::processor::Spec;
use crate::master::stage::{Clock, Quantum, Share, Stage, Wet};

/// Frames between new coefficients while a section moves.
const MOVE: usize = 4;
/// The most bands of one equalizer.
pub const MAX_EQUALIZER_BANDS: usize = 32;

/// What a band does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BandKind {
    /// Gain around the frequency.
    #[default]
    Peak,
    /// Gain below the frequency.
    LowShelf,
    /// Gain above the frequency.
    HighShelf,
    /// Takes away what is below, 12 dB/oct; the gain is not used.
    HighPass,
    /// Takes away what is above, 12 dB/oct; the gain is not used.
    LowPass,
    /// Takes the frequency out; the gain is not used.
    Notch,
}

/// One band.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EqualizerBand {
    /// What it does.
    pub kind: BandKind,
    /// Centre or corner, 10 to 192 000 Hz (moved below Nyquist at low rates).
    pub frequency_hz: f64,
    /// −30 to +30 dB; 0 is neutral for peaks and shelves.
    pub gain_db: f64,
    /// Quality, 0.1 to 40; 0.707 is Butterworth for cuts and shelves.
    pub q: f64,
}

impl Default for EqualizerBand {
    fn default() -> Self {
        Self { kind: BandKind::Peak, frequency_hz: 1_000.0, gain_db: 0.0, q: 0.707 }
    }
}

/// Settings of [`Equalizer`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EqualizerParams {
    /// Up to 32 bands, in series. None is neutral.
    pub bands: Vec<EqualizerBand>,
}

impl EqualizerParams {
    /// Errors when a value is out of its range, naming the band.
    pub fn validate(&self) -> Result<()> {
        if self.bands.len() > MAX_EQUALIZER_BANDS {
            return Err(Error::invalid(format!(
                "an equalizer has at most {MAX_EQUALIZER_BANDS} bands; {} came",
                self.bands.len()
            )));
        }
        for (i, b) in self.bands.iter().enumerate() {
            in_range(&format!("bands[{i}].frequency_hz"), b.frequency_hz, 10.0, 192_000.0)?;
            in_range(&format!("bands[{i}].gain_db"), b.gain_db, -30.0, 30.0)?;
            in_range(&format!("bands[{i}].q"), b.q, 0.1, 40.0)?;
        }
        Ok(())
    }

    /// `|H|` of the whole cascade in dB at `frequency_hz`.
    pub fn magnitude_db(&self, sample_rate: u32, frequency_hz: f64) -> f64 {
        let fs = f64::from(sample_rate);
        self.bands
            .iter()
            .map(|b| design(b.kind, fs, b.frequency_hz, b.gain_db, b.q).magnitude_db(fs, frequency_hz))
            .sum()
    }
}

fn design(kind: BandKind, fs: f64, frequency_hz: f64, gain_db: f64, q: f64) -> Coefficients {
    let shape = match kind {
        BandKind::Peak => Shape::Peak(gain_db),
        BandKind::LowShelf => Shape::LowShelf(gain_db),
        BandKind::HighShelf => Shape::HighShelf(gain_db),
        BandKind::HighPass => Shape::HighPass,
        BandKind::LowPass => Shape::LowPass,
        BandKind::Notch => Shape::Notch,
    };
    Coefficients::design(shape, fs, frequency_hz, q)
}

#[derive(Debug, Clone)]
struct Section {
    kind: BandKind,
    log_frequency: Glide,
    gain_db: Glide,
    log_q: Glide,
    coefficients: Coefficients,
    state: State<2>,
    /// At rest at 0 dB with nothing ringing: not run at all.
    asleep: bool,
}

impl Section {
    fn new(band: &EqualizerBand, fs: f64) -> Self {
        let mut s = Self {
            kind: band.kind,
            log_frequency: Glide::new(band.frequency_hz.ln(), fs),
            gain_db: Glide::new(band.gain_db, fs),
            log_q: Glide::new(band.q.ln(), fs),
            coefficients: Coefficients::IDENTITY,
            state: State::default(),
            asleep: false,
        };
        s.design(fs, QUANTUM - 1);
        s.asleep = s.is_flat();
        s
    }

    /// The coefficients that hold at the end of frame `i` of the quantum.
    fn design(&mut self, fs: f64, i: usize) {
        let (f, gain_db, q) = (self.log_frequency.at(i).exp(), self.gain_db.at(i), self.log_q.at(i).exp());
        self.coefficients = design(self.kind, fs, f, gain_db, q);
    }

    fn moves(&self) -> bool {
        !(self.log_frequency.is_settled() && self.gain_db.is_settled() && self.log_q.is_settled())
    }

    fn is_flat(&self) -> bool {
        matches!(self.kind, BandKind::Peak | BandKind::LowShelf | BandKind::HighShelf)
            && self.gain_db.is_settled()
            && self.gain_db.value() == 0.0
    }

    fn edge(&mut self, fs: f64) {
        let moved = self.moves();
        self.log_frequency.advance();
        self.gain_db.advance();
        self.log_q.advance();
        if self.moves() {
            self.asleep = false;
        } else if moved {
            self.design(fs, QUANTUM - 1);
        } else if !self.asleep && self.is_flat() && self.state.is_quiet() {
            self.state = State::default();
            self.asleep = true;
        }
        self.state.flush();
    }
}

/// Peaks, shelves and cuts in series. Up to 32 bands; no latency.
#[derive(Debug, Clone)]
pub struct Equalizer {
    params: EqualizerParams,
    sections: Vec<Section>,
    /// What sounded before other bands were set, while it is faded out.
    old: Vec<Section>,
    fade: Wet,
    sample_rate: f64,
    clock: Clock,
}

impl Equalizer {
    /// Errors when a setting is out of range.
    pub fn new(params: EqualizerParams) -> Result<Self> {
        params.validate()?;
        let sample_rate = 48_000.0;
        let sections = params.bands.iter().map(|b| Section::new(b, sample_rate)).collect();
        let fade = Wet::new(true, sample_rate);
        Ok(Self { params, sections, old: Vec::new(), fade, sample_rate, clock: Clock::default() })
    }

    /// The settings.
    pub fn params(&self) -> &EqualizerParams {
        &self.params
    }

    /// Glides to other settings; when the kinds or the number of bands differ, fades to them.
    pub fn set_params(&mut self, params: EqualizerParams) -> Result<()> {
        params.validate()?;
        let same = params.bands.len() == self.sections.len()
            && params.bands.iter().zip(&self.sections).all(|(b, s)| b.kind == s.kind);
        if same {
            for (b, s) in params.bands.iter().zip(&mut self.sections) {
                s.log_frequency.set(b.frequency_hz.ln());
                s.gain_db.set(b.gain_db);
                s.log_q.set(b.q.ln());
            }
        } else {
            let fresh = params.bands.iter().map(|b| Section::new(b, self.sample_rate)).collect();
            self.old = std::mem::replace(&mut self.sections, fresh);
            self.fade = Wet::new(false, self.sample_rate);
            self.fade.set(true);
        }
        self.params = params;
        Ok(())
    }
}

/// Runs the cascade over frames that begin at frame `at` of the quantum.
fn run(sections: &mut [Section], fs: f64, at: usize, x: &mut [[f64; 2]]) {
    for s in sections.iter_mut().filter(|s| s.moves()) {
        // On the way somewhere: new coefficients every few frames, alone.
        let mut state = s.state;
        for (i, x) in x.iter_mut().enumerate() {
            if (at + i) % MOVE == 0 || i == 0 {
                s.design(fs, (at + i) / MOVE * MOVE + MOVE - 1);
            }
            *x = state.step(&s.coefficients, *x);
        }
        s.state = state;
    }
    run_settled(sections, x);
}

/// Two sections at a time, so that their recurrences overlap.
fn run_settled(sections: &mut [Section], x: &mut [[f64; 2]]) {
    let mut awake = sections.iter_mut().filter(|s| !s.asleep && !s.moves());
    while let Some(a) = awake.next() {
        match awake.next() {
            Some(b) => {
                let (ca, cb) = (a.coefficients, b.coefficients);
                let (mut sa, mut sb) = (a.state, b.state);
                for x in x.iter_mut() {
                    *x = sb.step(&cb, sa.step(&ca, *x));
                }
                (a.state, b.state) = (sa, sb);
            }
            None => {
                let (c, mut s) = (a.coefficients, a.state);
                for x in x.iter_mut() {
                    *x = s.step(&c, *x);
                }
                a.state = s;
            }
        }
    }
}

impl Stage for Equalizer {
    fn prepare_stage(&mut self, spec: Spec) -> Result<()> {
        self.sample_rate = f64::from(spec.sample_rate);
        self.sections = self.params.bands.iter().map(|b| Section::new(b, self.sample_rate)).collect();
        self.old = Vec::new();
        self.fade = Wet::new(true, self.sample_rate);
        Ok(())
    }

    fn run(&mut self, q: &mut Quantum) {
        if q.is_edge() {
            for s in self.sections.iter_mut().chain(&mut self.old) {
                s.edge(self.sample_rate);
            }
        }
        let (fs, at) = (self.sample_rate, q.at);
        match self.fade.share(q, || {}) {
            Share::All => run(&mut self.sections, fs, at, q.frames()),
            _ => {
                let mut before = q.x;
                run(&mut self.old, fs, at, &mut before[..q.len]);
                run(&mut self.sections, fs, at, q.frames());
                for (i, x) in q.frames().iter_mut().enumerate() {
                    *x = self.fade.blend(at + i, before[i], *x);
                }
            }
        }
    }

    fn reset_stage(&mut self) {
        self.old.clear();
        self.fade.jump();
        for (b, s) in self.params.bands.iter().zip(&mut self.sections) {
            *s = Section::new(b, self.sample_rate);
        }
    }

    fn clock(&mut self) -> &mut Clock {
        &mut self.clock
    }
}
