//! Decisions, posteriors and stores of the optimizer: `cargo bench -p sonicforge-benches --features optimize --bench optimize`.
//! Throughput is in decisions or rewards. (Figures per CPU second, beside the peers: `optimize-figures speed`.)

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use sonicforge_core::optimize::store::{Durability, MemoryStore, SqliteStore, Store};
use sonicforge_core::optimize::{
    DecisionId, Key, Options, Posterior, PromptOptimizer, Propensity, Reward, ThompsonSampler, Variant, VariantId, best,
};

fn reward(n: u64) -> Reward {
    let mut decision = [0; 12];
    decision[4..].copy_from_slice(&n.to_be_bytes());
    let key =
        Key { concept: "c".into(), variant: VariantId(1 + n % 4), against: None, metric: "approval".into(), epoch: 0 };
    let value = ((n & 1) << 20) as i64;
    Reward {
        decision: DecisionId(decision),
        key,
        value,
        revision: 0,
        propensity: Propensity(0.25),
        context: Vec::new(),
    }
}

fn optimize(c: &mut Criterion) {
    let mut group = c.benchmark_group("optimize");
    group.sample_size(20);
    for k in [4usize, 10, 100] {
        let shapes: Vec<(f64, f64)> = (0..k).map(|i| (20.0 + i as f64, 30.0 + ((i * 5) % 11) as f64)).collect();
        let sampler = ThompsonSampler::new(&shapes).expect("shapes");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("draw, K = {k}"), |b| b.iter(|| sampler.draw(&mut rng)));
        let posteriors: Vec<Posterior> = shapes.iter().map(|&(a, b)| Posterior::Beta { a, b }).collect();
        group.bench_function(format!("P(best), K = {k}"), |b| b.iter(|| best(black_box(&posteriors), false)));
    }
    let options = Options { refresh_rewards: 100, ..Options::default() };
    let optimizer = PromptOptimizer::new(None, Box::new(MemoryStore::new()), options).expect("options in range");
    for i in 0..4 {
        optimizer.add(&Variant::text("c", &format!("prompt {i}")).expect("a text")).expect("memory");
    }
    group.bench_function("suggest", |b| b.iter(|| optimizer.suggest("c").expect("variants")));
    group.bench_function("suggest and reward, memory", |b| {
        b.iter(|| {
            let s = optimizer.suggest("c").expect("variants");
            optimizer.reward(&s.token, 1.0).expect("a reward")
        });
    });
    let folder = std::env::temp_dir().join(format!("bench-optimize-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, durability) in [("process", Durability::Process), ("power", Durability::Power)] {
        let store = SqliteStore::open(folder.join(name), durability).expect("a file");
        let mut n = 0;
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("SQLite, durability {name}, one by one"), |b| {
            b.iter(|| {
                n += 1;
                store.apply(&[reward(n)]).expect("a file")
            });
        });
        group.throughput(Throughput::Elements(100));
        group.bench_function(format!("SQLite, durability {name}, a hundred at once"), |b| {
            b.iter(|| {
                let rewards: Vec<Reward> = (n + 1..n + 101).map(reward).collect();
                n += 100;
                store.apply(&rewards).expect("a file")
            });
        });
    }
    group.finish();
    let _ = std::fs::remove_dir_all(&folder);
}

criterion_group!(benches, optimize);
criterion_main!(benches);
