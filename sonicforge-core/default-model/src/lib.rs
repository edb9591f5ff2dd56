//! The weights of SonicForge's default text-to-music model, one GGUF file in two halves: a registry takes ten mebibytes a
//! crate. What it knows, how it was trained and how well it listens: the model card in the project's docs.

static HALF: &[u8] = include_bytes!("../model.gguf.1");

/// The file.
pub fn gguf() -> Vec<u8> {
    [HALF, sonicforge_default_model_second::HALF].concat()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_halves_belong_together() {
        let file = super::gguf();
        assert!(file.starts_with(b"GGUF"));
        // A crate of the registry may have 10 MiB, compressed. Weights in 8 bits lose a twentieth.
        assert!(super::HALF.len() <= 11_000_000 && file.len() - super::HALF.len() <= 11_000_000);
    }
}
