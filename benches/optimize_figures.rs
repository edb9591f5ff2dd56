//! The figures of docs/measurements.md about `optimize`, each by its own word:
//!
//! ```console
//! $ cargo run --release -p sonicforge-benches --features optimize --bin optimize-figures -- regret
//! ```
//!
//! `regret four sharing contextual drift stop coverage speed propensity ope`; `benches/peers/optimize.py` runs the same problems,
//! with the same coins, through the peers. Speeds are per second of CPU time of one thread.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{BufRead as _, Write as _};
use std::sync::Arc;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use sonicforge_core::optimize::ope::{Logged, evaluate};
use sonicforge_core::optimize::store::{MemoryStore, Store};
use sonicforge_core::optimize::{
    DecisionId, Drift, Effects, Mode, ModelChoice, Options, Policy, PolicyParams, Posterior, PromptOptimizer, Space,
    StopRule, SuggestOptions, ThompsonSampler, Variant, best,
};

/// A coin that depends only on who asks: run, arm and how often the arm was asked. SplitMix64 (Steele et al., 2014).
fn coin(run: u64, arm: u64, pull: u64) -> f64 {
    let mut z = run
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(arm.wrapping_mul(0xbf58_476d_1ce4_e5b9))
        .wrapping_add(pull.wrapping_mul(0x94d0_49bb_1331_11eb));
    for _ in 0..2 {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
    }
    (z >> 11) as f64 / (1u64 << 53) as f64
}

/// CPU time of this process in seconds.
fn cpu_s() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

fn mean_and_error(x: &[f64]) -> (f64, f64) {
    let n = x.len() as f64;
    let mean = x.iter().sum::<f64>() / n;
    let variance = x.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
    (mean, (variance / n).sqrt())
}

/// Runs `of` for each seed on two threads.
fn runs<T: Send>(count: u64, of: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64).min(4);
    std::thread::scope(|scope| {
        let of = &of;
        let parts: Vec<_> = (0..threads)
            .map(|t| scope.spawn(move || (0..count).filter(|r| r % threads == t).map(of).collect::<Vec<T>>()))
            .collect();
        parts.into_iter().flat_map(|p| p.join().expect("a run does not panic")).collect()
    })
}

fn plain(options: Options) -> PromptOptimizer {
    PromptOptimizer::new(None, Box::new(MemoryStore::new()), options).expect("options in range")
}

fn offer(optimizer: &PromptOptimizer, concept: &str, arms: usize) -> Vec<Variant> {
    (0..arms)
        .map(|i| {
            let variant = Variant::text(concept, &format!("prompt {i}")).expect("a text");
            optimizer.add(&variant).expect("memory");
            variant
        })
        .collect()
}

fn id(run: u64, round: u64) -> DecisionId {
    let mut id = [0; 12];
    id[..4].copy_from_slice(&(run as u32).to_be_bytes());
    id[4..].copy_from_slice(&round.to_be_bytes());
    DecisionId(id)
}

/// One run through the whole optimizer: regret at each of `at` rounds.
fn play(
    options: &Options,
    rates: &dyn Fn(u64, usize) -> f64,
    arms: usize,
    bucket: u64,
    at: &[u64],
    run: u64,
) -> Vec<f64> {
    let optimizer = plain(Options { seed: run, refresh_ms: u32::MAX, ..options.clone() });
    let variants = offer(&optimizer, "c", arms);
    let place: BTreeMap<_, _> = variants.iter().enumerate().map(|(i, v)| (v.id, i)).collect();
    let mut pulls = vec![0u64; arms];
    let (mut regret, mut out) = (0.0, Vec::new());
    for round in 0..at[at.len() - 1] {
        let how =
            SuggestOptions { decision: Some(id(run, round)), epoch: Some((round / bucket) as u32), context: None };
        let suggestion = optimizer.suggest_with("c", &how).expect("there are variants");
        let arm = place[&suggestion.variant];
        let top = (0..arms).map(|a| rates(round, a)).fold(0.0, f64::max);
        regret += top - rates(round, arm);
        let win = coin(run, arm as u64, pulls[arm]) < rates(round, arm);
        pulls[arm] += 1;
        optimizer.reward(&suggestion.token, f64::from(win)).expect("a reward");
        if at.contains(&(round + 1)) {
            out.push(regret);
        }
    }
    out
}

/// The same by drawing from the posteriors, without an optimizer around.
fn draw(rates: &[f64], at: &[u64], run: u64) -> Vec<f64> {
    let mut sampler = ThompsonSampler::new(&vec![(1.0, 1.0); rates.len()]).expect("arms");
    let mut rng = ChaCha8Rng::seed_from_u64(run);
    let mut seen = vec![(0u64, 0u64); rates.len()];
    let top = rates.iter().copied().fold(0.0, f64::max);
    let (mut regret, mut out) = (0.0, Vec::new());
    for round in 0..at[at.len() - 1] {
        let arm = sampler.draw(&mut rng);
        let win = coin(run, arm as u64, seen[arm].0) < rates[arm];
        seen[arm] = (seen[arm].0 + 1, seen[arm].1 + u64::from(win));
        regret += top - rates[arm];
        let (n, s) = seen[arm];
        sampler.update(arm, 1.0 + s as f64, 1.0 + (n - s) as f64).expect("an arm");
        if at.contains(&(round + 1)) {
            out.push(regret);
        }
    }
    out
}

fn show_regret(name: &str, runs: &[Vec<f64>], constant: f64) {
    let last: Vec<f64> = runs.iter().map(|r| r[1]).collect();
    let (mean, error) = mean_and_error(&last);
    let slopes: Vec<f64> = runs.iter().map(|r| (r[1] - r[0]) / 10f64.ln() / constant).collect();
    let (slope, slope_error) = mean_and_error(&slopes);
    println!(
        "{name:<44} {mean:7.1} ± {error:.1}   slope / Lai-Robbins {slope:.3} ± {slope_error:.3}   ({} runs)",
        runs.len()
    );
}

fn regret(count: u64) {
    let mut rates = vec![0.4; 10];
    rates[0] = 0.5;
    let kl = |p: f64, q: f64| p * (p / q).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - q)).ln();
    let constant = 9.0 * 0.1 / kl(0.4, 0.5);
    println!("K = 10 (.5 against .4), regret at 10^4, slope from 10^3 to 10^4; Lai-Robbins constant {constant:.2}");
    let at = [1_000, 10_000];
    show_regret("drawing (ThompsonSampler)", &runs(count, |run| draw(&rates, &at, run)), constant);
    for (name, mode) in [("optimizer, thompson", Mode::Thompson), ("optimizer, optimistic", Mode::Optimistic)] {
        let options = Options {
            refresh_rewards: 10,
            policy: PolicyParams { mode, ..PolicyParams::default() },
            drift: Drift::None,
            ..Options::default()
        };
        let found = runs(count, |run| play(&options, &|_, a| rates[a], 10, u64::MAX, &at, run));
        show_regret(&format!("{name}, renewed every 10 rewards"), &found, constant);
    }
}

fn four(count: u64) {
    let rates = [0.6, 0.5, 0.45, 0.4];
    let found = runs(count, |run| play(&Options::default(), &|_, a| rates[a], 4, 1_000_000, &[1_000, 2_000], run));
    let (mean, error) = mean_and_error(&found.iter().map(|r| r[1]).collect::<Vec<_>>());
    let (earned, uniform) = (0.6 - mean / 2_000.0, rates.iter().sum::<f64>() / 4.0);
    println!("four prompts (.60 .50 .45 .40), T = 2000, defaults, {count} runs: regret {mean:.1} ± {error:.1}");
    println!(
        "  {:.1} % of the optimum; {:+.1} % over uniform, of {:+.1} % that can be had",
        100.0 * earned / 0.6,
        100.0 * (earned / uniform - 1.0),
        100.0 * (0.6 / uniform - 1.0)
    );
}

/// A world of concepts: what the logit of an arm is made of, as standard deviations.
struct World {
    name: &'static str,
    slots: f64,
    concept_slots: f64,
    residual: f64,
    level: f64,
}

const WORLDS: [World; 3] = [
    World { name: "slots explain much", slots: 0.8, concept_slots: 0.0, residual: 0.1, level: 0.3 },
    World { name: "mixed", slots: 0.6, concept_slots: 0.35, residual: 0.2, level: 0.3 },
    World { name: "slots explain nothing", slots: 0.0, concept_slots: 0.0, residual: 0.8, level: 0.3 },
];

fn sharing(count: u64) {
    println!("20 concepts x 4 variants of 5 slots, one after another, 150 rounds each; the last ten concepts;");
    println!("regret as a ratio to independent Beta Thompson sampling with the same coins, {count} runs");
    for world in &WORLDS {
        let found = runs(count, |run| {
            let with = |model, mode| concepts(world, model, mode, run);
            [
                with(ModelChoice::Auto, Mode::Thompson),
                with(ModelChoice::Auto, Mode::Optimistic),
                with(ModelChoice::Independent, Mode::Thompson),
            ]
        });
        for (which, mode) in ["thompson (default)", "optimistic"].into_iter().enumerate() {
            print!("  {:<24} {mode:<20}", world.name);
            for (i, rounds) in [10, 50, 150].iter().enumerate() {
                let (own, alone) = found.iter().fold((0.0, 0.0), |s, f| (s.0 + f[which][i], s.1 + f[2][i]));
                // The error of a ratio of sums, by the jackknife.
                let n = found.len() as f64;
                let left: Vec<f64> = found.iter().map(|f| (own - f[which][i]) / (alone - f[2][i])).collect();
                let center = left.iter().sum::<f64>() / n;
                let error = ((n - 1.0) / n * left.iter().map(|x| (x - center) * (x - center)).sum::<f64>()).sqrt();
                print!("  first {rounds}: {:.2} ± {error:.2}", own / alone);
            }
            println!();
        }
        let _ = std::io::stdout().flush();
    }
}

fn concepts(world: &World, model: ModelChoice, mode: Mode, run: u64) -> [f64; 3] {
    let sizes = [7usize, 6, 7, 6, 6];
    let slots = sizes
        .iter()
        .enumerate()
        .map(|(s, n)| (format!("slot{s}"), (0..*n).map(|v| format!("v{v}")).collect::<Vec<_>>()));
    let space = Space::of(slots).expect("a space");
    let mut rng = ChaCha8Rng::seed_from_u64(run ^ 0x5eed);
    let mut normal = move || {
        let unit = |x: u64| ((x >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        (-2.0 * unit(rng.next_u64()).ln()).sqrt() * (2.0 * std::f64::consts::PI * unit(rng.next_u64())).cos()
    };
    // The sum over five slots has the world's spread.
    let effects: Vec<Vec<f64>> =
        sizes.iter().map(|n| (0..*n).map(|_| world.slots / 5f64.sqrt() * normal()).collect()).collect();
    let store = Arc::new(MemoryStore::new());
    let make = |refresh_rewards| {
        let options = Options {
            model,
            drift: Drift::None,
            seed: run,
            refresh_rewards,
            refresh_ms: u32::MAX,
            policy: PolicyParams { mode, ..PolicyParams::default() },
            ..Options::default()
        };
        PromptOptimizer::new(Some(space.clone()), Box::new(store.clone()), options).expect("options in range")
    };
    let mut out = [0.0; 3];
    let mut picks = ChaCha8Rng::seed_from_u64(run ^ 0xa55);
    for concept in 0..20u64 {
        let name = format!("concept {concept}");
        let level = world.level * normal();
        let own: Vec<Vec<f64>> =
            sizes.iter().map(|n| (0..*n).map(|_| world.concept_slots / 5f64.sqrt() * normal()).collect()).collect();
        let mut rates: BTreeMap<_, f64> = BTreeMap::new();
        while rates.len() < 4 {
            let values: Vec<usize> = sizes.iter().map(|n| picks.next_u64() as usize % n).collect();
            let assignment = values.iter().enumerate().map(|(s, v)| (format!("slot{s}"), format!("v{v}")));
            let variant = space.variant(&name, assignment).expect("in the space");
            if rates.contains_key(&variant.id) {
                continue;
            }
            store.put_variant(&variant).expect("memory");
            let logit = level
                + world.residual * normal()
                + values.iter().enumerate().map(|(s, v)| effects[s][*v] + own[s][*v]).sum::<f64>();
            rates.insert(variant.id, 1.0 / (1.0 + (-logit).exp()));
        }
        let top = rates.values().copied().fold(0.0, f64::max);
        let mut pulls: BTreeMap<_, u64> = BTreeMap::new();
        let (fresh, later) = (make(1), make(15));
        let mut regret = 0.0;
        for round in 0..150u64 {
            let optimizer = if round < 10 { &fresh } else { &later };
            if round == 10 {
                later.refresh().expect("memory");
            }
            let how =
                SuggestOptions { decision: Some(id(run, concept * 1_000 + round)), epoch: Some(0), context: None };
            let suggestion = optimizer.suggest_with(&name, &how).expect("variants");
            let pull = pulls.entry(suggestion.variant).or_default();
            let rate = rates[&suggestion.variant];
            let win = coin(run, suggestion.variant.0 ^ concept, *pull) < rate;
            *pull += 1;
            regret += top - rate;
            optimizer.reward(&suggestion.token, f64::from(win)).expect("a reward");
            if concept >= 10 {
                match round {
                    9 => out[0] += regret,
                    49 => out[1] += regret,
                    149 => out[2] += regret,
                    _ => {}
                }
            }
        }
    }
    out
}

const CONTEXTUAL_RUNS: u64 = 20;

/// Rows of `label,feature,feature…` from the files that benches/peers/optimize.py writes.
fn contextual(files: &[String]) {
    for file in files {
        let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{file}: {e}"));
        let rows: Vec<(usize, Vec<f64>)> = text
            .lines()
            .map(|line| {
                let mut cells = line.split(',').map(|c| c.parse::<f64>().expect("a number"));
                (cells.next().expect("a label") as usize, cells.collect())
            })
            .collect();
        let arms = rows.iter().map(|r| r.0).max().unwrap_or(0) + 1;
        for (name, mode) in [("thompson", Mode::Thompson), ("optimistic", Mode::Optimistic)] {
            let begun = cpu_s();
            let once = |run: u64| {
                let policy = PolicyParams { mode, ..PolicyParams::default() };
                let options =
                    Options { seed: run, refresh_ms: u32::MAX, drift: Drift::None, policy, ..Options::default() };
                let optimizer = plain(options);
                let offered = offer(&optimizer, "c", arms);
                let place: BTreeMap<_, _> = offered.iter().enumerate().map(|(i, v)| (v.id, i)).collect();
                let mut earned = 0.0;
                for (round, (label, features)) in rows.iter().enumerate() {
                    let decision = Some(id(run, round as u64));
                    let how = SuggestOptions { decision, epoch: Some(0), context: Some(features) };
                    let suggestion = optimizer.suggest_with("c", &how).expect("a context in range");
                    let win = f64::from(place[&suggestion.variant] == *label);
                    earned += win;
                    optimizer.reward(&suggestion.token, win).expect("a reward");
                }
                earned / rows.len() as f64
            };
            // One thread: CPU time is that of the process.
            let found: Vec<f64> = (0..CONTEXTUAL_RUNS).map(once).collect();
            let (mean, error) = mean_and_error(&found);
            println!(
                "{file}, {name}: {mean:.4} ± {error:.4} per round ({CONTEXTUAL_RUNS} runs), {:.0} rounds per CPU second",
                found.len() as f64 * rows.len() as f64 / (cpu_s() - begun)
            );
        }
    }
}

fn drift(count: u64) {
    let base = [0.6, 0.5, 0.45, 0.4];
    println!("K = 4, T = 10^4, buckets of 50 rounds, renewed every 10 rewards, {count} runs");
    for (name, every) in [("rotating every 2000", 2_000u64), ("standing still", u64::MAX)] {
        for (mode, drift) in
            [("auto (default)", Drift::Auto), ("none", Drift::None), ("discount .95", Drift::Discount(0.95))]
        {
            let options = Options { drift, refresh_rewards: 10, ..Options::default() };
            let rates = |round: u64, arm: usize| base[(arm + (round / every) as usize) % 4];
            let found = runs(count, |run| play(&options, &rates, 4, 50, &[5_000, 10_000], run));
            let (mean, error) = mean_and_error(&found.iter().map(|r| r[1]).collect::<Vec<_>>());
            println!("  {name:<22} {mode:<16} regret {mean:6.1} ± {error:.1}");
        }
    }
}

fn stop(count: u64) {
    let rates = [0.6, 0.5, 0.45, 0.4];
    println!("K = 4 (.60 .50 .45 .40), until P(best) reaches a threshold, {count} runs: samples, wrong");
    for (name, mode) in [("top-two", Mode::TopTwo), ("thompson", Mode::Thompson)] {
        for threshold in [0.90, 0.95, 0.99] {
            if mode == Mode::Thompson && threshold > 0.97 {
                continue;
            }
            let found = runs(count, |run| {
                let params = PolicyParams { mode, ..PolicyParams::default() };
                let optimizer = plain(Options {
                    policy: params,
                    drift: Drift::None,
                    seed: run,
                    refresh_ms: u32::MAX,
                    ..Options::default()
                });
                let place: BTreeMap<_, _> =
                    offer(&optimizer, "c", 4).iter().enumerate().map(|(i, v)| (v.id, i)).collect();
                let rule = StopRule { p_best: threshold, ..StopRule::default() };
                let mut seen = [(0u64, 0u64); 4];
                for round in 0..20_000u64 {
                    // What the report says, without its pictures.
                    let posteriors = seen.map(|(n, s)| Posterior::Beta { a: 1.0 + s as f64, b: 1.0 + (n - s) as f64 });
                    let p = best(&posteriors, false).probabilities;
                    let leader = (0..4).fold(0, |m, i| if p[i] > p[m] { i } else { m });
                    if round >= 4 * rule.at_least && p[leader] >= rule.p_best {
                        return (round as f64, f64::from(leader != 0));
                    }
                    let how = SuggestOptions { decision: Some(id(run, round)), epoch: Some(0), context: None };
                    let suggestion = optimizer.suggest_with("c", &how).expect("variants");
                    let arm = place[&suggestion.variant];
                    let win = coin(run, arm as u64, seen[arm].0) < rates[arm];
                    seen[arm] = (seen[arm].0 + 1, seen[arm].1 + u64::from(win));
                    optimizer.reward(&suggestion.token, f64::from(win)).expect("a reward");
                }
                (20_000.0, 0.0)
            });
            let (samples, error) = mean_and_error(&found.iter().map(|f| f.0).collect::<Vec<_>>());
            let wrong = found.iter().map(|f| f.1).sum::<f64>() / found.len() as f64;
            println!("  {name:<10} {threshold:.2}: {samples:6.1} ± {error:.1}, {:.2} % wrong", 100.0 * wrong);
        }
    }
}

/// Logs of a policy that learnt while it ran, and how often the intervals hold the truth.
fn coverage(count: u64) {
    let rates = [0.6, 0.5, 0.45, 0.4];
    let target = [0.25; 4];
    let truth: f64 = rates.iter().zip(target).map(|(r, t)| r * t).sum();
    println!(
        "1000 decisions of a Thompson policy with a floor of .2, four prompts; the uniform policy's reward is {truth}; {count} logs"
    );
    let found = runs(count, |run| {
        let options = Options {
            policy: PolicyParams { floor: 0.2, ..PolicyParams::default() },
            drift: Drift::None,
            refresh_rewards: 10,
            refresh_ms: u32::MAX,
            seed: run,
            ..Options::default()
        };
        let optimizer = plain(options);
        let variants = offer(&optimizer, "c", 4);
        let place: BTreeMap<_, _> = variants.iter().enumerate().map(|(i, v)| (v.id, i)).collect();
        for round in 0..1_000 {
            let how = SuggestOptions { decision: Some(id(run, round)), epoch: Some(0), context: None };
            let suggestion = optimizer.suggest_with("c", &how).expect("variants");
            let arm = place[&suggestion.variant];
            let win = coin(run, arm as u64, round) < rates[arm];
            optimizer.reward(&suggestion.token, f64::from(win)).expect("a reward");
        }
        let policy: Vec<_> = variants.iter().map(|v| (v.id, 0.25)).collect();
        let e = optimizer.evaluate("c", None, &policy).expect("a log");
        [Some(e.ips), Some(e.snips), e.dr]
            .map(|x| x.map_or((0.0, 0.0), |x| (f64::from(x.low <= truth && truth <= x.high), x.high - x.low)))
    });
    for (i, name) in ["IPS", "SNIPS", "DR"].iter().enumerate() {
        let n = found.len() as f64;
        let (hit, wide) = found.iter().fold((0.0, 0.0), |s, f| (s.0 + f[i].0 / n, s.1 + f[i].1 / n));
        println!("  {name:<6} 95 % interval holds the truth in {:.1} % of logs, mean width {wide:.4}", 100.0 * hit);
    }
}

fn rate(name: &str, per_call: u64, mut work: impl FnMut()) {
    work();
    let mut top: f64 = 0.0;
    for _ in 0..5 {
        let begun = cpu_s();
        let mut calls = 0;
        while cpu_s() - begun < 0.3 {
            work();
            calls += 1;
        }
        top = top.max(calls as f64 * per_call as f64 / (cpu_s() - begun));
    }
    println!("  {name:<56} {top:>14.0} /s");
}

fn speed() {
    println!("per CPU second of one thread, best of five, ChaCha8:");
    for k in [4usize, 100, 10_000] {
        // Every arm with a posterior of its own, as late in a run.
        let shapes: Vec<(f64, f64)> = (0..k).map(|i| (3.0 + i as f64 * 0.37, 5.0 + ((i * 7) % 13) as f64)).collect();
        let sampler = ThompsonSampler::new(&shapes).expect("shapes");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let n = (4_000_000 / k as u64).max(10);
        rate(&format!("sampling decision, K = {k}"), n, || {
            (0..n).for_each(|_| {
                black_box(sampler.draw(&mut rng));
            })
        });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    rate("cold start, 10,000 arms, decision and update, 1000 rounds", 1_000, {
        let fresh = ThompsonSampler::new(&vec![(1.0, 1.0); 10_000]).expect("shapes");
        let mut seen = vec![(0u32, 0u32); 10_000];
        let mut sampler = fresh.clone();
        move || {
            // Put back what the last thousand rounds changed, instead of making ten thousand arms anew.
            for (arm, s) in seen.iter_mut().enumerate().filter(|(_, s)| s.0 > 0) {
                *s = (0, 0);
                sampler.update(arm, 1.0, 1.0).expect("an arm");
            }
            for round in 0..1_000u64 {
                let arm = sampler.draw(&mut rng);
                seen[arm].0 += 1;
                seen[arm].1 += u32::from(coin(7, arm as u64, round) < 0.5);
                let (n, s) = seen[arm];
                sampler.update(arm, 1.0 + f64::from(s), 1.0 + f64::from(n - s)).expect("an arm");
            }
        }
    });
    let policy = policy_of(&[0.55, 0.25, 0.15, 0.05]);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    rate("decision from the vector, K = 4", 1_000_000, || {
        let mut sum = 0;
        (0..1_000_000).for_each(|_| sum += policy.draw(rng.next_u64()));
        black_box(sum);
    });
    for k in [4usize, 10, 100] {
        let posteriors: Vec<Posterior> =
            (0..k).map(|i| Posterior::Beta { a: 20.0 + i as f64, b: 30.0 + ((i * 5) % 11) as f64 }).collect();
        rate(&format!("P(best) by quadrature, K = {k}"), 10, || {
            (0..10).for_each(|_| {
                black_box(best(black_box(&posteriors), false));
            })
        });
    }
    let optimizer =
        plain(Options { refresh_ms: u32::MAX, refresh_rewards: 100, drift: Drift::None, ..Options::default() });
    offer(&optimizer, "c", 4);
    rate("suggest, with its token", 1_000, || {
        (0..1_000).for_each(|_| {
            black_box(optimizer.suggest("c").expect("variants"));
        })
    });
    rate("suggest_batch of 1000", 1_000, || {
        black_box(optimizer.suggest_batch("c", 1_000).expect("variants"));
    });
    let mut round = 0;
    rate("suggest and reward, memory, renewed every 100", 1_000, || {
        (0..1_000).for_each(|_| {
            let how = SuggestOptions { decision: Some(id(1, round)), epoch: Some(0), context: None };
            let suggestion = optimizer.suggest_with("c", &how).expect("variants");
            optimizer.reward(&suggestion.token, f64::from(u8::from(round % 2 == 0))).expect("a reward");
            round += 1;
        })
    });
    let sizes = [10usize, 8, 12, 6, 10];
    let slots = sizes
        .iter()
        .enumerate()
        .map(|(s, n)| (format!("slot{s}"), (0..*n).map(|v| format!("v{v}")).collect::<Vec<_>>()));
    let optimizer = PromptOptimizer::in_memory(Space::of(slots).expect("a space")).expect("a space");
    optimizer.start("c", 4).expect("a space");
    for _ in 0..200 {
        let s = optimizer.suggest("c").expect("variants");
        optimizer.reward(&s.token, f64::from(u8::from(s.variant.0 % 3 == 0))).expect("a reward");
    }
    let effects: Effects = optimizer.effects("c").expect("a space");
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    rate("proposal among 57,600 combinations", 1_000, || {
        (0..1_000).for_each(|_| {
            black_box(effects.draw(&mut rng));
        })
    });
}

fn policy_of(p: &[f64]) -> Policy {
    PolicyParams::default().policy(p, None).expect("a vector")
}

/// Posteriors from standard input, one line of `a b a b …` each; P(best) on standard output.
fn propensity() {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let numbers: Vec<f64> = line.split_whitespace().map(|n| n.parse().expect("a number")).collect();
        let posteriors: Vec<Posterior> =
            numbers.chunks_exact(2).map(|c| Posterior::Beta { a: c[0], b: c[1] }).collect();
        let p = best(&posteriors, false).probabilities;
        println!("{}", p.iter().map(|p| format!("{p:e}")).collect::<Vec<_>>().join(" "));
    }
}

/// Logs from standard input, one row of `propensity reward target q_drawn q_policy` each; the estimates on standard output.
fn ope() {
    let row = |line: String| {
        let n: Vec<f64> = line.split_whitespace().map(|n| n.parse().expect("a number")).collect();
        Logged { propensity: n[0], reward: n[1], target: n[2], model: Some([n[3], n[4]]) }
    };
    let log: Vec<Logged> = std::io::stdin().lock().lines().map_while(Result::ok).map(row).collect();
    let e = evaluate(&log).expect("a log");
    let dr = e.dr.expect("a model");
    println!("{:e} {:e} {:e} {:e} {}", e.ips.value, e.snips.value, dr.value, e.effective, e.warning.is_some());
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let count = |default| words.get(1).and_then(|n| n.parse().ok()).unwrap_or(default);
    match words.first().map(String::as_str) {
        Some("regret") => regret(count(2_000)),
        Some("four") => four(count(2_000)),
        Some("sharing") => sharing(count(200)),
        Some("contextual") => contextual(&words[1..]),
        Some("drift") => drift(count(300)),
        Some("stop") => stop(count(1_500)),
        Some("coverage") => coverage(count(1_000)),
        Some("speed") => speed(),
        Some("propensity") => propensity(),
        Some("ope") => ope(),
        other => {
            eprintln!(
                "{other:?}; expected one of regret four sharing contextual drift stop coverage speed propensity ope"
            );
            std::process::exit(2);
        }
    }
}
