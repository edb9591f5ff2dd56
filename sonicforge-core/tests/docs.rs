//! The tables of docs/master.md say what the code does: names, defaults and ranges of every setting, and the targets. (The code
//! blocks of the guide are tests of their own: see the end of `lib.rs`.)
#![cfg(feature = "master")]

use std::path::Path;

use serde_json::{Map, Value, json};
use sonicforge_core::master::{Preset, Target};

/// The page, or nothing where the crate is tested without its repository.
fn page() -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/master.md");
    path.parent()?.exists().then(|| std::fs::read_to_string(path).unwrap())
}

fn number(text: &str) -> f64 {
    text.trim().replace('−', "-").parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

/// The cells of a table's row.
fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

/// A preset of one module, in which `setting` has this value.
fn preset(module: &str, setting: &str, value: Value) -> Value {
    let mut fields = Map::new();
    fields.insert("type".into(), json!(module));
    match setting.strip_prefix("bands[].") {
        None => {
            fields.insert(setting.into(), value);
        }
        Some(inner) => {
            let bands = if module == "multiband" { 4 } else { 1 };
            fields.insert("bands".into(), json!(vec![json!({ inner: value }); bands]));
        }
    }
    json!({ "modules": [fields] })
}

fn read(preset: &Value) -> Result<Value, String> {
    let preset = Preset::from_json(&preset.to_string()).map_err(|e| e.to_string())?;
    Ok(serde_json::from_str::<Value>(&preset.to_json()).unwrap()["modules"][0].clone())
}

#[test]
fn the_settings_in_the_tables_are_those_of_the_code() {
    let Some(text) = page() else { return };
    let (mut module, mut rows) = (String::new(), 0);
    let mut named: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        if line.starts_with("## ") {
            module.clear();
        }
        if let Some(heading) = line.strip_prefix("### ") {
            module = heading.split('`').nth(1).expect("a heading ends with the module's name").into();
            named.push((module.clone(), Vec::new()));
        }
        if module.is_empty() || !line.starts_with("| `") {
            continue;
        }
        let row = cells(line);
        let (setting, default) = (row[0].trim_matches('`'), number(row[1]));
        let (low, high) = row[2].split_once(" to ").expect("a range");
        let (low, high) = (number(low), number(high));
        let what = format!("{module}: {setting}");
        // The default.
        let found = read(&preset(&module, "bands[].none", json!(0)).clone());
        assert!(found.is_err(), "{what}: unknown settings are refused");
        let bare = if setting.starts_with("bands[].") && module == "equalizer" {
            json!({ "modules": [{ "type": module, "bands": [{}] }] })
        } else {
            json!({ "modules": [{ "type": module }] })
        };
        let bare = read(&bare).unwrap();
        let value = match setting.strip_prefix("bands[].") {
            Some(inner) => &bare["bands"][0][inner],
            None => &bare[setting],
        };
        assert_eq!(value.as_f64(), Some(default), "{what}: default");
        // Both ends, and what lies beyond them.
        for end in [low, high] {
            assert!(read(&preset(&module, setting, json!(end))).is_ok(), "{what} = {end}");
        }
        for beyond in [low - 1e-6 * low.abs().max(1.0), high + 1e-6 * high.abs().max(1.0)] {
            let e = read(&preset(&module, setting, json!(beyond))).unwrap_err();
            assert!(e.contains(setting.trim_start_matches("bands[].")), "{what} = {beyond}: {e}");
        }
        named.last_mut().unwrap().1.push(setting.trim_start_matches("bands[].").into());
        rows += 1;
    }
    assert_eq!(named.len(), 8);
    assert!(rows > 30, "{rows} rows");
    // Nothing is left out.
    for (module, settings) in named {
        let bands = module == "multiband" || module == "equalizer";
        let all = if module == "equalizer" {
            read(&json!({ "modules": [{ "type": module, "bands": [{}] }] })).unwrap()
        } else {
            read(&json!({ "modules": [{ "type": module }] })).unwrap()
        };
        let fields = if bands { &all["bands"][0] } else { &all };
        for name in fields.as_object().unwrap().keys().filter(|n| *n != "type" && *n != "kind") {
            assert!(settings.contains(name), "{name} of {module} is not in the table");
        }
    }
}

#[test]
fn the_targets_in_the_table_are_those_of_the_code() {
    let Some(text) = page() else { return };
    let rows: Vec<Target> = text
        .lines()
        .filter(|l| l.starts_with("| `") && l.contains(" LUFS |"))
        .map(|l| {
            let row = cells(l);
            Target {
                name: row[0].trim_matches('`').into(),
                loudness_lufs: number(row[1].trim_end_matches("LUFS")),
                ceiling_dbtp: number(row[2].trim_end_matches("dBTP")),
            }
        })
        .collect();
    assert_eq!(rows, Target::all());
}
