//! What the user sees while requests run.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error; nothing where that is no terminal.
pub(crate) fn bar(requests: u64) -> ProgressBar {
    let bar = ProgressBar::new(requests);
    let style = "{bar:30} {pos}/{len} measurements  {msg}  {elapsed} (left: {eta})";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}
