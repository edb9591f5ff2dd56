//! The files of an index: a segment, a log, a manifest from strangers give tracks or an error, and what was read is whole.
//!
//! The first byte says which file the rest is; checksums are made right, so that what lies behind them is reached.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use sonicforge_core::fingerprint::{Fingerprint, Index, IndexOptions, QueryOptions, Sketch};
use sonicforge_core::testing::Signal;

/// A segment, a log and a manifest as they should be, and a query.
fn sound() -> &'static (Vec<u8>, Vec<u8>, Vec<u8>, Sketch) {
    static SOUND: OnceLock<(Vec<u8>, Vec<u8>, Vec<u8>, Sketch)> = OnceLock::new();
    SOUND.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let audio = Signal::Music { seed: 1 }.render(11_025, 1, 12.0).unwrap();
        let print = Fingerprint::of(&audio).unwrap();
        let mut index = Index::open(folder.path().join("index"), &IndexOptions::default()).unwrap();
        index.insert("a", &print).unwrap();
        index.insert("b", &print).unwrap();
        index.export(folder.path().join("file")).unwrap();
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        (read("file"), read("index/log-00000000"), read("index/manifest"), Sketch::of(&audio).unwrap())
    })
}

/// Changes bytes of a file as `edits` say: three bytes each, place (of 65 536, spread over the file) and what is XORed.
fn edited(file: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut out = file.to_vec();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]])) * out.len() / 65_536;
        out[at] ^= edit[2];
    }
    out
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    crc32fast::hash(bytes).to_le_bytes()
}

/// Makes the checksums of a segment right.
fn seal(bytes: &mut [u8]) {
    let Some(tail) = bytes.len().checked_sub(112).filter(|&t| t > 16) else { return };
    let checks = u64::from_le_bytes(bytes[tail + 80..tail + 88].try_into().unwrap()) as usize;
    if checks < tail && (tail - checks) / 4 == checks.div_ceil(1 << 14) {
        for block in 0..checks.div_ceil(1 << 14) {
            let sum = crc(&bytes[block << 14..((block + 1) << 14).min(checks)]);
            bytes[checks + 4 * block..checks + 4 * block + 4].copy_from_slice(&sum);
        }
    }
    let sum = crc(&bytes[..12]);
    bytes[12..16].copy_from_slice(&sum);
    let sum = crc(&bytes[tail..tail + 108]);
    bytes[tail + 108..].copy_from_slice(&sum);
}

fn look(index: &Index, query: &Sketch) {
    let _ = index.query(query, &QueryOptions { max_pitch_semitones: 0.0, max_tempo_percent: 0.0, ..QueryOptions::default() });
    let _ = index.check();
    let _ = index.snapshot().tracks(|_| Ok(()));
}

fuzz_target!(|data: &[u8]| {
    let Some((which, edits)) = data.split_first() else { return };
    let (segment, log, manifest, query) = sound();
    let folder = tempfile::tempdir().unwrap();
    if which % 3 == 0 {
        let mut bytes = edited(segment, edits);
        seal(&mut bytes);
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        let mut index = Index::new();
        if index.import(&path).is_ok() {
            look(&index, query);
        }
        return;
    }
    let (mut log, mut manifest) = (log.clone(), manifest.clone());
    if which % 3 == 1 {
        log = edited(&log, edits);
        if log.len() > 28 {
            let sum = crc(&[&log[20..24], &log[28..]].concat());
            log[24..28].copy_from_slice(&sum);
        }
    } else {
        manifest = edited(&manifest, edits);
        let line = manifest.iter().position(|&b| b == b'\n').map_or(manifest.len(), |at| at + 1);
        let sum = format!("{:08x}\n", crc32fast::hash(&manifest[..line]));
        manifest.truncate(line);
        manifest.extend_from_slice(sum.as_bytes());
    }
    std::fs::write(folder.path().join("log-00000000"), log).unwrap();
    std::fs::write(folder.path().join("manifest"), manifest).unwrap();
    if let Ok(index) = Index::open(folder.path(), &IndexOptions::default()) {
        look(&index, query);
    }
});
