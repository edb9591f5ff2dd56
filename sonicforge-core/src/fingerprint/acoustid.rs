//! What AcoustID's web service is asked and told: the parameters, well formed. Nothing here speaks to a network.
//!
//! <https://acoustid.org/webservice>. Both calls are a POST with a body of `application/x-www-form-urlencoded`
//! ([`form`]), which may be compressed with gzip. The service asks for three requests a second at most.

use serde::{Deserialize, Serialize};

use super::{Chromaprint, ChromaprintPreset};
use crate::error::{Error, Result};

/// Where look-ups are posted to.
pub const LOOKUP_URL: &str = "https://api.acoustid.org/v2/lookup";
/// Where submissions are posted to.
pub const SUBMIT_URL: &str = "https://api.acoustid.org/v2/submit";
/// How much of the beginning AcoustID's fingerprints are made of, in seconds.
pub const SECONDS: f64 = 120.0;
/// Longest track the service takes, in seconds.
const MAX_SECONDS: f64 = 32_767.0;
/// What a look-up may ask for besides ids.
const META: [&str; 12] = [
    "recordings",
    "recordingids",
    "releases",
    "releaseids",
    "releasegroups",
    "releasegroupids",
    "tracks",
    "compress",
    "usermeta",
    "sources",
    "puids",
    "isrcs",
];

/// One parameter: its name and its value, not yet escaped.
pub type Parameter = (String, String);

/// The parameters of a look-up.
///
/// `client` is the key of your application. `duration_s` is the length of the whole track, of whose beginning the
/// fingerprint is made; it is cut to 120 s here. `meta` are the things that are wanted besides ids, as `"recordings"`.
/// Errors when the service would refuse.
pub fn lookup(client: &str, duration_s: f64, print: &Chromaprint, meta: &[&str]) -> Result<Vec<Parameter>> {
    let mut out = vec![client_parameter(client)?, pair("format", "json")];
    if let Some(unknown) = meta.iter().find(|m| !META.contains(m)) {
        return Err(Error::invalid(format!("meta has \"{unknown}\"; AcoustID knows {}", META.join(", "))));
    }
    if !meta.is_empty() {
        out.push(pair("meta", meta.join(" ")));
    }
    out.push(pair("duration", seconds(duration_s)?));
    out.push(pair("fingerprint", text(print)?));
    Ok(out)
}

/// What is known of a track that is submitted. Everything may be missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Submission {
    /// Bit rate of the file in kbit/s.
    pub bitrate_kbps: Option<u32>,
    /// Format of the file, as `"FLAC"`.
    pub file_format: Option<String>,
    /// MusicBrainz recording id.
    pub mbid: Option<String>,
    /// Title.
    pub track: Option<String>,
    /// Artist of the track.
    pub artist: Option<String>,
    /// Album.
    pub album: Option<String>,
    /// Artist of the album.
    pub album_artist: Option<String>,
    /// Year of the release.
    pub year: Option<u32>,
    /// Number of the track on its disc.
    pub track_number: Option<u32>,
    /// Number of the disc.
    pub disc_number: Option<u32>,
}

/// One track of [`submit`]: its whole length in seconds, its fingerprint, and what is known of it.
pub type Submitted<'a> = (f64, &'a Chromaprint, &'a Submission);

/// The parameters of a submission of one or more tracks.
///
/// `client` is the key of your application, `user` that of its user. Errors when there is no track, or when the service would refuse.
pub fn submit(client: &str, user: &str, tracks: &[Submitted<'_>]) -> Result<Vec<Parameter>> {
    if user.trim().is_empty() {
        return Err(Error::invalid("user is empty; expected the key of an AcoustID user"));
    }
    if tracks.is_empty() {
        return Err(Error::invalid("there is no track to submit"));
    }
    let mut out = vec![client_parameter(client)?, pair("user", user), pair("format", "json")];
    for (i, (duration_s, print, known)) in tracks.iter().enumerate() {
        if let Some(mbid) = &known.mbid
            && !is_uuid(mbid)
        {
            return Err(Error::invalid(format!(
                "mbid is \"{mbid}\"; expected a MusicBrainz id of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
            )));
        }
        let mut put = |name: &str, value: Option<String>| {
            out.extend(value.filter(|v| !v.is_empty()).map(|v| (format!("{name}.{i}"), v)));
        };
        put("duration", Some(seconds(*duration_s)?));
        put("fingerprint", Some(text(print)?));
        put("bitrate", known.bitrate_kbps.map(|n| n.to_string()));
        put("fileformat", known.file_format.clone());
        put("mbid", known.mbid.clone());
        put("track", known.track.clone());
        put("artist", known.artist.clone());
        put("album", known.album.clone());
        put("albumartist", known.album_artist.clone());
        put("year", known.year.map(|n| n.to_string()));
        put("trackno", known.track_number.map(|n| n.to_string()));
        put("discno", known.disc_number.map(|n| n.to_string()));
    }
    Ok(out)
}

/// The parameters as the body of a POST, `application/x-www-form-urlencoded` (WHATWG URL §5.2).
pub fn form(parameters: &[Parameter]) -> String {
    let mut out = String::new();
    for (name, value) in parameters {
        if !out.is_empty() {
            out.push('&');
        }
        escape(name, &mut out);
        out.push('=');
        escape(value, &mut out);
    }
    out
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

fn pair(name: &str, value: impl Into<String>) -> Parameter {
    (name.into(), value.into())
}

fn client_parameter(client: &str) -> Result<Parameter> {
    if client.trim().is_empty() {
        return Err(Error::invalid("client is empty; expected the key of an application registered with AcoustID"));
    }
    Ok(pair("client", client))
}

/// Whole seconds, cut, as fpcalc prints them.
fn seconds(duration_s: f64) -> Result<String> {
    let whole = crate::error::in_range("duration_s", duration_s, 1.0, MAX_SECONDS)?.floor();
    Ok(whole.to_string())
}

fn text(print: &Chromaprint) -> Result<String> {
    if print.preset() != ChromaprintPreset::Test2 {
        return Err(Error::invalid(format!(
            "the Chromaprint was made by {}; AcoustID takes test2 only",
            print.preset()
        )));
    }
    if print.words().is_empty() {
        return Err(Error::invalid("the Chromaprint has no words; AcoustID needs a sound of at least 3 s"));
    }
    Ok(print.first(SECONDS).encode())
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(i, b)| if [8, 13, 18, 23].contains(&i) { b == b'-' } else { b.is_ascii_hexdigit() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print() -> Chromaprint {
        let words = (0..2_000u32).map(|n| n.wrapping_mul(0x9E37_79B9)).collect();
        Chromaprint::from_words(ChromaprintPreset::Test2, words).unwrap()
    }

    #[test]
    fn a_look_up() {
        let found = lookup("key", 241.9, &print(), &["recordings", "compress"]).unwrap();
        let value = |name: &str| found.iter().find(|p| p.0 == name).map(|p| p.1.as_str());
        assert_eq!(value("client"), Some("key"));
        assert_eq!(value("duration"), Some("241"));
        assert_eq!(value("meta"), Some("recordings compress"));
        let sent = Chromaprint::decode(value("fingerprint").unwrap()).unwrap();
        assert_eq!(sent.words(), &print().words()[..948]);
        assert!(
            form(&found).starts_with("client=key&format=json&meta=recordings+compress&duration=241&fingerprint=AQAD")
        );
    }

    #[test]
    fn a_submission() {
        let known = Submission {
            track: Some("Más & más".into()),
            year: Some(1_999),
            album: Some(String::new()),
            mbid: Some("4e0d8649-1f89-44d9-8ea2-9b1c1e3a2d4f".into()),
            ..Submission::default()
        };
        let print = print();
        let found = submit("key", "user", &[(241.0, &print, &Submission::default()), (180.0, &print, &known)]).unwrap();
        let names: Vec<&str> = found.iter().map(|p| p.0.as_str()).collect();
        let wanted = "client user format duration.0 fingerprint.0 duration.1 fingerprint.1 mbid.1 track.1 year.1";
        assert_eq!(names.join(" "), wanted);
        assert!(form(&found).contains("track.1=M%C3%A1s+%26+m%C3%A1s&year.1=1999"));
    }

    #[test]
    fn what_the_service_would_refuse() {
        let print = print();
        let none = Chromaprint::from_words(ChromaprintPreset::Test2, Vec::new()).unwrap();
        let other = Chromaprint::from_words(ChromaprintPreset::Test5, vec![1]).unwrap();
        let bad = Submission { mbid: Some("song".into()), ..Submission::default() };
        let errors = [
            (lookup("", 10.0, &print, &[]), "client is empty"),
            (lookup("k", f64::NAN, &print, &[]), "duration_s is NaN"),
            (lookup("k", 40_000.0, &print, &[]), "1 to 32767"),
            (lookup("k", 10.0, &print, &["recording"]), "\"recording\""),
            (lookup("k", 10.0, &none, &[]), "no words"),
            (lookup("k", 10.0, &other, &[]), "test5"),
            (submit("k", " ", &[]), "user is empty"),
            (submit("k", "u", &[]), "no track"),
            (submit("k", "u", &[(10.0, &print, &bad)]), "mbid is \"song\""),
        ];
        for (result, wanted) in errors {
            let error = result.unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
            assert_eq!(error.code(), "SF_INVALID_ARGUMENT");
        }
    }
}
