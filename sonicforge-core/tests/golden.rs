//! Runs the golden vectors that all three languages run (`tests/golden/<verb>/<case>.json`).
//!
//! A case is `{ operation, input: { signal, sample_rate, channels, seconds }, parameters, expected, tolerance, origin }`.
//!
//! | operation | parameters | what is compared |
//! |---|---|---|
//! | `analyze` | none | the analysis |
//! | `render` | `preset` | `latency` (frames, after the render), `frames`, and `probes`: of each channel of `MasteringChain::render`, the samples at `k·frames/17`, k = 1 … 16 (rounded down) |
//! | `plan` | `target` (text) | the plan |
//! | `master` | `target` (text) or `plan` | the report |
//! | `match` | `reference` (an input), `parts` | the plan of `plan_match` |
//! | `preset` | `json` or `toml` (text) | the preset, or `error` (the code) where reading it must fail |
//! | `tokenize` | `checkpoint`, `prompts` | `ids` of each |
//! | `generate_codes` | `checkpoint`, `request` | `codes`, `[codebooks][frames]` |
//! | `decode_codes` | `checkpoint`, `codes` | `sample_rate`, `channels`, `frames`, and `probes` as of `render` |
//! | `encode_audio` | `checkpoint`, `sample_rate`, `samples` (`[channels][frames]`) | `codes` |
//! | `generation_error` | `checkpoint`, `batches` (lists of requests) | `errors`: the code of each batch, none of which may succeed |
//! | `optimize` | `space`, `options`, `concepts`, `variants` (to start each with), `rounds`, `context` | of round n, which asks concept n mod (number of concepts) with the decision n (as 24 hexadecimal digits) in epoch n / 8 (rounded down), with the context [(n mod 5)/4 − ½, (n mod 3)/2 − ½] if so said, and rewards it by 1 where (7n + length of the prompt) mod 3 = 0, else by 0: `prompts`, `propensities`, `tokens`; then of the first concept the `policy` by id and of its report `p_best` and `means` of the utility, the leader first; `state`, the export |
//! | `optimize_errors` | `space`, `concept`, `spaces`, `tokens`, `values` | the code of each space, of each token rewarded by 1, of each value for a good token; `unknown_concept`: of a suggestion; `state`: of importing `{}` |
//! | `evaluate_policy` | `log` | the evaluation |
//! | `chromaprint` | `preset` | `chromaprint` (text) and `simhash` of the input |
//! | `chromaprint_texts` | `texts` | `read`: of each text the `preset` and the `words`, or `error` (the code) |
//! | `index_query` | `tracks`: of each the `id` and an input | `found`: what an index of these tracks says of the input |
//! | `acoustid` | `client`, `user`, `meta`, `known` | `lookup` and `submit`: the parameters for the input, in their order; `errors`: the codes of a look-up without a client and of a submission without a user |
//!
//! A `checkpoint` is a folder in `tests/fixtures/generate`, or `default` (with the feature `default-model`), loaded in f32 with one thread. A `request` has the fields of
//! `Request` that JSON can hold. These cases (folder `generate`) need the feature `generate`.
//!
//! Every field of `expected` is compared: numbers within the tolerance of the outermost field that they are in (equal,
//! when it has none), lists item by item, objects by the keys that are expected, the rest exactly.

use std::path::{Path, PathBuf};

use serde_json::Value;
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::fingerprint::{Chromaprint, Fingerprint, Index, QueryOptions, Sketch, acoustid};
use sonicforge_core::master::{MasteringChain, Plan, Preset, Processor, Target, master, plan, plan_match};
use sonicforge_core::progress::NoProgress;
use sonicforge_core::testing::Signal;

#[test]
fn golden_vectors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let cases = find_cases(&root);
    let at_least: usize = std::fs::read_to_string(root.join("COUNT")).unwrap().trim().parse().unwrap();
    assert!(cases.len() >= at_least, "{} golden cases, but COUNT says {at_least}", cases.len());
    let mut failures = Vec::new();
    let possible = |path: &&PathBuf| {
        let of = |folder: &str| path.parent().is_some_and(|p| p.ends_with(folder));
        (cfg!(feature = "generate") || !of("generate")) && (cfg!(feature = "optimize") || !of("optimize"))
    };
    for path in cases.iter().filter(possible) {
        let case: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap())
            .unwrap_or_else(|e| panic!("{} is not JSON: {e}", path.display()));
        let name = path.strip_prefix(&root).unwrap().display();
        if case["parameters"]["checkpoint"] == "default" && !cfg!(feature = "default-model") {
            continue;
        }
        let actual = run(&case);
        rewrite(path, &case, &actual);
        for difference in differences(&actual, &case) {
            failures.push(format!("{name}: {difference}"));
        }
    }
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}

fn find_cases(root: &Path) -> Vec<PathBuf> {
    let folders =
        std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir() && !p.ends_with("tools"));
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()));
    let mut cases: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
    cases.sort();
    cases
}

/// What the library makes of a case.
fn run(case: &Value) -> Value {
    match case["operation"].as_str() {
        Some("analyze") => {
            let analysis = sonicforge_core::analyze::analyze(&input(case)).unwrap();
            serde_json::to_value(analysis).unwrap()
        }
        Some("render") => {
            let mut audio = input(case);
            let preset = serde_json::from_value(case["parameters"]["preset"].clone()).unwrap();
            let mut chain = MasteringChain::new(&preset).unwrap();
            chain.render(&mut audio).unwrap();
            serde_json::json!({ "latency": chain.latency(), "frames": audio.frames(), "probes": probes(&audio) })
        }
        Some("plan") => serde_json::to_value(plan(&input(case), &target(case)).unwrap()).unwrap(),
        Some("master") => {
            let (_, report) = match case["parameters"].get("plan") {
                Some(p) => Plan::from_json(&p.to_string()).unwrap().render(&input(case), &mut NoProgress).unwrap(),
                None => master(&input(case), &target(case), &mut NoProgress).unwrap(),
            };
            serde_json::to_value(report).unwrap()
        }
        Some("match") => {
            let reference = serde_json::json!({ "input": case["parameters"]["reference"] });
            let parts = serde_json::from_value(case["parameters"]["parts"].clone()).unwrap();
            let hear = |case: &Value| sonicforge_core::analyze::analyze(&input(case)).unwrap();
            serde_json::to_value(plan_match(&hear(case), &hear(&reference), &parts).unwrap()).unwrap()
        }
        Some("preset") => {
            let text = |key: &str| case["parameters"].get(key).and_then(Value::as_str);
            let read = match (text("json"), text("toml")) {
                (Some(json), None) => Preset::from_json(json),
                (None, Some(toml)) => Preset::from_toml(toml),
                _ => panic!("a preset case has either json or toml"),
            };
            match read {
                Ok(preset) => serde_json::to_value(preset).unwrap(),
                Err(error) => serde_json::json!({ "error": error.code() }),
            }
        }
        #[cfg(feature = "optimize")]
        Some("optimize") => optimizing::optimize(&case["parameters"]),
        #[cfg(feature = "optimize")]
        Some("optimize_errors") => optimizing::errors(&case["parameters"]),
        #[cfg(feature = "optimize")]
        Some("evaluate_policy") => {
            let log: Vec<sonicforge_core::optimize::ope::Logged> =
                serde_json::from_value(case["parameters"]["log"].clone()).unwrap();
            serde_json::to_value(sonicforge_core::optimize::ope::evaluate(&log).unwrap()).unwrap()
        }
        Some("chromaprint") => {
            let preset = case["parameters"]["preset"].as_str().unwrap().parse().unwrap();
            let print = Chromaprint::with(&input(case), preset).unwrap();
            serde_json::json!({ "chromaprint": print.encode(), "simhash": print.simhash() })
        }
        Some("chromaprint_texts") => {
            let read = |text: &Value| match Chromaprint::decode(text.as_str().unwrap()) {
                Ok(print) => serde_json::json!({ "preset": print.preset(), "words": print.words() }),
                Err(error) => serde_json::json!({ "error": error.code() }),
            };
            let texts = case["parameters"]["texts"].as_array().unwrap();
            serde_json::json!({ "read": texts.iter().map(read).collect::<Vec<_>>() })
        }
        Some("index_query") => {
            let mut index = Index::new();
            for track in case["parameters"]["tracks"].as_array().unwrap() {
                index.insert(track["id"].as_str().unwrap(), &Fingerprint::of(&input(track)).unwrap()).unwrap();
            }
            let found = index.query(&Sketch::of(&input(case)).unwrap(), &QueryOptions::default()).unwrap();
            serde_json::json!({ "found": found })
        }
        Some("acoustid") => {
            let print = Fingerprint::of(&input(case)).unwrap();
            let parameters = &case["parameters"];
            let text = |key: &str| parameters[key].as_str().unwrap();
            let meta: Vec<String> = serde_json::from_value(parameters["meta"].clone()).unwrap();
            let meta: Vec<&str> = meta.iter().map(String::as_str).collect();
            let known = serde_json::from_value(parameters["known"].clone()).unwrap();
            let tracks = [(print.seconds, &print.chromaprint, &known)];
            let no_client = acoustid::lookup("", print.seconds, &print.chromaprint, &meta).unwrap_err();
            let no_user = acoustid::submit(text("client"), "", &tracks).unwrap_err();
            serde_json::json!({
                "lookup": acoustid::lookup(text("client"), print.seconds, &print.chromaprint, &meta).unwrap(),
                "submit": acoustid::submit(text("client"), text("user"), &tracks).unwrap(),
                "errors": [no_client.code(), no_user.code()],
            })
        }
        #[cfg(feature = "generate")]
        Some(operation) => generation::run(operation, &case["parameters"]),
        other => panic!("unknown golden operation {other:?}"),
    }
}

/// Sixteen samples of each channel.
fn probes(audio: &AudioBuffer) -> Vec<Vec<f32>> {
    let frames = audio.frames();
    (0..audio.channels()).map(|c| (1..=16).map(|k| audio.channel(c)[k * frames / 17]).collect()).collect()
}

/// The operations of the optimizer.
#[cfg(feature = "optimize")]
mod optimizing {
    use serde_json::{Map, Value, json};
    use sonicforge_core::error::Result;
    use sonicforge_core::optimize::store::MemoryStore;
    use sonicforge_core::optimize::{Options, PromptOptimizer, Space, SuggestOptions};

    fn open(parameters: &Value, options: Options) -> PromptOptimizer {
        let space: Space = serde_json::from_value(parameters["space"].clone()).unwrap();
        PromptOptimizer::new(Some(space), Box::new(MemoryStore::new()), options).unwrap()
    }

    pub fn optimize(parameters: &Value) -> Value {
        let optimizer = open(parameters, Options::from_json(&parameters["options"].to_string()).unwrap());
        let concepts: Vec<&str> =
            parameters["concepts"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
        for concept in &concepts {
            optimizer.start(concept, parameters["variants"].as_u64().unwrap() as usize).unwrap();
        }
        let (mut prompts, mut propensities, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..parameters["rounds"].as_u64().unwrap() {
            let context = [(n % 5) as f64 / 4.0 - 0.5, (n % 3) as f64 / 2.0 - 0.5];
            let how = SuggestOptions {
                decision: Some(format!("{n:024x}").parse().unwrap()),
                epoch: Some((n / 8) as u32),
                context: parameters["context"].as_bool().unwrap().then_some(&context),
            };
            let s = optimizer.suggest_with(concepts[n as usize % concepts.len()], &how).unwrap();
            let value = if (7 * n + s.prompt.len() as u64) % 3 == 0 { 1.0 } else { 0.0 };
            optimizer.reward(&s.token, value).unwrap();
            prompts.push(s.prompt);
            propensities.push(s.propensity);
            tokens.push(s.token);
        }
        let policy: Map<String, Value> = optimizer
            .policy(concepts[0])
            .unwrap()
            .iter()
            .map(|c| (c.variant.to_string(), json!(c.propensity)))
            .collect();
        let report = optimizer.report(concepts[0]).unwrap();
        json!({
            "prompts": prompts,
            "propensities": propensities,
            "tokens": tokens,
            "policy": policy,
            "p_best": report.variants.iter().map(|v| v.p_best).collect::<Vec<_>>(),
            "means": report.variants.iter().map(|v| v.utility.mean).collect::<Vec<_>>(),
            "state": optimizer.export_state().unwrap(),
        })
    }

    fn code<T>(outcome: Result<T>) -> Value {
        outcome.err().map_or(Value::Null, |e| e.code().into())
    }

    pub fn errors(parameters: &Value) -> Value {
        let optimizer = open(parameters, Options::default());
        let concept = parameters["concept"].as_str().unwrap();
        let unknown = code(optimizer.suggest(concept));
        optimizer.start(concept, 4).unwrap();
        let token = optimizer.suggest(concept).unwrap().token;
        let each = |key: &str, of: &dyn Fn(&Value) -> Value| -> Vec<Value> {
            parameters[key].as_array().unwrap().iter().map(of).collect()
        };
        json!({
            "spaces": each("spaces", &|s| code(serde_json::from_value::<Space>(s.clone()).unwrap().validate())),
            "tokens": each("tokens", &|t| code(optimizer.reward(t.as_str().unwrap(), 1.0))),
            "values": each("values", &|v| code(optimizer.reward(&token, v.as_f64().unwrap()))),
            "unknown_concept": unknown,
            "state": code(optimizer.import_state("{}")),
        })
    }
}

/// The operations on the tiny checkpoints.
#[cfg(feature = "generate")]
mod generation {
    use super::*;
    use serde::de::DeserializeOwned;
    use serde_json::json;
    use sonicforge_core::generate::Request;
    use sonicforge_core::generate::musicgen::{LoadOptions, MusicGen, Precision};

    #[cfg(feature = "default-model")]
    fn default_model(options: &LoadOptions) -> MusicGen {
        MusicGen::load_default(options).unwrap()
    }

    #[cfg(not(feature = "default-model"))]
    fn default_model(_: &LoadOptions) -> MusicGen {
        unreachable!("cases of the default model are left out without it")
    }

    pub fn run(operation: &str, parameters: &Value) -> Value {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/generate");
        let options = LoadOptions { quantization: Some(Precision::F32), threads: 1, ..LoadOptions::default() };
        let model = match parameters["checkpoint"].as_str() {
            Some("default") => default_model(&options),
            name => MusicGen::load(fixtures.join(name.unwrap()), &options).unwrap(),
        };
        match operation {
            "tokenize" => {
                let ids = |prompt: String| model.tokenize(&prompt).unwrap();
                json!({ "ids": read::<Vec<String>>(parameters, "prompts").into_iter().map(ids).collect::<Vec<_>>() })
            }
            "generate_codes" => {
                let request: Request = read(parameters, "request");
                json!({ "codes": model.generate_codes(&[request], &mut NoProgress).unwrap()[0] })
            }
            "decode_codes" => {
                let audio = model.decode_codes(&read::<Vec<Vec<u32>>>(parameters, "codes")).unwrap();
                json!({
                    "sample_rate": audio.sample_rate(),
                    "channels": audio.channels(),
                    "frames": audio.frames(),
                    "probes": probes(&audio)
                })
            }
            "encode_audio" => {
                let samples: Vec<Vec<f32>> = read(parameters, "samples");
                let audio = AudioBuffer::from_channels(read(parameters, "sample_rate"), &samples).unwrap();
                json!({ "codes": model.encode_audio(&audio).unwrap() })
            }
            "generation_error" => {
                let code = |batch: Vec<Request>| match model.generate_batch(&batch, &mut NoProgress) {
                    Ok(_) => Value::Null,
                    Err(error) => error.code().into(),
                };
                let batches: Vec<Vec<Request>> = read(parameters, "batches");
                json!({ "errors": batches.into_iter().map(code).collect::<Vec<_>>() })
            }
            other => panic!("unknown golden operation {other:?}"),
        }
    }

    fn read<T: DeserializeOwned>(parameters: &Value, key: &str) -> T {
        serde_json::from_value(parameters[key].clone()).unwrap_or_else(|e| panic!("{key}: {e}"))
    }
}

fn target(case: &Value) -> Target {
    case["parameters"]["target"].as_str().unwrap().parse().unwrap()
}

/// `SONICFORGE_GOLDEN=write cargo test --test golden` (`make golden`) writes what the library says now into the cases that
/// this runner gave birth to (`origin.script` is `golden.rs`), for the fields that they expect. Read the difference.
fn rewrite(path: &Path, case: &Value, actual: &Value) {
    if std::env::var_os("SONICFORGE_GOLDEN").is_none_or(|v| v != "write") || case["origin"]["script"] != "golden.rs" {
        return;
    }
    fn follow(expected: &mut Value, actual: &Value) {
        match (expected, actual) {
            (Value::Object(e), actual) => e.iter_mut().for_each(|(key, e)| follow(e, &actual[key.as_str()])),
            (e, actual) => *e = actual.clone(),
        }
    }
    let mut case = case.clone();
    follow(&mut case["expected"], actual);
    std::fs::write(path, serde_json::to_string_pretty(&case).unwrap() + "\n").unwrap();
}

fn input(case: &Value) -> AudioBuffer {
    let input = &case["input"];
    let signal: Signal = serde_json::from_value(input["signal"].clone()).unwrap();
    let number = |key: &str| input[key].as_f64().unwrap();
    signal.render(number("sample_rate") as u32, number("channels") as usize, number("seconds")).unwrap()
}

fn differences(actual: &Value, case: &Value) -> Vec<String> {
    let mut out = Vec::new();
    for (field, expected) in case["expected"].as_object().unwrap() {
        let tolerance = case["tolerance"][field].as_f64().unwrap_or(0.0);
        compare(&actual[field], expected, tolerance, field, &mut out);
    }
    out
}

fn compare(actual: &Value, expected: &Value, tolerance: f64, at: &str, out: &mut Vec<String>) {
    match (actual, expected) {
        (Value::Number(a), Value::Number(e)) => {
            let (a, e) = (a.as_f64().unwrap(), e.as_f64().unwrap());
            // Half a unit in the last place of what JSON prints is not a difference.
            if (a - e).abs() > tolerance + 1e-12 * e.abs() {
                out.push(format!("{at} is {a}, expected {e} ± {tolerance}"));
            }
        }
        (Value::Array(a), Value::Array(e)) if a.len() == e.len() => {
            for (i, (a, e)) in a.iter().zip(e).enumerate() {
                compare(a, e, tolerance, &format!("{at}[{i}]"), out);
            }
        }
        (Value::Object(a), Value::Object(e)) => {
            for (key, e) in e {
                compare(a.get(key).unwrap_or(&Value::Null), e, tolerance, &format!("{at}.{key}"), out);
            }
        }
        (a, e) if a == e => {}
        (a, e) => out.push(format!("{at} is {a}, expected {e}")),
    }
}

#[test]
fn the_comparison_sees_what_is_wrong() {
    let case = serde_json::json!({
        "expected": { "a": 1.0, "b": [1, null], "c": [{ "x": 2 }], "d": null },
        "tolerance": { "a": 0.1, "c": 0.5 }
    });
    let good = serde_json::json!({ "a": 1.05, "b": [1, null], "c": [{ "x": 2.4, "y": 1 }], "d": null });
    assert!(differences(&good, &case).is_empty());
    for bad in [
        serde_json::json!({ "a": 1.2, "b": [1, null], "c": [{ "x": 2 }], "d": null }),
        serde_json::json!({ "a": 1, "b": [1, 0], "c": [{ "x": 2 }], "d": null }),
        serde_json::json!({ "a": 1, "b": [1], "c": [{ "x": 2 }], "d": null }),
        serde_json::json!({ "a": 1, "b": [1, null], "c": [{ "x": 3 }], "d": null }),
        serde_json::json!({ "a": null, "b": [1, null], "c": [{ "x": 2 }], "d": null }),
        serde_json::json!({ "a": 1, "b": [1, null], "c": [{}], "d": null }),
    ] {
        assert_eq!(differences(&bad, &case).len(), 1, "{bad}");
    }
}
