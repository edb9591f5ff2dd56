//! What every store of postings must do, as one test that anybody's store can run.

use std::sync::Arc;

use super::log::Change;
use super::store::PostingStore;
use super::track::IndexTrack;
use crate::error::{Error, Result};
use crate::fingerprint::landmark::pairs::KEY_BITS;
use crate::fingerprint::{Chromaprint, ChromaprintPreset, Constellation, Posting, Postings, Star};
use crate::testing::Xorshift;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Store(format!("the store breaks its contract: {}", what()))) }
}

/// A track of peaks drawn at random.
pub(super) fn random_track(id: &str, seed: u64, frames: u32) -> IndexTrack {
    let mut rng = Xorshift::new(seed * 7_919 + 1);
    let mut stars = Vec::new();
    for frame in 0..frames {
        if rng.next_u64() % 5 < 2 {
            let (band, rank) = ((rng.next_u64() % 180) as u8, (rng.next_u64() % 16) as u8);
            stars.push(Star { frame, band, rank });
        }
    }
    let words = (0..frames / 6).map(|_| rng.next_u64() as u32).collect();
    IndexTrack {
        id: id.to_owned(),
        seconds: f64::from(frames) * crate::fingerprint::landmark::FRAME_S,
        note: format!("note {seed}"),
        pcm: (seed % 2 == 0).then_some(u128::from(seed) << 64 | 5),
        chromaprint: Chromaprint::from_words(ChromaprintPreset::Test2, words).expect("few enough"),
        landmarks: Constellation::from_stars(stars, frames),
    }
}

/// Whether the store holds these tracks and no others, by every way of asking.
pub(super) fn holds(store: &dyn PostingStore, expected: &[&IndexTrack]) -> Result<()> {
    let segments = store.segments();
    let living: usize = segments.iter().map(|s| s.living() as usize).sum();
    ensure(living == expected.len(), || format!("{living} tracks, expected {}", expected.len()))?;
    for &track in expected {
        let (at, number) = store
            .find(&track.id)?
            .ok_or_else(|| Error::Store(format!("the store breaks its contract: \"{}\" is not found", track.id)))?;
        let segment = &segments[at];
        let found = segment.track(number)?;
        ensure(found.as_ref() == Some(track), || format!("\"{}\" came back as something else", track.id))?;
        ensure(segment.id(number)? == track.id, || "another name".to_owned())?;
    }
    segments.iter().try_for_each(|s| consistent(&**s))
}

/// Whether the postings of a segment are the pairs of its tracks, at their places.
fn consistent(segment: &dyn Postings) -> Result<()> {
    let mut all = Vec::new();
    segment.read(0..1 << KEY_BITS, &mut all)?;
    ensure(all.is_sorted(), || "postings are not sorted".to_owned())?;
    let mut some = Vec::new();
    for keys in [0..0, 5..5, 0..1 << (KEY_BITS - 1), (1 << (KEY_BITS - 1))..1 << KEY_BITS] {
        segment.read(keys, &mut some)?;
    }
    ensure(some == all, || "two halves of the keys are not the whole".to_owned())?;
    let mut of_track: std::collections::HashMap<u32, Vec<Posting>> = std::collections::HashMap::new();
    for p in &all {
        if let Some(at) = segment.track_at(i64::from(p.frame)) {
            of_track.entry(at.track).or_default().push(Posting { frame: p.frame - at.start, ..*p });
        }
    }
    let mut heaviest = None;
    for number in 0..segment.tracks() {
        let Some(track) = segment.track(number)? else {
            ensure(!of_track.contains_key(&number), || "a removed track is still found".to_owned())?;
            continue;
        };
        let mut expected = track.landmarks.pairs();
        // Places may be rounded, down and by less than eight frames.
        let found = of_track.remove(&number).unwrap_or_default();
        ensure(found.len() == expected.len(), || {
            format!("\"{}\" has {} pairs, found {}", track.id, expected.len(), found.len())
        })?;
        expected.sort_unstable();
        let near =
            found.iter().zip(&expected).all(|(f, e)| f.key == e.key && f.frame <= e.frame && e.frame - f.frame < 8);
        ensure(near, || format!("the pairs of \"{}\" lie elsewhere", track.id))?;
        heaviest = heaviest.max(expected.first().map(|p| p.key));
        let stars = track.landmarks.stars();
        let frames = track.landmarks.frames();
        for range in [0..frames, frames / 3..frames / 2, frames..u32::MAX] {
            let mut some = Vec::new();
            segment.stars(number, range.clone(), &mut some)?;
            let expected: Vec<Star> = stars.iter().filter(|s| range.contains(&s.frame)).copied().collect();
            ensure(some == expected, || format!("peaks of \"{}\" within {range:?}", track.id))?;
        }
    }
    ensure(heaviest.is_none() || segment.weight(0..1 << KEY_BITS) > 0, || "no weight".to_owned())
}

/// Runs the contract. `open` is called three times: the first store must be empty, the second and third time it must open the same one
/// again (a store that ends with the process hands out the same one).
///
/// # Errors
/// `SF_STORE` that says what was broken, or the store's own error.
pub fn posting_store_contract(open: &mut dyn FnMut() -> Result<Box<dyn PostingStore>>) -> Result<()> {
    let tracks: Vec<IndexTrack> =
        (0..40).map(|i| random_track(&format!("track ☃ {i}"), i, 40 + 97 * (i as u32 % 9))).collect();
    let empty = random_track("nothing to hear", 3, 0);
    let insert = |t: &IndexTrack| Change::Insert(t.clone());
    let mut store = open()?;
    holds(&*store, &[])?;
    store.apply(vec![])?;
    for track in &tracks[..20] {
        store.apply(vec![insert(track)])?;
    }
    holds(&*store, &tracks[..20].iter().collect::<Vec<_>>())?;

    // A view stays as it is.
    let before: Vec<Arc<dyn Postings>> = store.segments();
    store.apply(tracks[20..].iter().chain([&empty]).map(insert).collect())?;
    let mut left: Vec<&IndexTrack> = tracks.iter().chain([&empty]).collect();
    holds(&*store, &left)?;
    ensure(before.iter().map(|s| s.living()).sum::<u32>() == 20, || "a snapshot has changed".to_owned())?;

    // What cannot be done changes nothing.
    let gone = Change::Remove("nobody".to_owned());
    for wrong in [
        vec![insert(&tracks[3])],
        vec![gone.clone()],
        vec![Change::Remove(tracks[1].id.clone()), gone],
        vec![insert(&random_track("new", 1, 50)), insert(&tracks[30])],
        vec![insert(&random_track("", 1, 50))],
    ] {
        let error = store.apply(wrong).err();
        let code = error.as_ref().map(Error::code);
        ensure(code == Some("SF_INVALID_ARGUMENT"), || format!("a wrong change gave {error:?}"))?;
        holds(&*store, &left)?;
    }

    // Out, in again as another, and both in one batch.
    store.apply(vec![Change::Remove(tracks[5].id.clone())])?;
    let other = random_track(&tracks[6].id, 99, 300);
    let passing = random_track("passing", 98, 120);
    store.apply(vec![
        insert(&passing),
        Change::Remove(tracks[6].id.clone()),
        insert(&other),
        Change::Remove("passing".to_owned()),
    ])?;
    left.retain(|t| t.id != tracks[5].id && t.id != tracks[6].id);
    left.push(&other);
    holds(&*store, &left)?;
    drop(store);

    let mut store = open()?;
    holds(&*store, &left)?;
    store.flush()?;
    holds(&*store, &left)?;
    for track in &tracks[7..30] {
        store.apply(vec![Change::Remove(track.id.clone())])?;
    }
    left.retain(|t| !tracks[7..30].contains(t));
    holds(&*store, &left)?;
    store.flush()?;
    drop(store);
    let store = open()?;
    holds(&*store, &left)?;
    ensure(before.iter().map(|s| s.living()).sum::<u32>() == 20, || "a snapshot has changed".to_owned())?;
    before.iter().try_for_each(|s| consistent(&**s))
}
