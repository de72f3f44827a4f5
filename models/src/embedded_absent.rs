//! In the place of the embedded model, in a program that was built without it.

use crate::model::{Model, OpenError};

/// # Errors
/// Always: there is no such model.
pub(crate) fn open() -> Result<Model, OpenError> {
    let what = "the embedded model".to_owned();
    Err(OpenError::NotBuilt {
        what,
        feature: "embedded-model",
    })
}
