//! Arguments of the kernels, field by field as in `kernels/cuda`; addresses are the device's.

#![expect(
    unsafe_code,
    reason = "a kernel reads its arguments as the struct of its source"
)]

use crate::ActivationDtype;

/// The argument of one kernel.
///
/// # Safety
/// The layout is that of the struct that the kernel of this name takes, in `kernels/cuda`.
pub unsafe trait Arguments: Copy {
    /// The kernel.
    const KERNEL: Kernel;
}

/// `Values`: activations and their type.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Values {
    pub(crate) address: u64,
    pub(crate) dtype: u32,
}

impl Values {
    /// Activations of this type from an address on.
    pub(crate) fn of(address: u64, dtype: ActivationDtype) -> Self {
        let dtype = match dtype {
            ActivationDtype::F32 => 0,
            ActivationDtype::Bf16 => 1,
        };
        Self { address, dtype }
    }

    /// No activations.
    pub(crate) const NONE: Self = Self {
        address: 0,
        dtype: 0,
    };
}

/// Declares the kernels by name.
macro_rules! kernels {
    ($($kernel:ident => $name:literal),* $(,)?) => {
        /// A kernel of the module.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kernel {
            $(
                #[doc = concat!("`", $name, "`")]
                $kernel,
            )*
        }

        impl Kernel {
            /// All of them, in the order of their values.
            pub const ALL: &[Self] = &[$(Self::$kernel),*];

            /// Its name in the module.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kernel => $name),* }
            }
        }
    };
}

kernels! {
    Embed => "embed",
    RmsNorm => "rms_norm",
    LayerNorm => "layer_norm",
    AllHeadsNorm => "all_heads_norm",
    ApplyFunction => "apply_function",
    Gate => "gate",
    Add => "add",
    AddBias => "add_bias",
    Clear => "clear",
    GatherRows => "gather_rows",
    AddRows => "add_rows",
    RoundToBf16 => "round_to_bf16",
    LinearFewRows => "linear_few_rows",
    FewRowsBf16 => "few_rows_bf16",
    SomeRowsBf16 => "some_rows_bf16",
    ManyRowsBf16 => "many_rows_bf16",
    LinearTiles => "linear_tiles",
    WriteKv => "write_kv",
    CopyLayers => "copy_layers",
    AttentionPlain => "attention_plain",
    AttentionFew64 => "attention_few_64",
    AttentionFew96 => "attention_few_96",
    AttentionFew128 => "attention_few_128",
    AttentionFew256 => "attention_few_256",
    AttentionMany64 => "attention_many_64",
    AttentionMany96 => "attention_many_96",
    AttentionMany128 => "attention_many_128",
    AttentionMany256 => "attention_many_256",
    AttentionFixedPlain => "attention_fixed_plain",
    AttentionFixedFew64 => "attention_fixed_few_64",
    AttentionFixedFew96 => "attention_fixed_few_96",
    AttentionFixedFew128 => "attention_fixed_few_128",
    AttentionFixedFew256 => "attention_fixed_few_256",
    AttentionFixedMany64 => "attention_fixed_many_64",
    AttentionFixedMany96 => "attention_fixed_many_96",
    AttentionFixedMany128 => "attention_fixed_many_128",
    AttentionFixedMany256 => "attention_fixed_many_256",
    AttentionFp8Few64 => "attention_fp8_few_64",
    AttentionFp8Few96 => "attention_fp8_few_96",
    AttentionFp8Few128 => "attention_fp8_few_128",
    AttentionFp8Few256 => "attention_fp8_few_256",
    AttentionFp8Many64 => "attention_fp8_many_64",
    AttentionFp8Many96 => "attention_fp8_many_96",
    AttentionFp8Many128 => "attention_fp8_many_128",
    AttentionFp8Many256 => "attention_fp8_many_256",
    AttentionFixedFp8Few64 => "attention_fixed_fp8_few_64",
    AttentionFixedFp8Few96 => "attention_fixed_fp8_few_96",
    AttentionFixedFp8Few128 => "attention_fixed_fp8_few_128",
    AttentionFixedFp8Few256 => "attention_fixed_fp8_few_256",
    AttentionFixedFp8Many64 => "attention_fixed_fp8_many_64",
    AttentionFixedFp8Many96 => "attention_fixed_fp8_many_96",
    AttentionFixedFp8Many128 => "attention_fixed_fp8_many_128",
    AttentionFixedFp8Many256 => "attention_fixed_fp8_many_256",
    Sample => "sample",
    LoraProduct => "lora_product",
}

/// Declares the argument of a kernel.
macro_rules! arguments {
    ($(#[doc = $doc:literal])* $name:ident for $($kernel:ident),+ { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[doc = $doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name {
            $(pub(crate) $field: $type,)*
        }
        arguments! { @kernels $name $($kernel)+ }
    };
    (@kernels $name:ident $kernel:ident) => {
        // SAFETY: field by field the kernel's struct; the emulator compares sizes at each launch.
        unsafe impl Arguments for $name {
            const KERNEL: Kernel = Kernel::$kernel;
        }
    };
}

arguments! {
    /// `EmbedArguments`
    EmbedArguments for Embed {
        table: u64,
        token_ids: u64,
        drawn: u64,
        out: Values,
        row_bytes: u64,
        dtype: u32,
        first: u32,
        rows: u32,
        cols: u32,
        scale: f32,
    }
}

arguments! {
    /// `RmsNormArguments`
    RmsNormArguments for RmsNorm {
        input: Values,
        residual: Values,
        delta: Values,
        out: Values,
        weight: u64,
        cols: u32,
        scale: f32,
        eps: f32,
    }
}

arguments! {
    /// `LayerNormArguments`
    LayerNormArguments for LayerNorm {
        input: Values,
        out: Values,
        weight: u64,
        bias: u64,
        cols: u32,
        eps: f32,
    }
}

arguments! {
    /// `AllHeadsNormArguments`
    AllHeadsNormArguments for AllHeadsNorm {
        qkv: Values,
        q_weight: u64,
        k_weight: u64,
        row_size: u32,
        q_size: u32,
        kv_size: u32,
        eps: f32,
    }
}

arguments! {
    /// `FunctionArguments`
    FunctionArguments for ApplyFunction {
        values: Values,
        count: u64,
        function: u32,
        alpha: f32,
        limit: f32,
    }
}

arguments! {
    /// `GateArguments`
    GateArguments for Gate {
        gate_up: Values,
        out: Values,
        first_row: u32,
        rows: u32,
        cols: u32,
        function: u32,
        alpha: f32,
        limit: f32,
    }
}

arguments! {
    /// `AddArguments`
    AddArguments for Add {
        out: Values,
        delta: Values,
        count: u64,
        scale: f32,
    }
}

arguments! {
    /// `ClearArguments`
    ClearArguments for Clear {
        values: Values,
        count: u64,
    }
}

arguments! {
    /// `AddBiasArguments`
    AddBiasArguments for AddBias {
        out: Values,
        bias: u64,
        rows: u32,
        cols: u32,
        stride: u32,
    }
}

arguments! {
    /// `RowsArguments`
    GatherRowsArguments for GatherRows {
        input: Values,
        out: Values,
        rows: u64,
        factors: u64,
        cols: u32,
    }
}

arguments! {
    /// `RowsArguments`
    AddRowsArguments for AddRows {
        input: Values,
        out: Values,
        rows: u64,
        factors: u64,
        cols: u32,
    }
}

arguments! {
    /// `RoundArguments`
    RoundArguments for RoundToBf16 {
        input: Values,
        out: u64,
        rows: u32,
        cols: u32,
        padded_cols: u32,
    }
}

/// `LinearArguments`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinearArguments {
    pub(crate) input: Values,
    pub(crate) out: Values,
    pub(crate) weight: u64,
    pub(crate) bias: u64,
    pub(crate) row_bytes: u64,
    pub(crate) dtype: u32,
    pub(crate) rows: u32,
    pub(crate) in_features: u32,
    pub(crate) out_features: u32,
    pub(crate) out_stride: u32,
}

arguments! {
    /// `LinearArguments`
    FewRowsArguments for LinearFewRows { linear: LinearArguments }
}

/// `RowsBf16Arguments`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowsBf16Arguments {
    pub(crate) linear: LinearArguments,
    pub(crate) tiles: u32,
    pub(crate) distance: u32,
    pub(crate) gated: Values,
    pub(crate) function: u32,
    pub(crate) alpha: f32,
    pub(crate) limit: f32,
}

arguments! {
    /// `RowsBf16Arguments`
    FewRowsBf16Arguments for FewRowsBf16 { product: RowsBf16Arguments }
}

arguments! {
    /// `RowsBf16Arguments`
    SomeRowsBf16Arguments for SomeRowsBf16 { product: RowsBf16Arguments }
}

arguments! {
    /// `RowsBf16Arguments`
    ManyRowsBf16Arguments for ManyRowsBf16 { product: RowsBf16Arguments }
}

arguments! {
    /// `LinearArguments`
    TilesArguments for LinearTiles { linear: LinearArguments }
}

/// `KvLayer`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct KvLayer {
    pub(crate) keys: u64,
    pub(crate) values: u64,
    pub(crate) key_scales: u64,
    pub(crate) value_scales: u64,
    pub(crate) dtype: u32,
    pub(crate) num_kv_heads: u32,
    pub(crate) head_dim: u32,
    pub(crate) block_size: u32,
}

arguments! {
    /// `WriteKvArguments`
    WriteKvArguments for WriteKv {
        qkv: Values,
        kv: KvLayer,
        slots: u64,
        q_norm: u64,
        k_norm: u64,
        positions: u64,
        cos: u64,
        sin: u64,
        num_q_heads: u32,
        rotary_dim: u32,
        eps: f32,
    }
}

arguments! {
    /// `CopyArguments`
    CopyArguments for CopyLayers {
        memory: u64,
        layer_bytes: u64,
        src: u64,
        dst: u64,
        bytes: u64,
    }
}

/// `AttentionArguments`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionArguments {
    pub(crate) qkv: Values,
    pub(crate) out: Values,
    pub(crate) tiles: u64,
    pub(crate) block_tables: u64,
    pub(crate) sinks: u64,
    pub(crate) partial_values: u64,
    pub(crate) partial_sums: u64,
    pub(crate) counters: u64,
    pub(crate) kv: KvLayer,
    pub(crate) num_q_heads: u32,
    pub(crate) tile_rows: u32,
    pub(crate) heads_per_tile: u32,
    pub(crate) window: u32,
    pub(crate) scale: f32,
    pub(crate) soft_cap: f32,
}

arguments! {
    /// `AttentionArguments`
    AttentionPlain for AttentionPlain { attention: AttentionArguments }
}

arguments! {
    /// `AttentionArguments`
    AttentionFixedPlain for AttentionFixedPlain { attention: AttentionArguments }
}

/// Declares the kernels of each head size.
macro_rules! attention_kernels {
    ($($name:ident { $($head_dim:literal: $kernel:ident),* $(,)? })*) => {
        $(
            /// `AttentionArguments` of the kernel for heads of this size.
            #[repr(C)]
            #[derive(Clone, Copy, Debug)]
            pub(crate) struct $name<const HEAD_DIM: usize> {
                pub(crate) attention: AttentionArguments,
            }

            $(
                // SAFETY: as of the others.
                unsafe impl Arguments for $name<$head_dim> {
                    const KERNEL: Kernel = Kernel::$kernel;
                }
            )*
        )*
    };
}

attention_kernels! {
    AttentionFew {
        64: AttentionFew64, 96: AttentionFew96, 128: AttentionFew128, 256: AttentionFew256,
    }
    AttentionMany {
        64: AttentionMany64, 96: AttentionMany96, 128: AttentionMany128, 256: AttentionMany256,
    }
    AttentionFixedFew {
        64: AttentionFixedFew64, 96: AttentionFixedFew96,
        128: AttentionFixedFew128, 256: AttentionFixedFew256,
    }
    AttentionFixedMany {
        64: AttentionFixedMany64, 96: AttentionFixedMany96,
        128: AttentionFixedMany128, 256: AttentionFixedMany256,
    }
    AttentionFp8Few {
        64: AttentionFp8Few64, 96: AttentionFp8Few96,
        128: AttentionFp8Few128, 256: AttentionFp8Few256,
    }
    AttentionFp8Many {
        64: AttentionFp8Many64, 96: AttentionFp8Many96,
        128: AttentionFp8Many128, 256: AttentionFp8Many256,
    }
    AttentionFixedFp8Few {
        64: AttentionFixedFp8Few64, 96: AttentionFixedFp8Few96,
        128: AttentionFixedFp8Few128, 256: AttentionFixedFp8Few256,
    }
    AttentionFixedFp8Many {
        64: AttentionFixedFp8Many64, 96: AttentionFixedFp8Many96,
        128: AttentionFixedFp8Many128, 256: AttentionFixedFp8Many256,
    }
}

arguments! {
    /// `SampleArguments`
    SampleArguments for Sample {
        logits: u64,
        draws: u64,
        tokens: u64,
        logprobs: u64,
        top: u64,
        cols: u32,
        max_top: u32,
    }
}

arguments! {
    /// `LoraArguments`
    LoraArguments for LoraProduct {
        input: Values,
        out: Values,
        matrix: u64,
        first_row: u32,
        in_first: u32,
        in_features: u32,
        in_stride: u32,
        out_features: u32,
        out_first: u32,
        out_stride: u32,
        adds: u32,
        scale: f32,
    }
}
