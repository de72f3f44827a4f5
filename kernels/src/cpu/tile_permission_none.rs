//! Systems that have not been asked for the registers of AMX yet.

/// Whether this process may use tiles from now on.
pub(crate) fn obtain() -> bool {
    false
}
