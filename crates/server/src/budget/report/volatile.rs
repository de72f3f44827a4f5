//! Warnings of text that breaks the cache with every request.

use context::{VolatileText, Zone, volatile_text};
use text::Tokenizer;

use crate::budget::division::Division;
use crate::wire::context_report::Warning;

/// Places that are named; a long prefix may have a thousand.
const MAX_NAMED: usize = 8;

const CODE: &str = "volatile_in_prefix";

/// Text in the stable prefix, and in the leading system messages, that changes from request to
/// request.
pub(super) fn warnings(
    division: &Division,
    stable_prefix_end: usize,
    tokenizer: &Tokenizer,
) -> Vec<Warning> {
    let leading = division.segments.iter().zip(&division.texts);
    let leading = leading
        .filter(|(segment, _)| segment.start < stable_prefix_end || segment.zone == Zone::System);
    let mut warnings = Vec::new();
    let mut num_found = 0;
    for (segment, text) in leading {
        let found = volatile_text(text);
        let (mut token, mut counted) = (segment.start, 0);
        for VolatileText { kind, range } in &found[..found.len().min(MAX_NAMED - warnings.len())] {
            let between = tokenizer.encode(&text[counted..range.start], false);
            token += between.map_or(0, |tokens| tokens.len());
            counted = range.start;
            warnings.push(Warning {
                code: CODE,
                message: format!(
                    "{} near the beginning of the prompt changes from request to request, and \
                     with it everything that is cached behind it.",
                    kind.name()
                ),
                at_token: Some(token.min(segment.end())),
                text_kind: Some(kind.name()),
            });
        }
        num_found += found.len();
    }
    if num_found > warnings.len() {
        let message = format!(
            "{} more places near the beginning of the prompt change from request to request.",
            num_found - warnings.len()
        );
        warnings.push(Warning::new(CODE, message));
    }
    warnings
}
