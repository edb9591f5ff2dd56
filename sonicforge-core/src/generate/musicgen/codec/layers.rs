//! The codec's two networks as lists of layers with their shapes: what both executors walk.
//!
//! SEANet as EnCodec uses it (A. Défossez et al., "High Fidelity Neural Audio Compression", 2022,
//! <https://arxiv.org/abs/2210.13438>), with the names and numbers of transformers' `EncodecEncoder` and `EncodecDecoder`:
//! activations count as layers there, here they belong to the convolution that follows them.

use super::padding::Padding;
use crate::error::{Error, Result};
use crate::generate::musicgen::config::{CodecConfig, CodecNorm};

/// One step of a network.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Layer {
    Conv(ConvShape),
    Transposed(TransposedShape),
    Lstm(LstmShape),
    Residual(Box<ResidualShape>),
}

/// A convolution along time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConvShape {
    /// Its tensors are `{name}.conv.weight_g`, `….weight_v`, `….bias`.
    pub name: String,
    pub inputs: usize,
    pub outputs: usize,
    pub kernel: usize,
    pub stride: usize,
    pub dilation: usize,
    pub padding: Padding,
    /// Whether an ELU comes before it.
    pub elu: bool,
    /// Whether its whole output is normalized: `{name}.norm.weight`, `….bias`, and `{name}.conv.weight` as it is.
    pub normed: bool,
}

/// A transposed convolution whose kernel is twice its stride, after an ELU.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TransposedShape {
    pub name: String,
    pub inputs: usize,
    pub outputs: usize,
    pub stride: usize,
    /// Rows cut off the beginning and the end; together one stride.
    pub trim_left: usize,
    pub trim_right: usize,
    /// As in [`ConvShape`]; what will be cut off counts.
    pub normed: bool,
}

/// LSTM layers whose input is added to their output.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LstmShape {
    /// Its tensors are `{name}.lstm.weight_ih_l0` and so on.
    pub name: String,
    pub size: usize,
    pub layers: usize,
}

/// ELU, convolution, ELU, convolution over one row; the input, or a convolution of it over one row, is added.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ResidualShape {
    pub first: ConvShape,
    pub second: ConvShape,
    pub shortcut: Option<ConvShape>,
}

/// The most rows that a kernel may span. The checkpoint's size bounds a kernel, but not its dilation.
const MAX_SPAN: usize = 1 << 14;

impl Layer {
    /// Channels in.
    pub fn inputs(&self) -> usize {
        match self {
            Layer::Conv(conv) => conv.inputs,
            Layer::Transposed(conv) => conv.inputs,
            Layer::Lstm(lstm) => lstm.size,
            Layer::Residual(block) => block.first.inputs,
        }
    }

    /// Channels out.
    pub fn outputs(&self) -> usize {
        match self {
            Layer::Conv(conv) => conv.outputs,
            Layer::Transposed(conv) => conv.outputs,
            Layer::Lstm(lstm) => lstm.size,
            Layer::Residual(block) => block.second.outputs,
        }
    }

    /// Rows out that are final once `rows` have come in and more may follow.
    pub fn ready(&self, rows: usize) -> usize {
        match self {
            Layer::Conv(conv) => conv.ready(rows),
            Layer::Transposed(conv) if conv.normed => 0,
            Layer::Transposed(conv) => (rows * conv.stride).saturating_sub(conv.trim_left),
            Layer::Lstm(_) => rows,
            Layer::Residual(block) => block.first.ready(rows),
        }
    }
}

impl ConvShape {
    /// Rows that the kernel spans, dilation included.
    pub fn span(&self) -> usize {
        (self.kernel - 1) * self.dilation + 1
    }

    /// As [`Layer::ready`].
    pub fn ready(&self, rows: usize) -> usize {
        if self.normed || rows < self.padding.rows_to_start() {
            return 0;
        }
        (rows + self.padding.left + self.stride).saturating_sub(self.span()) / self.stride
    }
}

/// Refuses what this codec does not do, naming the key.
pub(super) fn check(config: &CodecConfig) -> Result<()> {
    let unsupported = |what: String| Err(Error::Unsupported(format!("the codec's {what}")));
    if config.audio_channels != 1 {
        return unsupported(format!(
            "audio_channels is {}; only codecs of one channel are handled (a stereo MusicGen uses one for each side)",
            config.audio_channels
        ));
    }
    if config.normalize {
        return unsupported("normalize is true (the 48 kHz codec); only codecs that keep the level are handled".into());
    }
    if let Some(seconds) = config.chunk_length_s {
        return unsupported(format!(
            "chunk_length_s is {seconds} (the 48 kHz codec); only codecs without overlapping chunks are handled"
        ));
    }
    let wrong = |what: String| Err(Error::Model(format!("the codec's {what}")));
    if config.codebook_dim != config.hidden_size {
        return wrong(format!(
            "codebook_dim is {} and its hidden_size {}; there is no projection between them, so they must be equal",
            config.codebook_dim, config.hidden_size
        ));
    }
    for (key, value) in [
        ("hidden_size", config.hidden_size),
        ("num_filters", config.filters),
        ("kernel_size", config.kernel_size),
        ("last_kernel_size", config.last_kernel_size),
        ("residual_kernel_size", config.residual_kernel_size),
        ("compress", config.compress),
        ("dilation_growth_rate", config.dilation_growth_rate),
        ("codebook_size", config.codebook_size),
        ("number of codebooks", config.codebooks),
    ] {
        if value == 0 {
            return wrong(format!("{key} is 0; expected at least 1"));
        }
    }
    if config.ratios.is_empty() || config.ratios.contains(&0) {
        return wrong(format!("upsampling_ratios are {:?}; expected at least one, none of them 0", config.ratios));
    }
    let hop = config.ratios.iter().try_fold(1usize, |hop, &ratio| hop.checked_mul(ratio));
    if config.ratios.len() > 16 || hop.is_none_or(|hop| hop > 1 << 20) {
        return wrong(format!("upsampling_ratios are {:?}; their product may be at most {}", config.ratios, 1 << 20));
    }
    if config.filters.checked_mul(1 << config.ratios.len()).is_none_or(|widest| widest > 1 << 20) {
        return wrong(format!(
            "num_filters is {}; with {} ratios that is too wide",
            config.filters,
            config.ratios.len()
        ));
    }
    if config.compress > config.filters {
        return wrong(format!("compress is {}, more than its {} filters", config.compress, config.filters));
    }
    if config.residual_layers > 64 || config.lstm_layers > 64 {
        return wrong(format!(
            "num_residual_layers is {} and num_lstm_layers {}; at most 64 are handled",
            config.residual_layers, config.lstm_layers
        ));
    }
    if !(0.0..=1.0).contains(&config.trim_right_ratio) || (!config.causal && config.trim_right_ratio != 1.0) {
        return wrong(format!(
            "trim_right_ratio is {}; expected 0 to 1, and 1 where use_causal_conv is false",
            config.trim_right_ratio
        ));
    }
    Ok(())
}

/// Codes' embeddings (hidden_size channels, one row per frame) → samples.
pub(super) fn decoder(config: &CodecConfig) -> Result<Vec<Layer>> {
    let mut list = List::new(config, "decoder");
    let mut width = config.filters << config.ratios.len();
    list.conv(config.hidden_size, width, config.kernel_size, 1, false)?;
    list.lstm(width);
    for &ratio in &config.ratios {
        list.transposed(width, width / 2, ratio);
        width /= 2;
        list.residuals(width)?;
    }
    list.conv(width, config.audio_channels, config.last_kernel_size, 1, true)?;
    Ok(list.layers)
}

/// Samples → latents (hidden_size channels, one row per hop).
pub(super) fn encoder(config: &CodecConfig) -> Result<Vec<Layer>> {
    let mut list = List::new(config, "encoder");
    let mut width = config.filters;
    list.conv(config.audio_channels, width, config.kernel_size, 1, false)?;
    for &ratio in config.ratios.iter().rev() {
        list.residuals(width)?;
        list.conv(width, width * 2, ratio * 2, ratio, true)?;
        width *= 2;
    }
    list.lstm(width);
    list.conv(width, config.hidden_size, config.last_kernel_size, 1, true)?;
    Ok(list.layers)
}

/// A list that grows, with transformers' numbering.
struct List<'a> {
    config: &'a CodecConfig,
    net: &'static str,
    number: usize,
    layers: Vec<Layer>,
}

impl<'a> List<'a> {
    fn new(config: &'a CodecConfig, net: &'static str) -> Self {
        Self { config, net, number: 0, layers: Vec::new() }
    }

    /// The next module's name; an ELU before it has a number of its own.
    fn name(&mut self, elu: bool) -> String {
        self.number += usize::from(elu);
        self.number += 1;
        format!("{}.layers.{}", self.net, self.number - 1)
    }

    /// `[inputs, outputs]` channels; `[kernel, stride, dilation]` rows.
    fn shape(
        &self,
        name: String,
        [inputs, outputs]: [usize; 2],
        [kernel, stride, dilation]: [usize; 3],
        elu: bool,
    ) -> Result<ConvShape> {
        let span = (kernel - 1).saturating_mul(dilation).saturating_add(1);
        if span > MAX_SPAN {
            return Err(Error::Unsupported(format!(
                "the codec's layer {name} has a kernel of {kernel} with dilation {dilation}; a span of at most {MAX_SPAN} \
                 rows is handled"
            )));
        }
        let padding = Padding::new(span, stride, self.config.causal, self.config.pad_mode);
        let normed = self.config.norm == CodecNorm::TimeGroup;
        Ok(ConvShape { name, inputs, outputs, kernel, stride, dilation, padding, elu, normed })
    }

    fn conv(&mut self, inputs: usize, outputs: usize, kernel: usize, stride: usize, elu: bool) -> Result<()> {
        let name = self.name(elu);
        let shape = self.shape(name, [inputs, outputs], [kernel, stride, 1], elu)?;
        self.layers.push(Layer::Conv(shape));
        Ok(())
    }

    fn transposed(&mut self, inputs: usize, outputs: usize, stride: usize) {
        let trim_right = if self.config.causal {
            ((stride as f64 * self.config.trim_right_ratio).ceil() as usize).min(stride)
        } else {
            stride / 2
        };
        let name = self.name(true);
        let trim_left = stride - trim_right;
        let normed = self.config.norm == CodecNorm::TimeGroup;
        let shape = TransposedShape { name, inputs, outputs, stride, trim_left, trim_right, normed };
        self.layers.push(Layer::Transposed(shape));
    }

    fn lstm(&mut self, size: usize) {
        let name = self.name(false);
        // The module is numbered even where it is empty.
        if self.config.lstm_layers > 0 {
            self.layers.push(Layer::Lstm(LstmShape { name, size, layers: self.config.lstm_layers }));
        }
    }

    fn residuals(&mut self, width: usize) -> Result<()> {
        let hidden = width / self.config.compress;
        for j in 0..self.config.residual_layers {
            let name = self.name(false);
            let dilation = self.config.dilation_growth_rate.saturating_pow(j as u32);
            let kernel = self.config.residual_kernel_size;
            let first = self.shape(format!("{name}.block.1"), [width, hidden], [kernel, 1, dilation], true)?;
            let second = self.shape(format!("{name}.block.3"), [hidden, width], [1, 1, 1], true)?;
            let shortcut = match self.config.conv_shortcut {
                true => Some(self.shape(format!("{name}.shortcut"), [width, width], [1, 1, 1], false)?),
                false => None,
            };
            self.layers.push(Layer::Residual(Box::new(ResidualShape { first, second, shortcut })));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::musicgen::codec::tests::full_size;

    #[test]
    fn names_are_those_of_the_32_khz_checkpoint() {
        let names = |layers: &[Layer]| -> Vec<String> {
            layers
                .iter()
                .map(|layer| match layer {
                    Layer::Conv(c) => c.name.clone(),
                    Layer::Transposed(c) => c.name.clone(),
                    Layer::Lstm(l) => l.name.clone(),
                    Layer::Residual(r) => r.first.name.clone(),
                })
                .map(|name| name.split_once(".layers.").expect("a layer").1.to_string())
                .collect()
        };
        let config = full_size();
        let decoder = decoder(&config).unwrap();
        assert_eq!(
            names(&decoder),
            ["0", "1", "3", "4.block.1", "6", "7.block.1", "9", "10.block.1", "12", "13.block.1", "15"]
        );
        let encoder = encoder(&config).unwrap();
        assert_eq!(
            names(&encoder),
            ["0", "1.block.1", "3", "4.block.1", "6", "7.block.1", "9", "10.block.1", "12", "13", "15"]
        );
        for layers in [&decoder, &encoder] {
            assert!(layers.windows(2).all(|pair| pair[0].outputs() == pair[1].inputs()));
        }
        assert_eq!((decoder[0].inputs(), decoder.last().unwrap().outputs()), (128, 1));
        assert_eq!((encoder[0].inputs(), encoder.last().unwrap().outputs()), (1, 128));
    }

    #[test]
    fn what_is_not_handled_is_refused_by_name() {
        let refused = |change: &dyn Fn(&mut CodecConfig), word: &str| {
            let mut config = full_size();
            change(&mut config);
            let error = check(&config).and_then(|()| decoder(&config).map(drop)).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            error.code()
        };
        assert_eq!(refused(&|c| c.audio_channels = 2, "audio_channels is 2"), "SF_UNSUPPORTED");
        assert_eq!(refused(&|c| c.normalize = true, "normalize"), "SF_UNSUPPORTED");
        assert_eq!(refused(&|c| c.chunk_length_s = Some(1.0), "chunk_length_s is 1"), "SF_UNSUPPORTED");
        assert_eq!(refused(&|c| c.codebook_dim = 64, "codebook_dim is 64"), "SF_MODEL");
        assert_eq!(refused(&|c| c.ratios = vec![8, 0], "upsampling_ratios"), "SF_MODEL");
        assert_eq!(refused(&|c| c.ratios = vec![usize::MAX, 4], "upsampling_ratios"), "SF_MODEL");
        assert_eq!(refused(&|c| c.filters = usize::MAX / 2, "num_filters"), "SF_MODEL");
        assert_eq!(refused(&|c| c.kernel_size = 0, "kernel_size is 0"), "SF_MODEL");
        assert_eq!(refused(&|c| c.compress = 65, "compress is 65"), "SF_MODEL");
        assert_eq!(refused(&|c| c.trim_right_ratio = 0.5, "trim_right_ratio is 0.5"), "SF_MODEL");
        assert_eq!(refused(&|c| c.trim_right_ratio = f64::NAN, "trim_right_ratio"), "SF_MODEL");
        assert_eq!(refused(&|c| c.dilation_growth_rate = 0, "dilation_growth_rate"), "SF_MODEL");
        let deep = |c: &mut CodecConfig| {
            c.residual_layers = 40;
            c.dilation_growth_rate = 7;
        };
        assert_eq!(refused(&deep, "dilation"), "SF_UNSUPPORTED");
    }
}
