//! A checkpoint by its id on the Hugging Face hub.
//!
//! Source: <https://huggingface.co/docs/hub/api> and the cache layout of
//! <https://huggingface.co/docs/huggingface_hub/guides/manage-cache>, through the crate hf-hub. The cache is shared with
//! Python's huggingface_hub; what lies in it complete is used without asking the network.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};

use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use serde::Deserialize;

use super::folder;
use crate::error::{Error, Result};
use crate::progress::{Progress, Step, check};

/// How long the hub may take to answer at all.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(15);

/// What is fetched beside the weights, where it is there.
const DESCRIPTIONS: [&str; 5] = ["config.json", "generation_config.json", "tokenizer.json", "README.md", "LICENSE"];

const INDEX: &str = "model.safetensors.index.json";

/// The folder of the model `id` ("facebook/musicgen-small") at `revision` (a branch, a tag or a commit; `None` is
/// "main"), to be passed to whatever opens a checkpoint. A complete copy in the cache is returned as it is, without the
/// network; else what is missing is downloaded, and an interrupted download goes on where it stopped. `progress` hears
/// "download" with the share of all bytes, and stops it at the next bytes that arrive.
///
/// As everywhere on the hub, the environment may say where the cache is (`HF_HOME`, `HF_HUB_CACHE`), who asks
/// (`HF_TOKEN`), which server (`HF_ENDPOINT`), and that there is no network (`HF_HUB_OFFLINE`).
///
/// # Errors
/// [`Error::InvalidArgument`] for what is no id; [`Error::Io`] without a network or without such a model, naming the
/// cache; [`Error::Model`] for a model that has no safetensors; [`Error::Cancelled`].
pub fn resolve(id: &str, revision: Option<&str>, progress: &mut dyn Progress) -> Result<PathBuf> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let home = variable("HF_HOME").map(|home| Path::new(&home).join("hub"));
    let user = || std::env::home_dir().map(|home| home.join(".cache/huggingface/hub"));
    let cache = variable("HF_HUB_CACHE").map(PathBuf::from).or(home).or_else(user).ok_or_else(|| {
        Error::invalid("there is no home folder to keep a cache in; set HF_HOME to a folder that can be written to")
    })?;
    let token = variable("HF_TOKEN").or_else(|| Cache::new(cache.clone()).token());
    let offline = variable("HF_HUB_OFFLINE").is_some_and(|value| value != "0");
    let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".into());
    Hub { cache, token, endpoint: (!offline).then_some(endpoint) }.resolve(id, revision.unwrap_or("main"), progress)
}

/// Where to look.
pub(crate) struct Hub {
    pub cache: PathBuf,
    pub token: Option<String>,
    /// `None` when nobody shall be asked.
    pub endpoint: Option<String>,
}

/// What the hub says about a model.
#[derive(Deserialize)]
struct Listing {
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    #[serde(default)]
    size: Option<u64>,
}

impl Hub {
    pub fn resolve(&self, id: &str, revision: &str, progress: &mut dyn Progress) -> Result<PathBuf> {
        check_words(id, revision)?;
        check(progress, "the download", Step::new("download", 0.0))?;
        let repo = Repo::with_revision(id.into(), RepoType::Model, revision.into());
        if let Some(folder) = self.cached(&repo) {
            return Ok(folder);
        }
        let Some(endpoint) = &self.endpoint else {
            return Err(self.failed(id, "HF_HUB_OFFLINE is set"));
        };
        let builder = ApiBuilder::from_cache(Cache::new(self.cache.clone())).with_endpoint(endpoint.clone());
        let api = builder.with_progress(false).with_retries(3).with_token(self.token.clone()).build();
        let api = api.map_err(|e| self.failed(id, &e.to_string()))?;
        self.download(&api, id, &repo, progress)?;
        self.cached(&repo).ok_or_else(|| self.failed(id, "the model changed while it was downloaded; try again"))
    }

    /// The folder of a copy that has all its weights.
    fn cached(&self, repo: &Repo) -> Option<PathBuf> {
        let place = Cache::new(self.cache.clone()).repo(repo.clone());
        // A revision may be a commit, whose folder has no other name.
        let folder = match place.get("config.json") {
            Some(config) => config.parent()?.to_path_buf(),
            None => place.pointer_path(repo.revision()),
        };
        let has = |name: &str| folder.join(name).exists();
        let complete = has("config.json")
            && (has("model.safetensors") || {
                let shards = folder::shards(&folder).ok().flatten();
                shards.is_some_and(|shards| !shards.is_empty() && shards.iter().all(|shard| has(shard)))
            });
        complete.then_some(folder)
    }

    fn download(&self, api: &Api, id: &str, repo: &Repo, progress: &mut dyn Progress) -> Result<()> {
        let api = api.repo(repo.clone());
        let asked = api.info_request().query("blobs", "true").config().timeout_global(Some(PATIENCE)).build().call();
        let mut answer = asked.map_err(|e| self.failed(id, &e.to_string()))?;
        let listing: Listing = answer.body_mut().read_json().map_err(|e| self.failed(id, &e.to_string()))?;
        let size = |name: &str| listing.siblings.iter().find(|s| s.rfilename == name).map(|s| s.size.unwrap_or(0));
        // Not a path: a file beside config.json.
        let is_shard = |name: &str| name.ends_with(".safetensors") && !name.contains(['/', '\\']);

        let mut wanted: Vec<&str> = DESCRIPTIONS.into_iter().filter(|name| size(name).is_some()).collect();
        if size("model.safetensors").is_some() {
            wanted.push("model.safetensors");
        } else if size(INDEX).is_some() {
            wanted.push(INDEX);
            let names = listing.siblings.iter().map(|s| s.rfilename.as_str());
            wanted.extend(names.filter(|name| name.starts_with("model-") && is_shard(name)));
        } else {
            return Err(Error::Model(format!(
                "the model {id:?} of the hub has neither model.safetensors nor {INDEX}; expected one of them, beside \
                 config.json. Weights in other formats have to be converted first (with transformers: save_pretrained)"
            )));
        }
        let all: u64 = wanted.iter().filter_map(|name| size(name)).sum();
        let mut done = 0;
        let place = Cache::new(self.cache.clone()).repo(repo.clone());
        for name in wanted {
            if place.get(name).is_none() {
                let mut relay = Relay { progress: &mut *progress, before: done, here: 0, all };
                // The crate's progress cannot say stop, so the wish unwinds through it and is caught here.
                let outcome = catch_unwind(AssertUnwindSafe(|| api.download_with_progress(name, &mut relay)));
                match outcome {
                    Ok(Ok(_)) => {}
                    Ok(Err(ApiError::LockAcquisition(lock))) => {
                        let why = format!("another process downloads it too ({})", lock.display());
                        return Err(self.failed(id, &why));
                    }
                    Ok(Err(e)) => return Err(self.failed(id, &format!("{name}: {e}"))),
                    Err(reason) if reason.is::<Stopped>() => return Err(Error::Cancelled("the download")),
                    Err(_) => return Err(self.failed(id, &format!("{name}: the server's answer makes no sense"))),
                }
            }
            done += size(name).unwrap_or(0);
            check(progress, "the download", Step::new("download", share(done, all)))?;
        }
        Ok(())
    }

    /// Says what happened, where the cache is, and what can be done without the network.
    fn failed(&self, id: &str, why: &str) -> Error {
        let hint = if why.contains("401") || why.contains("403") || why.contains("404") {
            "check its spelling; for a private or gated model, set HF_TOKEN"
        } else {
            "connect to the network and call again, or copy the model's folder here and pass its path"
        };
        let why: String = why.chars().take(300).collect();
        let told = format!("the cache holds no complete copy of {id:?}, and it could not be downloaded: {why}; {hint}");
        Error::io("cannot find the model in", &self.cache, std::io::Error::new(std::io::ErrorKind::NotFound, told))
    }
}

/// What a download unwinds with when it is to stop.
struct Stopped;

/// Hands on the bytes of one file as the share of all.
struct Relay<'a> {
    progress: &'a mut dyn Progress,
    before: u64,
    here: u64,
    all: u64,
}

impl hf_hub::api::Progress for &mut Relay<'_> {
    fn init(&mut self, _: usize, _: &str) {
        // Called again by a retry, which counts from the bytes it has.
        self.here = 0;
    }

    fn update(&mut self, bytes: usize) {
        self.here += bytes as u64;
        let step = Step::new("download", share(self.before + self.here, self.all));
        if let ControlFlow::Break(()) = self.progress.report(step) {
            // Not a panic: no hook hears it.
            resume_unwind(Box::new(Stopped));
        }
    }

    fn finish(&mut self) {}
}

fn share(done: u64, all: u64) -> f64 {
    done as f64 / all.max(1) as f64
}

/// Both become parts of paths and of addresses.
fn check_words(id: &str, revision: &str) -> Result<()> {
    let plain = |word: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !word.is_empty()
            && word.len() <= 96
            && word.chars().all(known)
            && !word.starts_with('.')
            && !word.contains("..")
    };
    if id.split('/').count() > 2 || !id.split('/').all(plain) {
        let id: String = id.chars().take(100).collect();
        return Err(Error::invalid(format!(
            "{id:?} is no id of the hub; expected one like \"facebook/musicgen-small\""
        )));
    }
    if revision.len() > 200 || !revision.split('/').all(plain) {
        let revision: String = revision.chars().take(100).collect();
        return Err(Error::invalid(format!("{revision:?} is no revision; expected a branch, a tag or a commit")));
    }
    Ok(())
}
