//! The library stays quiet in other people's trees: no async runtime, no HTTP, no database, no thread pool; and what is
//! published holds no test material.
//!
//! Asks cargo itself, without the network.

use std::path::Path;
use std::process::Command;

const UNWANTED: &[&str] = &[
    // Async runtimes.
    "tokio",
    "async-std",
    "smol",
    "async-executor",
    "futures-executor",
    "glommio",
    "monoio",
    "mio",
    // HTTP and TLS.
    "hyper",
    "reqwest",
    "ureq",
    "isahc",
    "curl",
    "curl-sys",
    "h2",
    "rustls",
    "native-tls",
    "openssl",
    "openssl-sys",
    // Databases.
    "sqlx",
    "redis",
    "rusqlite",
    "libsqlite3-sys",
    "diesel",
    "postgres",
    "mysql",
    "sled",
    "rocksdb",
    // Pools of threads.
    "rayon",
    "rayon-core",
    "threadpool",
    "crossbeam-deque",
    "scoped_threadpool",
];

fn cargo(args: &[&str]) -> String {
    let out = Command::new(env!("CARGO"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs, as it runs this test");
    assert!(out.status.success(), "cargo {}: {}", args.join(" "), String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("cargo speaks UTF-8")
}

/// Names of everything that is linked into the core with these features.
fn tree(features: &[&str]) -> Vec<String> {
    let base = ["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let text = cargo(&[&base[..], features].concat());
    let mut names: Vec<String> = text.lines().filter_map(|l| l.split(' ').next()).map(String::from).collect();
    names.sort();
    names.dedup();
    assert!(names.iter().any(|n| n == "sonicforge-core"), "{text}");
    names
}

fn assert_quiet(names: &[String]) {
    assert_quiet_but(names, &[]);
}

fn assert_quiet_but(names: &[String], asked_for: &[&str]) {
    let unwanted = |n: &&String| UNWANTED.contains(&n.as_str()) && !asked_for.contains(&n.as_str());
    let found: Vec<_> = names.iter().filter(unwanted).collect();
    assert!(found.is_empty(), "unwanted: {found:?}");
}

#[test]
fn the_default_tree() {
    let names = tree(&[]);
    assert_quiet(&names);
    // Guests behind features that are off stay away, and so does what only tests need.
    for stranger in ["symphonia-adapter-libopus", "candle-core", "ebur128", "criterion"] {
        assert!(!names.iter().any(|n| n == stranger), "{stranger}");
    }
}

#[test]
fn the_full_tree_and_the_bare_one() {
    assert_quiet(&tree(&["--features", "plot,opus"]));
    let bare = tree(&["--no-default-features"]);
    assert_quiet(&bare);
    assert!(!bare.iter().any(|n| n.starts_with("symphonia") || n == "toml" || n == "lofty"), "{bare:?}");
}

/// The durable stores bring their two guests and nothing that runs beside them.
#[test]
fn the_tree_of_the_stores() {
    let names = tree(&["--no-default-features", "--features", "sqlite,redis"]);
    assert_quiet_but(&names, &["redis", "rusqlite", "libsqlite3-sys"]);
    assert!(names.iter().any(|n| n == "rusqlite") && names.iter().any(|n| n == "redis"), "{names:?}");
    // The memory store alone brings neither.
    assert_quiet(&tree(&["--no-default-features", "--features", "optimize"]));
}

/// candle and the tokenizers come with rayon, and with nothing that speaks to a network; the hub comes with one blocking
/// client of HTTP, and with no async runtime.
#[test]
fn the_generating_tree() {
    let pool = ["rayon", "rayon-core", "crossbeam-deque"];
    let names = tree(&["--features", "generate,plot,opus"]);
    assert_quiet_but(&names, &pool);
    for stranger in ["hf-hub", "http", "indicatif", "webpki-roots", "onig_sys", "cudarc"] {
        assert!(!names.iter().any(|n| n == stranger), "{stranger}");
    }
    // One reader of tokenizers, candle's and ours.
    let readers =
        cargo(&["tree", "--offline", "--locked", "--edges", "normal", "--features", "generate", "--prefix", "none"]);
    let mut readers: Vec<&str> = readers.lines().filter(|l| l.starts_with("tokenizers ")).collect();
    readers.iter_mut().for_each(|l| *l = l.trim_end_matches(" (*)"));
    readers.sort_unstable();
    readers.dedup();
    assert_eq!(readers.len(), 1, "{readers:?}");
    assert_quiet_but(&tree(&["--features", "hub"]), &[&pool[..], &["ureq", "rustls"]].concat());
}

/// No thread is started by the core, so nothing is left hanging in a fork and nothing competes with the host's threads.
/// The exceptions are what is asked for: the `threads` of a generator's model, those of a call that goes through many tracks, and the
/// one that merges the files of an index while it is open to be written.
#[test]
fn no_threads_of_its_own() {
    fn walk(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.ends_with("musicgen/kernels/pool.rs")
                // A test that anybody's store can run: four threads, gone when it returns.
                && !path.ends_with("optimize/store/contract.rs")
                // What a call may use while it lasts, `threads` of it: queries, duplicates, scans.
                && !path.ends_with("fingerprint/index/snapshot.rs")
                // One that merges the files of an open index, unless `background` is off; knows about forks.
                && !path.ends_with("fingerprint/index/store.rs")
                && !path.to_string_lossy().ends_with("_tests.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                // Tests may.
                let code = text.split("#[cfg(test)]").next().unwrap();
                for word in ["thread::spawn", "thread::Builder", "thread::scope", "ThreadPool"] {
                    if code.contains(word) {
                        found.push(format!("{}: {word}", path.display()));
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn what_is_published() {
    let list = cargo(&["package", "--list", "--offline", "--allow-dirty"]);
    let names: Vec<&str> = list.lines().collect();
    for wanted in ["Cargo.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE", "src/lib.rs"] {
        assert!(names.contains(&wanted), "{wanted} is missing from {names:?}");
    }
    let strangers: Vec<_> =
        names.iter().filter(|n| n.starts_with("tests/") || n.ends_with(".wav") || n.ends_with(".flac")).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bytes: u64 = names.iter().filter_map(|n| std::fs::metadata(root.join(n)).ok()).map(|m| m.len()).sum();
    assert!(bytes < 2 << 20, "the package would hold {bytes} bytes; expected less than 2 MiB");
}
