//! The loop: column after column of codes, for one song or several.
//!
//! The songs of a batch share the passes through the weights and nothing else: each has its own positions, random numbers
//! and window, so that it comes out as it would alone.
//!
//! A song longer than the model's window goes on in a new one that begins with the last two fifths of the old (audiocraft's
//! "extend" keeps as much).

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::decoder::{Cache, Prompts};
use super::model::{Conditioning, Model};
use crate::error::{Error, Result};
use crate::generate::Request;
use crate::generate::sampling::{Sampling, guide};

/// Positions that are read in one go before the first new one; between them a wish to stop is heard.
const PREFILL: usize = 16;

/// Songs being made.
pub(crate) struct Session {
    model: Arc<Model>,
    songs: Vec<Song>,
    /// Which songs still grow; their rows are in the cache.
    rows: Vec<Row>,
    prompts: Option<Prompts>,
    cache: Cache,
    /// Columns made so far and to be made, for the progress.
    made: usize,
    total: usize,
}

/// One sequence in the cache. Rows that look at a prompt come first.
#[derive(Clone, Copy)]
struct Row {
    song: usize,
    /// Without its prompt: the other half of the guidance.
    free: bool,
    /// Where its prompt lies among the prompts.
    prompt: Option<usize>,
}

/// A song and how it is made.
struct Song {
    sampling: Sampling,
    guidance: f32,
    random: ChaCha8Rng,
    /// `[codebook][frame]`, each as far as it is known.
    codes: Vec<Vec<u32>>,
    /// Frames in all.
    frames: usize,
    prefix: Option<(Vec<f32>, Vec<f32>)>,
    /// First frame of the window.
    window: usize,
    /// Last position of the window whose column is known.
    position: usize,
    /// Positions that are in the cache, those of the prefix among them.
    cached: usize,
    /// Positions of the prefix.
    before: usize,
}

impl Session {
    /// Begins these songs. `known` holds the codes each goes on from.
    /// `check` is called now and then while the prompts are read, and may end it with an error.
    pub fn new(
        model: Arc<Model>,
        requests: &[Request],
        known: Vec<Vec<Vec<u32>>>,
        check: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Self> {
        let conditionings = model.condition(requests, check)?;
        Self::with_conditionings(model, requests, known, conditionings)
    }

    pub fn with_conditionings(
        model: Arc<Model>,
        requests: &[Request],
        known: Vec<Vec<Vec<u32>>>,
        mut conditionings: Vec<Conditioning>,
    ) -> Result<Self> {
        let prompts = model.prompts(&conditionings)?;
        let hidden = model.decoder.config().hidden_size;
        let window = model.window();
        let (mut asking, mut others) = (Vec::new(), Vec::new());
        let (mut songs, mut capacity, mut total, mut prompt) = (Vec::new(), 0, 0, 0);
        for (song, (request, codes)) in requests.iter().zip(known).enumerate() {
            let heard = &mut conditionings[song];
            let (sampling, guidance) = settings(&model, request)?;
            let before = codes[0].len();
            let size = model.decoder.config().vocab_size;
            if let Some(code) = codes.iter().flatten().find(|&&code| code as usize >= size) {
                return Err(Error::invalid(format!(
                    "the codes to go on from hold {code}; this checkpoint's decoder speaks {size}; expected 0 to {}",
                    size - 1
                )));
            }
            let frames = before + new_frames(&model, request);
            let prefix = heard.prefix.take();
            let conditioned = heard.states.is_some() || prefix.is_some();
            let guided = guidance > 1.0 && conditioned;
            if heard.states.is_some() {
                asking.push(Row { song, free: false, prompt: Some(prompt) });
                prompt += 1;
            } else {
                others.push(Row { song, free: false, prompt: None });
            }
            if guided {
                others.push(Row { song, free: true, prompt: None });
            }
            let last = model.pattern.last_position(frames);
            let first = prefix.as_ref().map_or(0, |(with, _)| with.len() / hidden);
            capacity = capacity.max(first + last.min(window));
            total += last - before;
            songs.push(Song {
                sampling,
                guidance: if guided { guidance } else { 1.0 },
                random: ChaCha8Rng::seed_from_u64(request.seed),
                position: before,
                codes,
                frames,
                prefix,
                window: 0,
                cached: 0,
                before: first,
            });
        }
        asking.extend(others);
        let rows = asking;
        let cache = model.decoder.cache(rows.len(), capacity)?;
        let mut session = Self { model, songs, rows, prompts, cache, made: 0, total };
        // What a song goes on from may be longer than a window.
        (0..session.songs.len()).for_each(|song| session.slide(song));
        Ok(session)
    }

    /// Codes of a song so far, `[codebooks][frames]`, as far as all codebooks have them.
    pub fn codes(&self, song: usize) -> Vec<Vec<u32>> {
        let complete = self.complete(song);
        self.songs[song].codes.iter().map(|book| book[..complete].to_vec()).collect()
    }

    /// Frames of a song that all codebooks have said.
    pub fn complete(&self, song: usize) -> usize {
        self.songs[song].codes.iter().map(Vec::len).min().unwrap_or(0)
    }

    /// The complete frames from `from` on.
    pub fn codes_from(&self, song: usize, from: usize) -> Vec<Vec<u32>> {
        let complete = self.complete(song);
        self.songs[song].codes.iter().map(|book| book[from..complete].to_vec()).collect()
    }

    /// Share of the columns that are made.
    pub fn fraction(&self) -> f64 {
        if self.total == 0 { 1.0 } else { (self.made as f64 / self.total as f64).min(1.0) }
    }

    /// Whether every song is whole.
    pub fn finished(&self) -> bool {
        self.rows.is_empty()
    }

    /// One pass through the decoder: reads a piece of a song's past if any song has one unread, else makes the next column
    /// of every song.
    pub fn step(&mut self) -> Result<()> {
        self.scores(&mut |_, _, _| ())
    }

    /// The same; `seen` is shown the song, codebook and guided scores that each token is drawn from.
    pub fn scores(&mut self, seen: &mut dyn FnMut(usize, usize, &[f32])) -> Result<()> {
        self.model.compute.pool.check()?;
        let unread = (0..self.songs.len())
            .find(|&s| self.rows.iter().any(|r| r.song == s) && self.songs[s].cached < self.songs[s].next());
        match unread {
            Some(song) => self.read(song),
            None if self.rows.is_empty() => Ok(()),
            None => self.speak(seen),
        }
    }

    /// Reads up to [`PREFILL`] positions of a song's past, all but the last: that one is read when the next is made.
    fn read(&mut self, song: usize) -> Result<()> {
        let rows: Vec<usize> = (0..self.rows.len()).filter(|&r| self.rows[r].song == song).collect();
        let to = self.songs[song].next().min(self.songs[song].cached + PREFILL);
        let mut x = Vec::new();
        for &row in &rows {
            x.extend(self.embedded(self.rows[row], self.songs[song].cached, to));
        }
        self.forward(&rows, x)?;
        self.songs[song].cached = to;
        Ok(())
    }

    /// Makes the next column of every song.
    fn speak(&mut self, seen: &mut dyn FnMut(usize, usize, &[f32])) -> Result<()> {
        let rows: Vec<usize> = (0..self.rows.len()).collect();
        let mut x = Vec::new();
        for &row in &rows {
            let at = self.songs[self.rows[row].song].next();
            x.extend(self.embedded(self.rows[row], at, at + 1));
        }
        let logits = self.forward(&rows, x)?;
        let config = self.model.decoder.config();
        let (books, size) = (config.codebooks, config.vocab_size);
        let line = books * size;
        for (i, &row) in rows.iter().enumerate() {
            let Row { song: index, free: false, .. } = self.rows[row] else { continue };
            let mut scores = logits[i * line..][..line].to_vec();
            let other = rows.iter().position(|&r| self.rows[r].song == index && self.rows[r].free);
            if let Some(other) = other {
                guide(&mut scores, &logits[other * line..][..line], self.songs[index].guidance);
            }
            if let Some(bad) = scores.iter().position(|s| !s.is_finite()) {
                return Err(Error::Model(format!(
                    "the score of entry {} in codebook {} is {} at position {}; the weights are damaged or overflow at this \
                     precision ({})",
                    bad % size,
                    bad / size,
                    scores[bad],
                    self.songs[index].position + 1,
                    self.model.precision
                )));
            }
            let song = &mut self.songs[index];
            song.position += 1;
            song.cached += 1;
            for (k, book) in song.codes.iter_mut().enumerate() {
                let Some(frame) = self.model.pattern.frame(k, song.position) else { continue };
                let frame = frame + song.window;
                if frame == book.len() && frame < song.frames {
                    let scores = &scores[k * size..][..size];
                    seen(index, k, scores);
                    let uniform = (song.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
                    book.push(song.sampling.draw(scores, uniform));
                }
            }
            self.made += 1;
        }
        for song in 0..self.songs.len() {
            if self.complete(song) < self.songs[song].frames {
                self.slide(song);
            }
        }
        self.drop_finished()
    }

    /// Logits of what is known of the one song, `[codebook][frame][entry]`, each from what comes before it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when it is longer than a window.
    pub fn score(&mut self, check: &mut dyn FnMut() -> Result<()>) -> Result<Vec<f32>> {
        let config = self.model.decoder.config();
        let (books, size) = (config.codebooks, config.vocab_size);
        let song = &self.songs[0];
        let (frames, before) = (song.codes[0].len(), song.before);
        if song.window > 0 {
            return Err(Error::invalid(format!(
                "{frames} frames were given to be scored; expected no more than fit one window of {} positions",
                self.model.window()
            )));
        }
        let rows: Vec<usize> = (0..self.rows.len()).collect();
        let to = before + self.model.pattern.last_position(frames);
        let mut out = vec![0.0; books * frames * size];
        for from in (0..to).step_by(PREFILL) {
            check()?;
            let until = to.min(from + PREFILL);
            let mut x = Vec::new();
            for &row in &rows {
                x.extend(self.embedded(self.rows[row], from, until));
            }
            let logits = self.run(&rows, x, false)?;
            let (free, guidance) = (rows.len() > 1, self.songs[0].guidance);
            for (step, position) in (from..until).enumerate().filter(|&(_, p)| p >= before) {
                for k in 0..books {
                    let Some(frame) = self.model.pattern.frame(k, position - before + 1).filter(|&f| f < frames) else {
                        continue;
                    };
                    let of_row = |row: usize| &logits[((row * (until - from) + step) * books + k) * size..][..size];
                    let place = &mut out[(k * frames + frame) * size..][..size];
                    place.copy_from_slice(of_row(0));
                    if free {
                        guide(place, of_row(1), guidance);
                    }
                }
            }
        }
        Ok(out)
    }

    /// Runs embedded positions through the decoder; logits of the last position of each row.
    fn forward(&mut self, rows: &[usize], x: Vec<f32>) -> Result<Vec<f32>> {
        self.run(rows, x, true)
    }

    fn run(&mut self, rows: &[usize], x: Vec<f32>, only_last: bool) -> Result<Vec<f32>> {
        let model = self.model.clone();
        let which: Vec<usize> = rows.iter().filter_map(|&r| self.rows[r].prompt).collect();
        let prompts = self.prompts.as_ref().map(|p| (p, which.as_slice()));
        let cache = &mut self.cache;
        model.compute.pool.enter(|| {
            let x = model.tensor(x, rows.len())?;
            let states = model.decoder.forward(x, rows, cache, prompts)?;
            model.decoder.logits(&if only_last { Model::last(&states)? } else { states })
        })
    }

    /// Positions `from..to` of a row, embedded: its prefix, then the columns of its window.
    fn embedded(&self, row: Row, from: usize, to: usize) -> Vec<f32> {
        let song = &self.songs[row.song];
        let decoder = &self.model.decoder;
        let config = decoder.config();
        let h = config.hidden_size;
        let mut x = vec![0.0; (to - from) * h];
        for (position, x) in (from..to).zip(x.chunks_exact_mut(h)) {
            match (&song.prefix, position.checked_sub(song.before)) {
                (Some((with, without)), None) => {
                    x.copy_from_slice(&(if row.free { without } else { with })[position * h..][..h]);
                    decoder.add_position(position, x);
                }
                (_, column) => {
                    let column = column.unwrap_or(position);
                    let known = |k: usize| {
                        let frame = self.model.pattern.frame(k, column)? + song.window;
                        song.codes[k].get(frame).copied()
                    };
                    let codes: Vec<u32> =
                        (0..config.codebooks).map(|k| known(k).unwrap_or(config.start_token_id)).collect();
                    decoder.embed(&codes, position, x);
                }
            }
        }
        x
    }

    /// Moves a song's window on when its next position would lie outside.
    fn slide(&mut self, song: usize) {
        let window = self.model.window();
        if self.songs[song].position + 1 < window.max(2) {
            return;
        }
        for row in (0..self.rows.len()).filter(|&r| self.rows[r].song == song) {
            self.cache.clear(row);
        }
        let longest = self.model.pattern.longest_delay();
        let kept = (window * 2 / 5).max(1);
        let song = &mut self.songs[song];
        let move_by = (song.position - longest.min(song.position)).saturating_sub(kept).max(1);
        song.window += move_by;
        song.position -= move_by;
        song.cached = 0;
    }

    /// Takes the rows of whole songs out of the cache.
    fn drop_finished(&mut self) -> Result<()> {
        let kept: Vec<usize> = (0..self.rows.len())
            .filter(|&r| self.complete(self.rows[r].song) < self.songs[self.rows[r].song].frames)
            .collect();
        if kept.len() < self.rows.len() {
            self.cache.keep(&kept)?;
            self.rows = kept.iter().map(|&r| self.rows[r]).collect();
        }
        Ok(())
    }
}

impl Song {
    /// The position that is read to make the next column.
    fn next(&self) -> usize {
        self.before + self.position
    }
}

/// Frames a request asks for.
fn new_frames(model: &Model, request: &Request) -> usize {
    let rate = f64::from(model.codec.sample_rate()) / model.codec.hop() as f64;
    // A hair less, so that 0.1 s at 50 frames per second are 5 frames and not 6.
    ((request.seconds * rate - 1e-6).ceil() as usize).max(1)
}

/// The request's settings over the checkpoint's.
fn settings(model: &Model, request: &Request) -> Result<(Sampling, f32)> {
    let defaults = &model.checkpoint.config().generation;
    let size = model.decoder.config().vocab_size;
    let greedy = if defaults.do_sample { defaults.temperature } else { 0.0 };
    let sampling = Sampling {
        temperature: request.temperature.unwrap_or(greedy),
        top_k: request.top_k.unwrap_or(defaults.top_k.min(size)),
        top_p: request.top_p.unwrap_or(defaults.top_p),
    };
    sampling.validate(size)?;
    Ok((sampling, request.guidance_scale.unwrap_or(defaults.guidance_scale)))
}
