//! Element types of ggml.

use kernels::WeightDtype;

/// Names of ggml's types by their number; those that are read have a [`WeightDtype`].
const TYPES: [(u32, &str, Option<WeightDtype>); 34] = [
    (0, "F32", Some(WeightDtype::F32)),
    (1, "F16", Some(WeightDtype::F16)),
    (2, "Q4_0", Some(WeightDtype::Q4_0)),
    (3, "Q4_1", None),
    (6, "Q5_0", Some(WeightDtype::Q5_0)),
    (7, "Q5_1", None),
    (8, "Q8_0", Some(WeightDtype::Q8_0)),
    (9, "Q8_1", None),
    (10, "Q2_K", None),
    (11, "Q3_K", None),
    (12, "Q4_K", Some(WeightDtype::Q4K)),
    (13, "Q5_K", Some(WeightDtype::Q5K)),
    (14, "Q6_K", Some(WeightDtype::Q6K)),
    (15, "Q8_K", None),
    (16, "IQ2_XXS", None),
    (17, "IQ2_XS", None),
    (18, "IQ3_XXS", None),
    (19, "IQ1_S", None),
    (20, "IQ4_NL", None),
    (21, "IQ3_S", None),
    (22, "IQ2_S", None),
    (23, "IQ4_XS", None),
    (24, "I8", None),
    (25, "I16", None),
    (26, "I32", None),
    (27, "I64", None),
    (28, "F64", None),
    (29, "IQ1_M", None),
    (30, "BF16", Some(WeightDtype::Bf16)),
    (34, "TQ1_0", None),
    (35, "TQ2_0", None),
    (39, "MXFP4", None),
    (40, "NVFP4", None),
    (41, "Q1_0", None),
];

/// The type of this number.
///
/// # Errors
/// Its name, of a type that is not read.
pub(super) fn element_type(type_id: u32) -> Result<WeightDtype, String> {
    match TYPES.iter().find(|(id, ..)| *id == type_id) {
        Some(&(_, _, Some(dtype))) => Ok(dtype),
        Some((_, name, None)) => Err((*name).to_owned()),
        None => Err(format!("ggml type {type_id}")),
    }
}
