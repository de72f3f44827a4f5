//! A piece of a conversation, for tests.

use context::{Segment, SegmentKind, Tier, Zone};

/// Of history, in turn 1, at the prompt's beginning.
pub(in crate::budget) fn segment(kind: SegmentKind, tokens: usize) -> Segment {
    Segment {
        zone: Zone::History,
        tier: Tier::Compactable,
        kind,
        tokens,
        start: 0,
        turn: 1,
        live: false,
        pinned: false,
        digest: [0; 32],
        score: None,
        referenced: 0.0,
        relevance: 0.0,
        density: 0.0,
        utility: None,
        depends_on: Vec::new(),
        edit: None,
    }
}
