//! A chain as a file: JSON or TOML, with a schema version.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::master::chain::Module;
use crate::master::de_esser::DeEsserParams;
use crate::master::equalizer::{BandKind, EqualizerBand, EqualizerParams};
use crate::master::exciter::ExciterParams;
use crate::master::glue::GlueParams;
use crate::master::multiband::{BandParams, MultibandParams};
use crate::master::widener::WidenerParams;

/// The version of the format that this library writes; it reads this one and all before it.
pub const PRESET_SCHEMA: u32 = 1;
/// How deep chains may nest.
const MAX_DEPTH: usize = 8;
/// How many modules one chain may have.
const MAX_MODULES: usize = 64;

/// An ordered list of modules with their settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// Version of the format, 1.
    #[serde(default = "schema")]
    pub schema: u32,
    /// For people.
    #[serde(default)]
    pub name: String,
    /// In the order in which the sound passes them.
    #[serde(default)]
    pub modules: Vec<Module>,
}

fn schema() -> u32 {
    PRESET_SCHEMA
}

impl Preset {
    /// A preset of these modules.
    pub fn new(name: impl Into<String>, modules: Vec<Module>) -> Self {
        Self { schema: PRESET_SCHEMA, name: name.into(), modules }
    }

    /// Errors when the schema is from the future, the nesting too deep, or a setting out of range (naming the module).
    pub fn validate(&self) -> Result<()> {
        self.validate_at(0)
    }

    pub(crate) fn validate_at(&self, depth: usize) -> Result<()> {
        if self.schema == 0 || self.schema > PRESET_SCHEMA {
            return Err(Error::Unsupported(format!(
                "preset schema {}; this version reads 1 to {PRESET_SCHEMA} (a newer SonicForge may have written it)",
                self.schema
            )));
        }
        if depth > MAX_DEPTH {
            return Err(Error::invalid(format!("chains nest deeper than {MAX_DEPTH}")));
        }
        if self.modules.len() > MAX_MODULES {
            return Err(Error::invalid(format!(
                "{} modules in one chain; expected at most {MAX_MODULES}",
                self.modules.len()
            )));
        }
        for (i, module) in self.modules.iter().enumerate() {
            module.validate_at(depth).map_err(|e| match e {
                Error::InvalidArgument(m) => Error::InvalidArgument(format!("modules[{i}] ({}): {m}", module.name())),
                other => other,
            })?;
        }
        Ok(())
    }

    /// Reads JSON. Unknown fields, wrong types and values out of range are errors that name the place.
    pub fn from_json(text: &str) -> Result<Self> {
        let preset: Self = serde_json::from_str(text)
            .map_err(|e| Error::Format(format!("preset is not valid JSON of its schema: {e}")))?;
        preset.validate()?;
        Ok(preset)
    }

    /// Writes JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a preset has no maps with odd keys")
    }

    /// Reads TOML. Errors as [`Self::from_json`].
    pub fn from_toml(text: &str) -> Result<Self> {
        let preset: Self =
            toml::from_str(text).map_err(|e| Error::Format(format!("preset is not valid TOML of its schema: {e}")))?;
        preset.validate()?;
        Ok(preset)
    }

    /// Writes TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("a preset has no maps with odd keys")
    }

    /// Reads a file; `.toml` is TOML, anything else JSON.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("cannot read preset", path, e))?;
        if is_toml(path) { Self::from_toml(&text) } else { Self::from_json(&text) }
    }

    /// Writes a file under a temporary name and renames it; `.toml` is TOML, anything else JSON.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.validate()?;
        let path = path.as_ref();
        let text = if is_toml(path) { self.to_toml() } else { self.to_json() };
        write_whole(path, text.as_bytes())
    }

    /// The names that [`Self::named`] knows.
    pub fn names() -> &'static [&'static str] {
        &["neutral", "gentle", "balanced", "loud", "voice"]
    }

    /// A preset of the house. The thresholds of all of them are meant for a sound at −18 LUFS.
    pub fn named(name: &str) -> Result<Self> {
        let band = |threshold_db, ratio, attack_ms, release_ms| BandParams {
            threshold_db,
            ratio,
            knee_db: 8.0,
            attack_ms,
            release_ms,
            slow_release_ms: 800.0,
            makeup_db: 0.0,
        };
        let rumble = EqualizerBand { kind: BandKind::HighPass, frequency_hz: 22.0, gain_db: 0.0, q: 0.707 };
        let multiband = |ratio: f64, lower_by: f64| {
            Module::Multiband(MultibandParams {
                crossovers_hz: vec![120.0, 1_200.0, 6_000.0],
                bands: vec![
                    band(-16.0 - lower_by, ratio, 30.0, 180.0),
                    band(-16.0 - lower_by, ratio, 20.0, 140.0),
                    band(-20.0 - lower_by, ratio, 10.0, 100.0),
                    band(-26.0 - lower_by, ratio, 5.0, 70.0),
                ],
            })
        };
        let exciter = |db| Module::Exciter(ExciterParams { frequency_hz: 4_000.0, even_db: db, odd_db: db - 6.0 });
        let widener =
            |width, decorrelation| Module::Widener(WidenerParams { width, mono_below_hz: 110.0, decorrelation });
        let glue = |ratio, threshold_db| Module::Glue(GlueParams { ratio, threshold_db, ..GlueParams::default() });
        let modules = match name {
            "neutral" => vec![],
            "gentle" => vec![Module::Equalizer(EqualizerParams { bands: vec![rumble] }), multiband(1.3, 0.0)],
            "balanced" => vec![
                Module::Equalizer(EqualizerParams { bands: vec![rumble] }),
                Module::DeEsser(DeEsserParams::default()),
                multiband(1.6, 0.0),
                exciter(-30.0),
                widener(1.08, 0.0),
            ],
            "loud" => vec![
                Module::Equalizer(EqualizerParams { bands: vec![rumble] }),
                Module::DeEsser(DeEsserParams::default()),
                multiband(2.5, 2.0),
                glue(1.5, -14.0),
                exciter(-26.0),
                widener(1.12, 0.0),
            ],
            "voice" => vec![
                Module::Equalizer(EqualizerParams {
                    bands: vec![
                        EqualizerBand { kind: BandKind::HighPass, frequency_hz: 75.0, gain_db: 0.0, q: 0.707 },
                        EqualizerBand { kind: BandKind::Peak, frequency_hz: 300.0, gain_db: -1.5, q: 1.0 },
                        EqualizerBand { kind: BandKind::Peak, frequency_hz: 3_500.0, gain_db: 1.5, q: 0.8 },
                    ],
                }),
                Module::DeEsser(DeEsserParams { relative_db: -14.0, ..DeEsserParams::default() }),
                glue(2.5, -22.0),
            ],
            other => {
                return Err(Error::invalid(format!(
                    "no preset is called {other:?}; expected one of {}",
                    Self::names().join(", ")
                )));
            }
        };
        Ok(Self::new(name, modules))
    }
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"))
}

/// All or nothing: a temporary file beside the target, then a rename.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name =
        path.file_name().ok_or_else(|| Error::invalid(format!("{} names no file", path.display())))?.to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let done = std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
    done.map_err(|e| {
        let _ = std::fs::remove_file(&temporary);
        Error::io("cannot write", path, e)
    })
}
