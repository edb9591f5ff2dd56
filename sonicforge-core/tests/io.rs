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
