//! `context_budget.ablation`: parts of the budgeter that a request goes without. For measuring what
//! they are worth; nothing else is gained by it.

use crate::validate::fields::{Fields, wrong_type};
use crate::wire::error::ApiError;

/// What is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ablation {
    /// Edits are chosen as if nothing were cached.
    pub cache: bool,
    /// Edits of earlier requests are not repeated.
    pub ledger: bool,
}

/// Takes `ablation`.
pub(super) fn ablation(fields: &mut Fields) -> Result<Ablation, ApiError> {
    let path = fields.path("ablation");
    let mut ablation = Ablation::default();
    for (index, part) in fields
        .array("ablation")?
        .unwrap_or_default()
        .iter()
        .enumerate()
    {
        let path = format!("{path}[{index}]");
        let name = part.as_str();
        match name.ok_or_else(|| wrong_type(&path, "a string", part))? {
            "cache" => ablation.cache = true,
            "ledger" => ablation.ledger = true,
            _ => {
                let message = format!("`{path}` must be one of cache, ledger.");
                return Err(ApiError::field(path, message));
            }
        }
    }
    Ok(ablation)
}
