//! What the contents of a file depend on.

use std::fmt;

use kernels::{Backend, KernelError, WeightDtype, WeightFormat, WeightView};

use crate::quantization::Precision;
use crate::weights::Checkpoint;

/// Changes with the layout of the file.
const CONTEXT: &str = "purser quantised weights 1";
/// Shape of the matrix that stands for all: more than two panels of any width, one of them not full.
const PROBE: [usize; 2] = [40, 512];
/// How often it is stacked: what is packed together may depend on it.
const STACKED: usize = 2;
/// The formats that weights are quantised to.
const FORMATS: [WeightFormat; 4] = [
    WeightFormat::Q8_0,
    WeightFormat::Q4K,
    WeightFormat::Q5K,
    WeightFormat::Q6K,
];

/// The digest of all that packed weights depend on: the files that they are made of, what they are
/// made into, and what this program and this machine make of a known matrix, which changes with the
/// quantiser, the layout of the panels, and the instruction set if the layout depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(blake3::Hash);

impl Key {
    /// The key of a checkpoint's weights; `None` if its files cannot be told from changed ones, or the
    /// backend gives no packed weights away.
    ///
    /// # Errors
    /// `OutOfMemory`
    pub(crate) fn of<B: Backend>(
        backend: &B,
        fingerprint: &[u8; 32],
        checkpoint: &Checkpoint,
        precision: Precision,
    ) -> Result<Option<Self>, KernelError> {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(fingerprint);
        for identity in checkpoint.file_identities() {
            let Some(identity) = identity else {
                return Ok(None);
            };
            hasher.update(&(identity.len() as u64).to_le_bytes());
            hasher.update(identity.as_bytes());
        }
        hasher.update(format!("{precision:?}").as_bytes());
        let probed = probe(backend, &mut hasher)?;
        Ok(probed.then(|| Self(hasher.finalize())))
    }
}

/// As in the file's name: 64 digits.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Adds what the backend makes of a known matrix; `false` if it does not say.
fn probe<B: Backend>(backend: &B, hasher: &mut blake3::Hasher) -> Result<bool, KernelError> {
    let [rows, cols] = PROBE;
    let mut state = 1u32;
    let values = (0..rows * cols).flat_map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 23) as f32 - 1.0).to_le_bytes()
    });
    let data: Vec<u8> = values.collect();
    let view = WeightView {
        name: "probe",
        data: &data,
        dtype: WeightDtype::F32,
        rows,
        cols,
    };
    for format in FORMATS {
        let packed = backend.pack_linear(&[view; STACKED], None, &[format; STACKED])?;
        let Some(parts) = backend.packed_blocks(&packed) else {
            return Ok(false);
        };
        for part in parts {
            let (dtype, rows, len) = (part.dtype, part.out_features, part.bytes.len());
            hasher.update(format!("{dtype:?} {rows} {len}\0").as_bytes());
            hasher.update(part.bytes);
        }
    }
    Ok(true)
}
