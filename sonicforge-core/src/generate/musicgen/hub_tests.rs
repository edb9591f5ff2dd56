//! The hub, played by a server on this machine.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::checkpoint::Checkpoint;
use super::hub::Hub;
use super::tiny;
use crate::error::Error;
use crate::progress::{NoProgress, Step};

type Files = Vec<(String, Vec<u8>)>;

/// Answers what hf-hub asks for the model "some/model"; counts the requests.
struct Server {
    address: String,
    asked: Arc<AtomicUsize>,
    files: Arc<Mutex<Files>>,
}

impl Server {
    fn start(files: Files) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (asked, files) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(files)));
        let (counter, shelf) = (asked.clone(), files.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, Ordering::SeqCst);
                let shelf = shelf.lock().unwrap().clone();
                // A client that hangs up is one of the cases.
                std::thread::spawn(move || answer(&mut stream.unwrap(), &shelf).ok());
            }
        });
        Self { address, asked, files }
    }

    fn hub(&self, cache: &Path) -> Hub {
        Hub { cache: cache.into(), token: None, endpoint: Some(self.address.clone()) }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn answer(stream: &mut TcpStream, files: &Files) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut start = None;
    for line in lines {
        let line = line?.to_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            let (from, to) = range.split_once('-').unwrap();
            start = Some((from.parse::<usize>().unwrap(), to.parse::<usize>().ok()));
        }
        if line.is_empty() {
            break;
        }
    }
    let mut send = |status: &str, headers: &str, body: &[u8]| -> std::io::Result<()> {
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n")?;
        stream.write_all(body)
    };
    if path.starts_with("/api/models/some/model/revision/main?") {
        let siblings: Vec<Value> = files.iter().map(|(n, b)| json!({"rfilename": n, "size": b.len()})).collect();
        return send(
            "200 OK",
            "content-type: application/json\r\n",
            json!({"siblings": siblings}).to_string().as_bytes(),
        );
    }
    let name = path.strip_prefix("/some/model/resolve/main/");
    let Some((name, bytes)) = name.and_then(|name| files.iter().find(|(n, _)| n == name)) else {
        return send("404 Not Found", "", b"");
    };
    let (from, to) = start.unwrap_or((0, None));
    let end = to.map_or(bytes.len(), |to| (to + 1).min(bytes.len()));
    let headers = format!(
        "etag: \"{name}-etag\"\r\nx-repo-commit: 0123abcd\r\ncontent-range: bytes {from}-{end}/{}\r\n",
        bytes.len()
    );
    send("206 Partial Content", &headers, &bytes[from.min(end)..end])
}

fn checkpoint_files() -> Files {
    vec![
        ("README.md".into(), b"---\nlicense: cc-by-nc-4.0\n---\n".to_vec()),
        ("config.json".into(), tiny::config().to_string().into_bytes()),
        ("model.safetensors".into(), tiny::safetensors(&tiny::tensors())),
        ("pytorch_model.bin".into(), vec![0; 1000]),
    ]
}

fn resolve(hub: &Hub) -> Result<PathBuf, Error> {
    hub.resolve("some/model", "main", &mut NoProgress)
}

#[test]
fn a_model_is_fetched_once() {
    let (server, cache) = (Server::start(checkpoint_files()), TempDir::new().unwrap());
    let hub = server.hub(cache.path());
    let mut seen = Vec::new();
    let mut watch = |step: Step| {
        seen.push(step.fraction);
        ControlFlow::Continue(())
    };
    let folder = hub.resolve("some/model", "main", &mut watch).unwrap();
    assert!(seen.is_sorted() && seen[0] == 0.0 && seen.last() == Some(&1.0), "{seen:?}");
    let checkpoint = Checkpoint::open(&folder).unwrap();
    assert_eq!(checkpoint.licence(), "CC-BY-NC-4.0");
    assert!(!folder.join("pytorch_model.bin").exists());
    // The second time nobody is asked; nor is anybody when there is no network.
    let asked = server.asked();
    assert_eq!(resolve(&hub).unwrap(), folder);
    let offline = Hub { endpoint: None, ..server.hub(cache.path()) };
    assert_eq!(resolve(&offline).unwrap(), folder);
    // A commit is a revision too.
    assert_eq!(offline.resolve("some/model", "0123abcd", &mut NoProgress).unwrap(), folder);
    assert_eq!(server.asked(), asked);
}

#[test]
fn shards_are_fetched_all() {
    let tensors = tiny::tensors();
    let (one, two) = tensors.split_at(9);
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let map: serde_json::Map<String, Value> =
        tensors.iter().enumerate().map(|(i, t)| (t.name.clone(), json!(names[usize::from(i >= 9)]))).collect();
    let files: Files = vec![
        ("config.json".into(), tiny::config().to_string().into_bytes()),
        ("model.safetensors.index.json".into(), json!({"weight_map": map}).to_string().into_bytes()),
        (names[0].into(), tiny::safetensors(one)),
        (names[1].into(), tiny::safetensors(two)),
        ("model-x/../../out.safetensors".into(), vec![]),
    ];
    let (server, cache) = (Server::start(files), TempDir::new().unwrap());
    let folder = resolve(&server.hub(cache.path())).unwrap();
    Checkpoint::open(&folder).unwrap();
    // Half a copy is not taken for one.
    fs::remove_file(folder.join(names[1])).unwrap();
    let offline = Hub { endpoint: None, ..server.hub(cache.path()) };
    assert_eq!(resolve(&offline).unwrap_err().code(), "SF_IO");
    assert_eq!(resolve(&server.hub(cache.path())).unwrap(), folder);
}

#[test]
fn a_download_stops_and_goes_on() {
    let mut files = checkpoint_files();
    // Large enough to come in pieces.
    files[2].1.extend(vec![0; 3 << 20]);
    let (server, cache) = (Server::start(files), TempDir::new().unwrap());
    let hub = server.hub(cache.path());
    let mut stop = |step: Step| if step.fraction > 0.5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let error = hub.resolve("some/model", "main", &mut stop).unwrap_err();
    assert_eq!(error.code(), "SF_CANCELLED");
    let blobs = || fs::read_dir(cache.path().join("models--some--model/blobs")).unwrap().map(|f| f.unwrap().path());
    let part = blobs().find(|path| path.extension().is_some_and(|e| e == "part")).expect("what came is kept");
    assert!(fs::metadata(part).unwrap().len() > 1 << 20);
    let folder = resolve(&hub).unwrap();
    assert!(fs::read(folder.join("model.safetensors")).unwrap() == server.files.lock().unwrap()[2].1);
}

#[test]
fn what_is_not_there_is_told() {
    let cache = TempDir::new().unwrap();
    let says = |hub: &Hub, id: &str, code: &str, words: &[&str]| {
        let error = hub.resolve(id, "main", &mut NoProgress).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        for word in words {
            assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
        }
    };
    let cache_path = cache.path().display().to_string();
    let offline = Hub { cache: cache.path().into(), token: None, endpoint: None };
    says(&offline, "some/model", "SF_IO", &[&cache_path, "HF_HUB_OFFLINE", "pass its path"]);
    // A port where nobody listens.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = Hub { endpoint: Some(format!("http://{closed}")), ..offline };
    says(&nobody, "some/model", "SF_IO", &[&cache_path, "connect to the network"]);
    let server = Server::start(checkpoint_files());
    let hub = server.hub(cache.path());
    says(&hub, "other/model", "SF_IO", &["\"other/model\"", "404", "spelling", "HF_TOKEN"]);
    server.files.lock().unwrap().retain(|(name, _)| name != "model.safetensors");
    says(&hub, "some/model", "SF_MODEL", &["\"some/model\"", "model.safetensors"]);
    let asked = server.asked();
    for id in ["", "/", "a/b/c", "../../etc", "a/..", ".hidden/x", "a b", "a/b?x=1", "a/b#c", "\u{1f3b5}/x", "a//b"] {
        says(&hub, id, "SF_INVALID_ARGUMENT", &["no id of the hub"]);
    }
    for revision in ["", "a/../b", "main?x", "a b", "/main"] {
        let error = hub.resolve("some/model", revision, &mut NoProgress).unwrap_err();
        assert!(matches!(&error, Error::InvalidArgument(what) if what.contains("no revision")), "{error}");
    }
    assert_eq!(server.asked(), asked);
}
