//! Compressed fingerprints and landmarks, as text and as bytes: words or an error, never more memory than the input allows, and what was
//! read comes back when it is written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sonicforge_core::fingerprint::{Change, Chromaprint, ChromaprintPreset, Constellation, Fingerprint, Index, IndexTrack};

fuzz_target!(|data: &[u8]| {
    if let Ok(print) = Chromaprint::from_bytes(data) {
        assert!(print.words().len() <= data.len() * 8 / 3);
        assert_eq!(Chromaprint::from_bytes(&print.to_bytes()).unwrap(), print);
        let _ = print.simhash();
    }
    if let Ok(stars) = Constellation::from_bytes(data) {
        assert_eq!(Constellation::from_bytes(&stars.to_bytes()).unwrap(), stars);
        let track = IndexTrack {
            id: "stars".to_owned(),
            seconds: 1.0,
            note: String::new(),
            pcm: None,
            chromaprint: Chromaprint::from_words(ChromaprintPreset::Test2, Vec::new()).unwrap(),
            landmarks: stars,
        };
        let _ = Index::new().apply(vec![Change::Insert(track)]);
    }
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(print) = Chromaprint::decode(text) {
            assert_eq!(Chromaprint::decode(&print.encode()).unwrap(), print);
        }
        let _ = Fingerprint::from_json(text);
    }
});
