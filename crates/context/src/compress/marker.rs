//! What stands where text was left out.

/// `[... 120 lines left out]`; `what` is in the singular.
pub(super) fn left_out(number: usize, what: &str) -> String {
    let plural = match (number, what) {
        (1, _) => "",
        (_, "match") => "es",
        _ => "s",
    };
    format!("[... {number} {what}{plural} left out]")
}

/// Bytes that a gap's marker takes, about.
pub(super) const LENGTH: usize = 28;

/// Whether `line` is a marker, or holds one.
pub(super) fn is_marker(line: &str) -> bool {
    line.contains(" left out]") && line.contains("[... ")
}
