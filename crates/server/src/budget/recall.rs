//! Files of a memory that match what the user says.

use memory::{FileError, Namespace, Store, Tenant};

use super::documents::Offered;
use crate::wire::error::ApiError;

/// Most files that are looked at: the best of those that match.
const MOST_FILES: usize = 32;

/// Share of the best file's score below which a file is left out: it has little more than everyday
/// words in common with what the user says.
pub(super) const LEAST_SHARE: f64 = 0.25;

/// The files of a tenant's namespace that have words of `query`, best first, scored by the best.
///
/// # Errors
/// If the store fails.
pub(super) fn matching(
    store: &Store,
    tenant: &Tenant,
    namespace: &Namespace,
    query: &str,
) -> Result<Vec<Offered>, ApiError> {
    let found = store.search(tenant, namespace, query, MOST_FILES)?;
    let best = found.first().map_or(1.0, |best| best.score);
    let mut files = Vec::with_capacity(found.len());
    for found in found {
        let text = match store.read_file(tenant, namespace, &found.path) {
            Ok(text) => text,
            // Deleted since it was found.
            Err(FileError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        if !text.trim().is_empty() {
            files.push(Offered {
                id: found.path.to_string(),
                text,
                score: Some(found.score / best),
                source: None,
                group: None,
            });
        }
    }
    Ok(files)
}
