//! Element types of activations.

/// How a device with memory of its own keeps what products are made of between operations; arithmetic
/// is f32, and so are the buffers of [`Backend::exact_buffer`](crate::Backend::exact_buffer).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ActivationDtype {
    /// 32-bit floats.
    #[default]
    F32,
    /// bfloat16, as the weights of most models.
    Bf16,
}

impl ActivationDtype {
    /// Bytes of an element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}
