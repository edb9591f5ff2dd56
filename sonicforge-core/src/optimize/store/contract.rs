//! What every store must do, as one test that anybody's store can run.

use crate::error::{Error, Result};

use super::super::counts::{Count, Key};
use super::super::reward::{Applied, DecisionId, Propensity, Reward};
use super::super::variant::{Status, Variant, VariantId};
use super::Store;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Store(format!("the store breaks its contract: {}", what()))) }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<()> {
    ensure(found == expected, || format!("{what}: found {found:?}, expected {expected:?}"))
}

fn reward(n: u32, variant: u64, value: i64, revision: u64) -> Reward {
    let mut decision = [0; 12];
    decision[..4].copy_from_slice(&n.to_be_bytes());
    let key = Key {
        concept: format!("night 'n' \"day\" {}", n % 3),
        variant: VariantId(variant),
        against: (n % 5 == 4).then_some(VariantId(u64::MAX)),
        metric: "approval".into(),
        epoch: n % 2,
    };
    let context = if n % 7 == 6 { vec![1 << 30, -(1 << 30), 5] } else { Vec::new() };
    Reward { decision: DecisionId(decision), key, value, revision, propensity: Propensity(0.1), context }
}

fn ledger(store: &dyn Store) -> Result<Vec<Reward>> {
    let mut rows = Vec::new();
    store.ledger(&mut |row| {
        rows.push(row);
        Ok(())
    })?;
    Ok(rows)
}

/// Whether all counters are the sums over the ledger.
fn counters_equal_ledger(store: &dyn Store) -> Result<()> {
    let mut sums = std::collections::BTreeMap::<Key, Count>::new();
    ledger(store)?.iter().for_each(|row| sums.entry(row.key.clone()).or_default().add(&row.count()));
    let held = store.counts(0)?.counts.into_iter().filter(|(_, c)| !c.is_zero());
    same("counters against the ledger", held.collect::<Vec<_>>(), sums.into_iter().collect())
}

/// Runs the contract. `open` is called three times: the first store must be empty, the second and third time it must open the
/// same one again (a store that ends with the process hands out the same one).
///
/// # Errors
/// [`Error::Store`] that says what was broken, or the store's own error.
pub fn store_contract(open: &mut dyn FnMut() -> Result<Box<dyn Store>>) -> Result<()> {
    let store = open()?;
    same("an empty store", (store.variants()?, store.counts(0)?.counts), (vec![], vec![]))?;
    same("nothing applied", store.apply(&[])?, vec![])?;

    // Variants: the higher revision holds, whichever comes last.
    let first = Variant::text("rain", "slow piano")?;
    let mut second = Variant { status: Status::Retired, revision: 2, ..first.clone() };
    for variant in [&first, &second, &first] {
        store.put_variant(variant)?;
    }
    same("the variant with the higher revision", store.variants()?, vec![second.clone()])?;
    second = Variant { revision: 3, status: Status::Active, control: true, ..second };
    store.put_variant(&second)?;
    let other = Variant::text("day", "snowman ☃ \"quoted\"")?;
    store.put_variant(&other)?;
    same("variants in order", store.variants()?, vec![other, second])?;

    // Every way a reward can come.
    let one = 1 << 20;
    let cases = [
        (reward(1, 5, one, 0), Applied::New),
        (reward(1, 5, one, 0), Applied::Duplicate),
        (reward(1, 5, 0, 2), Applied::Revised),
        (reward(1, 5, one, 1), Applied::Stale),
        (reward(1, 5, 0, 2), Applied::Duplicate),
        (reward(1, 5, one, 2), Applied::Revised), // equal revisions: the larger value holds …
        (reward(1, 5, 0, 2), Applied::Stale),     // … in any order
        (reward(6, u64::MAX - 1, -(1 << 40), u64::MAX), Applied::New),
        (reward(4, 7, one / 2, 0), Applied::New),
    ];
    for (reward, expected) in &cases {
        same("one reward", store.apply(std::slice::from_ref(reward))?, vec![*expected])?;
        counters_equal_ledger(&*store)?;
    }
    // The same in one call, with a repetition inside of it.
    let batch: Vec<Reward> = (10..60).map(|n| reward(n, u64::from(n % 4) + 1, i64::from(n) * 999, 0)).collect();
    let twice: Vec<Reward> = batch.iter().chain(&batch[..20]).cloned().collect();
    let expected: Vec<Applied> = (0..70).map(|i| if i < 50 { Applied::New } else { Applied::Duplicate }).collect();
    same("a batch", store.apply(&twice)?, expected)?;
    counters_equal_ledger(&*store)?;
    // Another metric of the same decision is another reward.
    let mut rating = reward(1, 5, 3, 0);
    rating.key.metric = "rating".into();
    same("another metric", store.apply(&[rating])?, vec![Applied::New])?;

    // Versions: only what changed.
    let version = store.counts(0)?.version;
    same("nothing since", store.counts(version)?.counts, vec![])?;
    let late = reward(100, 5, one, 0);
    store.apply(std::slice::from_ref(&late))?;
    let since = store.counts(version)?;
    ensure(since.version > version, || "the version does not rise".into())?;
    same("what changed since", since.counts.iter().map(|(k, _)| k).collect::<Vec<_>>(), vec![&late.key])?;

    // The ledger is in order, and stops when asked to.
    let rows = ledger(&*store)?;
    same("rows", rows.len(), 3 + 50 + 1 + 1)?;
    let ordered = |w: &[Reward]| (w[0].decision, &w[0].key.metric) < (w[1].decision, &w[1].key.metric);
    ensure(rows.windows(2).all(ordered), || "the ledger is not in order".into())?;
    let stop = store.ledger(&mut |_| Err(Error::Cancelled("the visit")));
    ensure(matches!(stop, Err(Error::Cancelled(_))), || "an error of the visitor is lost".into())?;

    // Opened again, and by two at once.
    drop(store);
    let (a, b) = (open()?, open()?);
    same("rows after opening again", ledger(&*a)?.len(), rows.len())?;
    same("a reward through both", (a.apply(&[reward(200, 1, one, 0)])?, b.apply(&[reward(200, 1, one, 0)])?), {
        (vec![Applied::New], vec![Applied::Duplicate])
    })?;
    std::thread::scope(|scope| {
        let work =
            |store: &'_ dyn Store| (0..100).try_for_each(|n| store.apply(&[reward(300 + n, 1, one, 0)]).map(drop));
        let threads = [&a, &b, &a, &b].map(|store| scope.spawn(move || work(&**store)));
        threads.into_iter().try_for_each(|t| t.join().unwrap_or_else(|_| Err(Error::Store("a thread panicked".into()))))
    })?;
    same("rows by four threads", ledger(&*b)?.len(), rows.len() + 101)?;
    counters_equal_ledger(&*b)
}
