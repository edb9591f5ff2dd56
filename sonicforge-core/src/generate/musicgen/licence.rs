//! Under which licence weights are.
//!
//! Source: the front matter of a model card (<https://huggingface.co/docs/hub/model-cards#model-card-metadata>). The
//! weights Meta published as MusicGen are CC-BY-NC-4.0: not for commercial use. A host has to be able to show it.

use serde_json::Value;

/// What is said when nothing in a checkpoint says it.
pub(crate) const UNKNOWN: &str = "unknown";

/// No licence's name is longer.
const LONGEST: usize = 100;

/// From the model card (`README.md`), the first line of a licence file, or the names in `config.json`, in this order;
/// else [`UNKNOWN`]. Never an error: a card is not needed to run a model.
pub(crate) fn licence(card: Option<&str>, licence_file: Option<&str>, config: &[u8]) -> String {
    let known = || published_by_meta(config).then(|| "CC-BY-NC-4.0".to_owned());
    card.and_then(from_card)
        .or_else(|| licence_file.and_then(|text| tidy(text.lines().find(|line| !line.trim().is_empty())?)))
        .or_else(known)
        .unwrap_or_else(|| UNKNOWN.to_owned())
}

/// `license:` of the front matter, its `license_name:` where that says "other".
fn from_card(card: &str) -> Option<String> {
    let front = card.trim_start_matches('\u{feff}').strip_prefix("---")?;
    let field = |key: &str| {
        let lines = front.lines().skip(1).take_while(|line| line.trim_end() != "---");
        let value = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(':')).next()?;
        tidy(value.split(" #").next()?.trim().trim_matches(['"', '\'']))
    };
    let licence = field("license")?;
    let named = || field("license_name");
    Some(match licence.as_str() {
        "other" => named().unwrap_or(licence),
        "cc-by-nc-4.0" => "CC-BY-NC-4.0".into(),
        _ => licence,
    })
}

/// On one line and not too long; `None` when nothing is left.
pub(crate) fn tidy(text: &str) -> Option<String> {
    let text: String = text.trim().chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    (!text.is_empty()).then_some(text)
}

/// Whether `_name_or_path` is one of Meta's checkpoints.
fn published_by_meta(config: &[u8]) -> bool {
    let Ok(Value::Object(config)) = serde_json::from_slice(config) else { return false };
    let name = |v: &Value| v.get("_name_or_path").and_then(Value::as_str).map(str::to_owned);
    let whole = config.get("_name_or_path").and_then(Value::as_str).map(str::to_owned);
    let decoder = config.get("decoder").and_then(name);
    whole.into_iter().chain(decoder).any(|name| {
        // "facebook/musicgen-small", or a folder of the Hub's cache.
        let name = name.replace("models--", "").replace("--", "/");
        name.contains("facebook/musicgen-") || name.contains("facebook/magnet-")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_speaks_first() {
        let card = "---\ntags:\n- music\nlicense: cc-by-nc-4.0 # Meta's\n---\nlicense: mit\n";
        assert_eq!(licence(Some(card), Some("MIT License\n"), b"{}"), "CC-BY-NC-4.0");
        let other = "---\nlicense: other\nlicense_name: \"my-terms\"\n---\n";
        assert_eq!(licence(Some(other), None, b"{}"), "my-terms");
        assert_eq!(licence(Some("---\nlicense: apache-2.0\r\n---"), None, b"{}"), "apache-2.0");
    }

    #[test]
    fn without_a_card() {
        assert_eq!(licence(Some("# no front matter\nlicense: mit"), Some("\n  MIT License\n"), b"{}"), "MIT License");
        let meta = br#"{"decoder": {"_name_or_path": "/cache/models--facebook--musicgen-large/snapshots/1"}}"#;
        assert_eq!(licence(None, None, meta), "CC-BY-NC-4.0");
        assert_eq!(licence(None, None, br#"{"_name_or_path": "facebook/musicgen-small"}"#), "CC-BY-NC-4.0");
        assert_eq!(licence(None, None, br#"{"_name_or_path": "mine/own"}"#), UNKNOWN);
        assert_eq!(licence(Some("---\nlicense:\n---"), Some("  \n"), b"not json"), UNKNOWN);
        let long = format!("---\nlicense: {}\n---", "x".repeat(10_000));
        assert_eq!(licence(Some(&long), None, b"{}").len(), LONGEST);
    }
}
