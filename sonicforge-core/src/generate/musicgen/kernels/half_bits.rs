//! 16-bit floats as the kernels keep them: IEEE binary16 and bfloat16, widened on the way into the registers.

/// How a weight is kept in memory.
pub(crate) trait HalfBits: Copy + Send + Sync + 'static {
    /// The nearest value of this type.
    fn from_f32(x: f32) -> Self;
    /// Its exact value.
    fn to_f32(self) -> f32;
}

impl HalfBits for f32 {
    fn from_f32(x: f32) -> Self {
        x
    }
    fn to_f32(self) -> f32 {
        self
    }
}

impl HalfBits for half::f16 {
    fn from_f32(x: f32) -> Self {
        half::f16::from_f32(x)
    }
    fn to_f32(self) -> f32 {
        self.to_f32()
    }
}

impl HalfBits for half::bf16 {
    fn from_f32(x: f32) -> Self {
        half::bf16::from_f32(x)
    }
    fn to_f32(self) -> f32 {
        self.to_f32()
    }
}
