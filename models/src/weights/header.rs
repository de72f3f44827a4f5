//! The header of a safetensors file.

use kernels::WeightDtype;
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, SafeTensors};

use super::WeightsError;

/// Bytes of the header's length.
const LENGTH_BYTES: usize = 8;

/// Reads a file's header and where its data starts.
///
/// # Errors
/// `Length` when the file is not as long as its header says, `Header` for everything else.
pub(crate) fn read(file: &str, bytes: &[u8]) -> Result<(usize, Metadata), WeightsError> {
    let header = |reason: String| WeightsError::Header {
        file: file.to_owned(),
        reason,
    };
    match SafeTensors::read_metadata(bytes) {
        Ok((length, metadata)) => Ok((LENGTH_BYTES + length, metadata)),
        Err(SafeTensorError::HeaderTooSmall) => Err(WeightsError::Length {
            file: file.to_owned(),
            expected: LENGTH_BYTES as u64,
            actual: bytes.len() as u64,
        }),
        Err(SafeTensorError::InvalidHeaderLength | SafeTensorError::MetadataIncompleteBuffer) => {
            let expected = needed_length(bytes).ok_or_else(|| header("no header".into()))?;
            let (file, actual) = (file.to_owned(), bytes.len() as u64);
            Err(WeightsError::Length {
                file,
                expected,
                actual,
            })
        }
        Err(error) => Err(header(error.to_string())),
    }
}

/// Bytes that the file should have, as far as what is there tells.
fn needed_length(bytes: &[u8]) -> Option<u64> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    let length = u64::from_le_bytes(*length);
    let end_of_header = length.checked_add(LENGTH_BYTES as u64)?;
    let Some(header) = rest.get(..usize::try_from(length).ok()?) else {
        return Some(end_of_header);
    };
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(header).ok()?;
    let ends = header
        .values()
        .filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
    end_of_header.checked_add(ends.max().unwrap_or(0))
}

/// The element type, if it is one that a backend reads.
pub(crate) fn weight_dtype(dtype: Dtype) -> Option<WeightDtype> {
    match dtype {
        Dtype::F32 => Some(WeightDtype::F32),
        Dtype::F16 => Some(WeightDtype::F16),
        Dtype::BF16 => Some(WeightDtype::Bf16),
        _ => None,
    }
}
