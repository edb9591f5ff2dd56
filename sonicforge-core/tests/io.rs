//! Files in and out: what is written comes back, what is damaged is refused, nothing half-written stays.
#![cfg(feature = "io")]

use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::io::{self, Container, Dither, Reader, SampleFormat, WriteOptions, Writer};
use sonicforge_core::testing::Signal;

fn options(container: Container, sample_format: SampleFormat, dither: Dither) -> WriteOptions {
    WriteOptions { container: Some(container), sample_format, dither, ..Default::default() }
}

/// What a file of `bits` holds of `buffer` when nothing is added.
fn on_grid(buffer: &AudioBuffer, bits: u32) -> AudioBuffer {
    let scale = (1u64 << (bits - 1)) as f64;
    let mut out = buffer.clone();
    for x in out.samples_mut() {
        *x = ((f64::from(*x) * scale).round_ties_even().clamp(-scale, scale - 1.0) / scale) as f32;
    }
    out
}

#[test]
fn what_is_written_comes_back() {
    for channels in 1..=8 {
        for rate in [8_000, 44_100, 48_000, 96_000, 192_000, 384_000] {
            let sound = Signal::Music { seed: 3 }.render(rate, channels, 0.1).unwrap();
            for (container, format, bits) in [
                (Container::Wav, SampleFormat::Int16, 16),
                (Container::Wav, SampleFormat::Int24, 24),
                (Container::Wav, SampleFormat::Float32, 0),
                (Container::Flac, SampleFormat::Int16, 16),
                (Container::Flac, SampleFormat::Int24, 24),
            ] {
                let bytes = io::write_bytes(&sound, &options(container, format, Dither::None)).unwrap();
                let back = io::read_bytes(bytes).unwrap();
                let expected = if bits == 0 { sound.clone() } else { on_grid(&sound, bits) };
                assert_eq!(back, expected, "{container:?} {format:?} {channels} channels {rate} Hz");
            }
        }
    }
}

#[test]
fn lengths_around_a_block() {
    for frames in [0, 1, 2, 15, 16, 31, 32, 33, 63, 64, 4_095, 4_096, 4_097, 8_192, 8_193] {
        for channels in [1, 2, 3] {
            let mut sound = Signal::Noise { level_dbfs: 0.0, seed: 9 }.render(44_100, channels, 0.2).unwrap();
            sound = AudioBuffer::from_channels(
                44_100,
                &(0..channels).map(|c| sound.channel(c)[..frames].to_vec()).collect::<Vec<_>>(),
            )
            .unwrap();
            for container in [Container::Wav, Container::Flac] {
                let bytes = io::write_bytes(&sound, &options(container, SampleFormat::Int24, Dither::None)).unwrap();
                let back = io::read_bytes(bytes).unwrap();
                assert_eq!(back, on_grid(&sound, 24), "{container:?} {frames} frames {channels} channels");
            }
        }
    }
}

#[test]
fn the_writer_shows_what_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.wav", "a.flac"] {
        let path = folder.path().join(name);
        let mut sound = Signal::Music { seed: 1 }.render(48_000, 2, 0.5).unwrap();
        let mut writer =
            Writer::create(&path, 48_000, 2, &WriteOptions { seed: 5, ..WriteOptions::new(SampleFormat::Int16) })
                .unwrap();
        for start in (0..sound.frames()).step_by(777) {
            let end = (start + 777).min(sound.frames());
            writer.write(&mut sound.block_range(start, end)).unwrap();
        }
        assert!(!path.exists());
        writer.finish().unwrap();
        assert_eq!(io::read(&path).unwrap(), sound);
        // The same seed writes the same bytes, at whatever block size.
        let again = folder.path().join(format!("again-{name}"));
        let original = Signal::Music { seed: 1 }.render(48_000, 2, 0.5).unwrap();
        io::write(&again, &original, &WriteOptions { seed: 5, ..WriteOptions::new(SampleFormat::Int16) }).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&again).unwrap());
    }
}

#[test]
fn a_reader_goes_back() {
    let sound = Signal::Music { seed: 2 }.render(44_100, 2, 0.5).unwrap();
    let bytes = io::write_bytes(&sound, &options(Container::Flac, SampleFormat::Int24, Dither::None)).unwrap();
    let mut reader = Reader::from_bytes(bytes).unwrap();
    assert_eq!(reader.info().frames, Some(22_050));
    let mut a = AudioBuffer::new(44_100, 2, 1_000).unwrap();
    let mut b = a.clone();
    assert_eq!(reader.read(&mut a.block()).unwrap(), 1_000);
    assert_eq!(reader.read(&mut b.block()).unwrap(), 1_000);
    assert_ne!(a, b);
    reader.rewind().unwrap();
    assert_eq!(reader.read(&mut b.block()).unwrap(), 1_000);
    assert_eq!(a, b);
}

/// Writes the sources that `fixtures/make.sh` encodes, into the folder `SONICFORGE_FIXTURES`.
#[test]
#[ignore = "only needed to make the fixtures anew"]
fn make_fixture_sources() {
    let folder = std::path::PathBuf::from(std::env::var_os("SONICFORGE_FIXTURES").expect("a folder"));
    for (name, rate, channels, frames) in SOURCES {
        let sound = source(rate, channels, frames);
        let options = options(Container::Wav, SampleFormat::Float32, Dither::None);
        io::write(folder.join(name), &sound, &options).unwrap();
    }
}

const SOURCES: [(&str, u32, usize, usize); 5] = [
    ("m44.wav", 44_100, 2, 12_789),
    ("m48.wav", 48_000, 2, 13_111),
    ("s44.wav", 44_100, 2, 499),
    ("s48x6.wav", 48_000, 6, 300),
    ("m22.wav", 22_050, 1, 6_001),
];

/// The sound that the fixtures were made from.
fn source(rate: u32, channels: usize, frames: usize) -> AudioBuffer {
    Signal::Music { seed: 11 }.render(rate, channels, frames as f64 / f64::from(rate)).unwrap()
}

fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// Largest difference of two sounds of the same shape.
fn difference(a: &AudioBuffer, b: &AudioBuffer) -> f32 {
    assert_eq!((a.sample_rate(), a.channels(), a.frames()), (b.sample_rate(), b.channels(), b.frames()));
    a.samples().iter().zip(b.samples()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn lossless_fixtures_come_back() {
    // Name, format, codec, bits, largest error in steps of 2^-23.
    let cases = [
        ("u8.wav", "wav", "pcm_u8", Some(8), 65_536.0),
        ("s16.wav", "wav", "pcm_s16le", Some(16), 256.0),
        ("s24.wav", "wav", "pcm_s24le", Some(24), 1.0),
        ("s32.wav", "wav", "pcm_s32le", Some(32), 1.0),
        ("f32.wav", "wav", "pcm_f32le", Some(32), 0.0),
        ("f64.wav", "wav", "pcm_f64le", Some(64), 0.0),
        ("rf64.wav", "wav", "pcm_s16le", Some(16), 256.0),
        ("x6.wav", "wav", "pcm_s24le", Some(24), 1.0),
        ("s16.aiff", "aiff", "pcm_s16be", Some(16), 256.0),
        ("s24.aiff", "aiff", "pcm_s24be", Some(24), 1.0),
        ("f32.aiff", "aiff", "pcm_f32be", Some(32), 0.0),
        ("s16.flac", "flac", "flac", Some(16), 256.0),
        ("s24.flac", "flac", "flac", Some(24), 1.0),
        ("alac16.m4a", "m4a", "alac", Some(16), 256.0),
        ("alac24.m4a", "m4a", "alac", Some(24), 1.0),
        ("cover.flac", "flac", "flac", Some(16), 256.0),
        ("cover.m4a", "m4a", "alac", Some(24), 1.0),
    ];
    let mut failures = Vec::new();
    for (name, format, codec, bits, steps) in cases {
        let expected = if name == "x6.wav" { source(48_000, 6, 300) } else { source(44_100, 2, 499) };
        let got = match io::read(fixture(name)) {
            Ok(got) => got,
            Err(e) => {
                failures.push(format!("{name}: {e}"));
                continue;
            }
        };
        let info = io::info(fixture(name)).unwrap();
        let said = (info.format.as_str(), info.codec.as_str(), info.bits_per_sample, info.frames);
        if said != (format, codec, bits, Some(expected.frames() as u64)) {
            failures.push(format!("{name}: says {said:?}"));
        }
        if got.frames() != expected.frames() {
            failures.push(format!("{name}: {} frames", got.frames()));
        } else if difference(&got, &expected) > steps / 8_388_608.0 {
            failures.push(format!("{name}: off by {}", difference(&got, &expected) * 8_388_608.0));
        }
        // Bytes give what the path gives.
        assert_eq!(io::read_bytes(std::fs::read(fixture(name)).unwrap()).unwrap(), got);
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

/// How many frames `got` lags behind `source` (by correlation), and how much of `source` it is at that lag (1: all).
fn lag(got: &AudioBuffer, source: &AudioBuffer) -> (i64, f64) {
    let (x, y) = (source.channel(0), got.channel(0));
    let correlation = |lag: i64| {
        let (mut xy, mut xx, mut yy) = (0.0f64, 1e-12f64, 1e-12f64);
        for (n, x) in x.iter().enumerate() {
            if let Some(y) = usize::try_from(n as i64 + lag).ok().and_then(|n| y.get(n)) {
                xy += f64::from(*x) * f64::from(*y);
                xx += f64::from(*x).powi(2);
                yy += f64::from(*y).powi(2);
            }
        }
        xy / (xx * yy).sqrt()
    };
    (-1_500..=1_500).map(|l| (l, correlation(l))).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

#[test]
fn lossy_fixtures_begin_and_end_where_the_original_does() {
    let opus = cfg!(feature = "opus");
    // Name, format, codec, source, frames that the file states, frames that come, lag.
    let m44 = source(44_100, 2, 12_789);
    let m48 = source(48_000, 2, 13_111);
    let m22 = source(22_050, 1, 6_001);
    let cases = [
        ("lame.mp3", "mp3", "mp3", &m44, Some(12_789), 12_789, 0),
        ("vbr.mp3", "mp3", "mp3", &m44, Some(12_789), 12_789, 0),
        ("cover.mp3", "mp3", "mp3", &m44, Some(12_789), 12_789, 0),
        ("mpeg2.mp3", "mp3", "mp3", &m22, Some(6_001), 6_001, 0),
        // Nothing in the file says what to trim: the encoder's 1 105 frames are heard.
        ("headless.mp3", "mp3", "mp3", &m44, None, 14_976, 1_105),
        ("vorbis.ogg", "ogg", "vorbis", &m44, Some(12_789), 12_789, 0),
        ("aac.m4a", "m4a", "aac", &m44, Some(12_789), 12_789, 0),
        ("faststart.m4a", "m4a", "aac", &m48, Some(13_111), 13_111, 0),
        // Nor here: 1 024 frames of delay, and whole packets.
        ("fragmented.m4a", "m4a", "aac", &m44, None, 14_336, 1_024),
        ("adts.aac", "aac", "aac", &m44, None, 14_336, 1_024),
        ("opus.opus", "ogg", "opus", &m48, Some(13_111), 13_111, 0),
        ("opus60.opus", "ogg", "opus", &m48, Some(13_111), 13_111, 0),
        ("opus2.opus", "ogg", "opus", &m48, Some(13_111), 13_111, 0),
    ];
    let mut failures = Vec::new();
    for (name, format, codec, original, stated, frames, late) in cases {
        if codec == "opus" && !opus {
            assert_eq!(io::read(fixture(name)).unwrap_err().code(), "SF_UNSUPPORTED");
            continue;
        }
        let (info, got) = match (io::info(fixture(name)), io::read(fixture(name))) {
            (Ok(info), Ok(got)) => (info, got),
            (Err(e), _) | (_, Err(e)) => {
                failures.push(format!("{name}: {e}"));
                continue;
            }
        };
        let (lag, share) = lag(&got, original);
        let said = (info.format.as_str(), info.codec.as_str(), info.frames);
        // Opus at a low rate shifts the phase of the highs a little.
        let tolerance = if codec == "opus" { 4 } else { 0 };
        println!(
            "{name}: {said:?}, {} frames of {}, lag {lag}, correlation {share:.4}",
            got.frames(),
            original.frames()
        );
        if said != (format, codec, stated) || got.frames() != frames || (lag - late).abs() > tolerance || share < 0.98 {
            failures.push(format!("{name}: {said:?}, {} frames, lag {lag}, correlation {share:.4}", got.frames()));
        }
        assert_eq!(info.bits_per_sample, None);
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn tags_travel() {
    let picture = |t: &io::Tags| t.pictures().first().map(|p| (p.mime_type.clone(), p.data.len()));
    let mut names = vec!["s16.wav", "s16.aiff", "s16.flac", "alac16.m4a", "lame.mp3", "vorbis.ogg", "aac.m4a"];
    if cfg!(feature = "opus") {
        names.push("opus.opus");
    }
    for name in names {
        let tags = io::tags(fixture(name)).unwrap();
        assert_eq!(tags.get("title"), Some("Möwe"), "{name}: {tags:?}");
        assert_eq!(tags.get("Artist"), Some("SonicForge"), "{name}: {tags:?}");
    }
    for name in ["cover.flac", "cover.mp3", "cover.m4a"] {
        let reader = Reader::open(fixture(name)).unwrap();
        let tags = reader.tags();
        assert_eq!(picture(tags), Some(("image/png".into(), 70)), "{name}");
        assert_eq!(Reader::from_bytes(std::fs::read(fixture(name)).unwrap()).unwrap().tags(), tags);
        let mut tags = tags.clone();
        tags.set("replaygain_track_gain", "-7 dB").unwrap();
        tags.set("tracknumber", "3").unwrap();
        tags.set("tracktotal", "12").unwrap();
        tags.set("Weird Field", "ü=?").unwrap();
        let sound = source(44_100, 2, 499);
        for container in [Container::Wav, Container::Flac] {
            let options = WriteOptions { container: Some(container), tags: tags.clone(), ..Default::default() };
            let bytes = io::write_bytes(&sound, &options).unwrap();
            let mut reader = Reader::from_bytes(bytes.clone()).unwrap();
            assert_eq!(picture(reader.tags()), Some(("image/png".into(), 70)), "{name} to {container:?}");
            assert_eq!(reader.tags().pictures()[0].kind, tags.pictures()[0].kind);
            let expected = [("title", "Möwe"), ("tracknumber", "3"), ("tracktotal", "12"), ("weird field", "ü=?")];
            for (key, text) in expected {
                let got = reader.tags().get(key);
                // ID3 joins what Vorbis comments keep apart; free names of other tags come back through Vorbis only.
                if container == Container::Flac || key != "weird field" {
                    assert_eq!(got, Some(text), "{name} to {container:?}: {:?}", reader.tags());
                }
            }
            if name == "cover.flac" && container == Container::Flac {
                assert_eq!(reader.tags().get("custom"), Some("own field"));
            }
            // What the mastering has made untrue stays behind.
            assert_eq!(reader.tags().get("replaygain_track_gain"), None);
            assert_eq!(reader.tags().get("encoder"), None);
            let mut block = AudioBuffer::new(44_100, 2, 1_000).unwrap();
            assert_eq!(reader.read(&mut block.block()).unwrap(), 499);
        }
    }
    assert!(io::tags(fixture("x6.wav").with_file_name("make.sh")).unwrap().is_empty());
    assert_eq!(io::tags("/nowhere/at/all.flac").unwrap_err().code(), "SF_IO");
    assert!(io::Tags::new().set("a=b", "c").is_err());
}

/// Names in a folder, also hidden ones.
fn listing(folder: &std::path::Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn an_unfinished_file_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut sound = source(44_100, 2, 12_789);
    for name in ["a.wav", "a.flac"] {
        let path = folder.path().join(name);
        let mut writer = Writer::create(&path, 44_100, 2, &WriteOptions::default()).unwrap();
        writer.write(&mut sound.block()).unwrap();
        assert_eq!(listing(folder.path()).len(), 1);
        drop(writer);
        assert!(listing(folder.path()).is_empty());
        // An old file stays what it was.
        std::fs::write(&path, b"old").unwrap();
        let mut writer = Writer::create(&path, 44_100, 2, &WriteOptions::default()).unwrap();
        let mut wrong = source(44_100, 2, 12_789).to_mono();
        assert_eq!(writer.write(&mut wrong.block()).unwrap_err().code(), "SF_INVALID_ARGUMENT");
        assert!(writer.finish().is_err());
        assert_eq!((listing(folder.path()), std::fs::read(&path).unwrap()), (vec![name.to_string()], b"old".to_vec()));
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let sound = source(44_100, 2, 499);
    let write = |path: &std::path::Path, options: &WriteOptions| io::write(path, &sound, options).unwrap_err();
    let default = WriteOptions::default();
    let wav = options(Container::Wav, SampleFormat::Int16, Dither::Tpdf);
    assert_eq!(write(&folder.path().join("no/such/folder.wav"), &default).code(), "SF_IO");
    assert_eq!(write(&folder.path().join("a.mp3"), &default).code(), "SF_INVALID_ARGUMENT");
    assert_eq!(write(folder.path(), &wav).code(), "SF_INVALID_ARGUMENT");
    let float = options(Container::Flac, SampleFormat::Float32, Dither::Tpdf);
    assert_eq!(write(&folder.path().join("a.flac"), &float).code(), "SF_UNSUPPORTED");
    assert!(io::write_bytes(&sound, &default).is_err());
    assert!(Writer::create(folder.path().join("a.wav"), 7_999, 2, &default).is_err());
    assert!(Writer::create(folder.path().join("a.wav"), 48_000, 9, &default).is_err());
    assert!(listing(folder.path()).is_empty());
    #[cfg(unix)]
    {
        assert_eq!(write(std::path::Path::new("/dev/full"), &wav).code(), "SF_INVALID_ARGUMENT");
        // A link stays a link; what it points at is replaced.
        let (file, link) = (folder.path().join("file.wav"), folder.path().join("link.wav"));
        std::fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        io::write(&link, &sound, &default).unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(io::read(&file).unwrap().frames(), 499);
    }
}

/// A disk that fills: in a process that may not write more than 64 KiB to a file, every write beyond fails with EFBIG.
#[cfg(unix)]
#[test]
fn a_disk_that_fills_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -f 128; trap '' XFSZ; exec \"$0\" --exact --ignored --nocapture writes_too_much"])
        .arg(program)
        .env("SONICFORGE_SMALL_DISK", folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("refused as it should be"), "{said}");
    assert!(listing(folder.path()).is_empty(), "{:?}", listing(folder.path()));
}

#[cfg(unix)]
#[test]
#[ignore = "runs inside a_disk_that_fills_leaves_nothing"]
fn writes_too_much() {
    let folder = std::path::PathBuf::from(std::env::var_os("SONICFORGE_SMALL_DISK").expect("a folder"));
    let sound = Signal::Noise { level_dbfs: 0.0, seed: 1 }.render(48_000, 2, 2.0).unwrap();
    for name in ["a.wav", "a.flac"] {
        let error = io::write(folder.join(name), &sound, &WriteOptions::default()).unwrap_err();
        assert_eq!(error.code(), "SF_IO");
        assert!(error.to_string().contains(name), "{error}");
        println!("refused as it should be: {error}");
    }
}

/// FLAC is lossless for the sounds that predictors and Rice codes like least.
#[test]
fn flac_is_lossless_whatever_the_sound() {
    let mut random = sonicforge_core::testing::Xorshift::new(4);
    let n = 9_000;
    let mut sounds: Vec<(&str, Vec<f32>)> = vec![
        ("silence", vec![0.0; n]),
        ("lowest", vec![-1.0; n]),
        ("square", (0..n).map(|i| if i / 50 % 2 == 0 { -1.0 } else { 1.0 }).collect()),
        ("alternating", (0..n).map(|i| if i % 2 == 0 { -1.0 } else { 1.0 }).collect()),
        ("impulses", (0..n).map(|i| if i % 997 == 0 { -1.0 } else { 0.0 }).collect()),
        ("one step", (0..n).map(|i| if i == 5_000 { 1.0 / 32_768.0 } else { 0.0 }).collect()),
        ("ramp", (0..n).map(|i| i as f32 / n as f32).collect()),
        ("noise", (0..n).map(|_| random.bipolar() as f32).collect()),
        ("quiet noise", (0..n).map(|_| 1e-4 * random.bipolar() as f32).collect()),
        ("bits", (0..n).map(|_| if random.next_u64() % 2 == 0 { -1.0 } else { 1.0 }).collect()),
        (
            "sine",
            Signal::Sine { frequency_hz: 997.0, level_dbfs: 0.0, phase_deg: 0.0 }
                .render(48_000, 1, n as f64 / 48_000.0)
                .unwrap()
                .into_samples(),
        ),
    ];
    let burst = (0..n).map(|i| if i / 1_500 % 2 == 0 { 1e-5 } else { 1.0 } * random.bipolar() as f32).collect();
    sounds.push(("bursts", burst));
    for (a, left) in &sounds {
        for (b, right) in &sounds {
            let sound = AudioBuffer::from_channels(48_000, &[&left[..], &right[..]]).unwrap();
            for (format, bits) in [(SampleFormat::Int16, 16), (SampleFormat::Int24, 24)] {
                let bytes = io::write_bytes(&sound, &options(Container::Flac, format, Dither::None)).unwrap();
                assert!(bytes.len() < n * 2 * bits / 8 + 1_000, "{a} and {b} at {bits} bit: {} bytes", bytes.len());
                assert!(io::read_bytes(bytes).unwrap() == on_grid(&sound, bits as u32), "{a} and {b} at {bits} bit");
            }
        }
    }
}

/// The reference decoder agrees with the FLAC written here (where it is installed).
#[test]
fn the_flac_tool_is_content() {
    if std::process::Command::new("flac").arg("--version").output().is_err() {
        println!("no flac tool here: nothing was checked");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.flac");
    for (rate, channels, seconds) in [
        (44_100, 2, 3.0),
        (48_000, 1, 0.1),
        (8_000, 3, 1.0),
        (65_537, 2, 0.5),
        (192_000, 6, 0.5),
        (384_000, 8, 0.2),
        (44_101, 2, 0.09),
        (22_050, 2, 0.0005),
    ] {
        for format in [SampleFormat::Int16, SampleFormat::Int24] {
            let sound = Signal::Music { seed: 5 }.render(rate, channels, seconds).unwrap();
            io::write(
                &path,
                &sound,
                &WriteOptions { tags: io::tags(fixture("cover.flac")).unwrap(), ..WriteOptions::new(format) },
            )
            .unwrap();
            let tested = std::process::Command::new("flac").args(["-t", "-s", "-w"]).arg(&path).output().unwrap();
            assert!(
                tested.status.success(),
                "{rate} Hz, {channels} channels: {}",
                String::from_utf8_lossy(&tested.stderr)
            );
        }
    }
}

#[test]
fn a_block_may_be_longer_than_what_is_left() {
    let sound = Signal::Music { seed: 3 }.render(48_000, 2, 0.5).unwrap();
    for container in [Container::Wav, Container::Flac] {
        let bytes = io::write_bytes(&sound, &options(container, SampleFormat::Int16, Dither::None)).unwrap();
        let mut reader = Reader::from_bytes(bytes).unwrap();
        let mut block = AudioBuffer::new(48_000, 2, 23_000).unwrap();
        let lengths: Vec<usize> = (0..3).map(|_| reader.read(&mut block.block()).unwrap()).collect();
        assert_eq!(lengths, [23_000, 1_000, 0], "{container:?}");
    }
}
