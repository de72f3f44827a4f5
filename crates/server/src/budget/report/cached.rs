//! Which tokens of the computed prompt are cached, piece by piece.

use context::{Mode, Segment, Zone};

use super::Findings;

/// A piece of the prompt that is computed: a segment, or what stands for some.
struct Stretch<'a> {
    zone: &'a Zone,
    start: usize,
    tokens: usize,
}

/// Of the cached tokens of the prompt that is computed, those of a zone.
pub(super) fn cached(findings: &Findings<'_>, zone: &Zone) -> usize {
    let cached = findings.after.prompts[0].cached_tokens;
    let its = stretches(findings).into_iter();
    its.filter(|stretch| stretch.zone == zone)
        .map(|stretch| cached.saturating_sub(stretch.start).min(stretch.tokens))
        .sum()
}

/// The pieces where they lie. Those before the first edit and behind the last one are where they are
/// to the token; between edits it is as far as texts are counted alone.
fn stretches<'a>(findings: &'a Findings<'_>) -> Vec<Stretch<'a>> {
    let division = &findings.draft.division;
    let (mut edits, tokens) = match findings.mode {
        Mode::Enforce => (&findings.revision.edits[..], &findings.revision.tokens),
        Mode::Off | Mode::Observe => (&[][..], &division.tokens),
    };
    let mut all = Vec::with_capacity(division.segments.len());
    let (mut at, mut freed) = (0, 0);
    while let Some(segment) = division.segments.get(at) {
        let edit = edits.first().filter(|edit| *edit.segments.start() == at);
        let length = match edit {
            Some(edit) => edit.edit.after,
            None => segment.tokens,
        };
        let start = match edits {
            // From the end: what is behind the last edit has not changed.
            [] => (segment.start + tokens.len()).saturating_sub(division.tokens.len()),
            _ => segment.start.saturating_sub(freed),
        };
        all.push(Stretch {
            zone: &segment.zone,
            start,
            tokens: length,
        });
        at += 1;
        if let Some(edit) = edit {
            let before = &division.segments[edit.segments.clone()];
            let before: usize = before.iter().map(|segment: &Segment| segment.tokens).sum();
            freed += before.saturating_sub(edit.edit.after);
            at = edit.segments.end() + 1;
            edits = &edits[1..];
        }
    }
    all
}
