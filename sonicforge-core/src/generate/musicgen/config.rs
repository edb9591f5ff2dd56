//! What a checkpoint says about itself: `config.json` and `generation_config.json` of the Hugging Face layout
//! `MusicgenForConditionalGeneration` / `MusicgenMelodyForConditionalGeneration`.
//!
//! Source: the configuration classes of transformers (T5Config, EncodecConfig, MusicgenDecoderConfig), whose defaults hold
//! for keys that are missing.

/// The whole model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// The text encoder.
    pub text: TextConfig,
    /// The language model over codes.
    pub decoder: DecoderConfig,
    /// The codec.
    pub codec: CodecConfig,
    /// Present in melody models: a chroma prefix instead of cross attention.
    pub melody: Option<MelodyConfig>,
    /// What `generation_config.json` suggests.
    pub generation: GenerationDefaults,
}

/// T5's encoder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextConfig {
    pub vocab_size: usize,
    pub d_model: usize,
    pub d_kv: usize,
    pub d_ff: usize,
    pub layers: usize,
    pub heads: usize,
    pub relative_attention_buckets: usize,
    pub relative_attention_max_distance: usize,
    pub layer_norm_epsilon: f32,
    pub activation: Activation,
    /// `gated-…` feed-forward: `wi_0`, `wi_1` instead of `wi`.
    pub gated: bool,
    pub pad_token_id: u32,
    pub eos_token_id: u32,
}

/// The decoder over codes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DecoderConfig {
    /// Size of a codebook; the embeddings have one row more, for the token that starts and pads.
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub layers: usize,
    pub heads: usize,
    pub ffn_dim: usize,
    pub activation: Activation,
    /// Longest sequence it was trained on, in positions.
    pub max_positions: usize,
    /// All codebooks: K for mono, 2·K for stereo (interleaved left, right).
    pub codebooks: usize,
    /// 1 or 2.
    pub audio_channels: usize,
    /// Whether embeddings are multiplied by √hidden_size.
    pub scale_embedding: bool,
    /// Starts every sequence and fills the delay pattern.
    pub start_token_id: u32,
}

/// The chroma prefix.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MelodyConfig {
    pub chroma: usize,
    /// Frames of the prefix: shorter ones are repeated, longer ones cut.
    pub chroma_length: usize,
}

/// EnCodec.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CodecConfig {
    pub sample_rate: u32,
    pub audio_channels: usize,
    pub normalize: bool,
    pub chunk_length_s: Option<f64>,
    pub hidden_size: usize,
    pub filters: usize,
    pub residual_layers: usize,
    /// From the decoder's input on; the encoder walks them backwards. Their product is the hop.
    pub ratios: Vec<usize>,
    /// `weight_norm` or `time_group_norm`.
    pub norm: CodecNorm,
    pub kernel_size: usize,
    pub last_kernel_size: usize,
    pub residual_kernel_size: usize,
    pub dilation_growth_rate: usize,
    pub causal: bool,
    pub pad_mode: PadMode,
    pub compress: usize,
    pub lstm_layers: usize,
    pub trim_right_ratio: f64,
    pub codebook_size: usize,
    pub codebook_dim: usize,
    pub conv_shortcut: bool,
    /// Codebooks per channel.
    pub codebooks: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodecNorm {
    Weight,
    TimeGroup,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PadMode {
    Reflect,
    Replicate,
    Constant,
}

/// Between the two halves of a feed-forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// x·Φ(x), with the error function.
    Gelu,
    /// Its tanh approximation (`gelu_new`, `gelu_pytorch_tanh`).
    GeluTanh,
    Relu,
    Silu,
}

/// What the checkpoint's authors suggest; a request may say otherwise.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GenerationDefaults {
    pub do_sample: bool,
    pub guidance_scale: f32,
    pub temperature: f32,
    pub top_k: usize,
    pub top_p: f32,
    /// `max_length` of the generation config, in sequence positions.
    pub max_length: Option<usize>,
}
