//! A piece of a conversation and the embedded model's tokenizer, for tests.

use std::path::Path;

use context::{Segment, SegmentKind, Tier, Zone};
use text::{Tokenizer, TokenizerFiles};

/// That of Pebble-20M.
pub(crate) fn tokenizer() -> Tokenizer {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/embedded/pebble-20m");
    let json = std::fs::read(folder.join("tokenizer.json")).unwrap();
    Tokenizer::from_files(&TokenizerFiles::new(&json)).unwrap()
}

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
