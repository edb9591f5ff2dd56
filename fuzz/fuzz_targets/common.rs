// What every decoding target does with the bytes: stream all of it in blocks, then the tags, then back to the beginning.
use sonicforge_core::audio::AudioBuffer;
use sonicforge_core::io::Reader;

/// A bomb of silence is valid; this many frames are enough.
const ENOUGH: usize = 1 << 22;

/// libFuzzer's own hook aborts at every panic, also at those that the library catches (Symphonia has a few). With this one,
/// only a panic that leaves the library ends the process.
pub fn init() {
    std::panic::set_hook(Box::new(|news| eprintln!("{news}")));
}

pub fn decode(bytes: Vec<u8>) {
    let Ok(mut reader) = Reader::from_bytes(bytes) else { return };
    let info = reader.info().clone();
    let mut block = AudioBuffer::new(info.sample_rate, info.channels, 1_000).expect("a format that was accepted");
    let mut frames = 0;
    while let Ok(n @ 1..) = reader.read(&mut block.block()) {
        frames += n;
        if frames > ENOUGH {
            break;
        }
    }
    let _ = reader.tags().texts().count();
    let _ = reader.rewind();
}

/// The input behind the first bytes of a format, so that the fuzzer need not find them.
#[allow(dead_code, reason = "only some of the targets have a prefix")]
pub fn decode_after(prefix: &[u8], bytes: &[u8]) {
    decode(bytes.to_vec());
    decode([prefix, bytes].concat());
}
