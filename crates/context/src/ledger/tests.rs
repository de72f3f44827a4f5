//! The ledger against a naive model, and what it promises case by case.

use super::*;
use crate::CompressionLevel;

mod cases;
mod model;
mod regret;

const SCOPE: LedgerScope<'static> = LedgerScope {
    tenant_salt: b"tenant",
    policy_major: 1,
    fingerprint: b"model",
};

fn digest(text: &str) -> [u8; 32] {
    segment_digest(&[b"role", text.as_bytes()])
}

/// The chain of a conversation whose segments are these letters.
fn chain(scope: &LedgerScope<'_>, letters: &str) -> SegmentChain {
    let digests: Vec<[u8; 32]> = letters.chars().map(|c| digest(&c.to_string())).collect();
    SegmentChain::from_digests(scope, &digests)
}

fn clearing(replacement: &str, turns: usize) -> LedgerEdit {
    LedgerEdit {
        op: EditOp::ClearToolResult,
        replacement: replacement.into(),
        restore: None,
        before: 100,
        after: 10,
        turns,
    }
}

fn compaction(replacement: &str, turns: usize) -> LedgerEdit {
    LedgerEdit {
        op: EditOp::Compact(SummaryLevel::Brief),
        ..clearing(replacement, turns)
    }
}

/// Everything but what touches a segment.
fn without(known: &[KnownEdit], segment: usize) -> Vec<bool> {
    let touches = |known: &KnownEdit| known.segments.contains(&segment);
    known.iter().map(|known| !touches(known)).collect()
}

const ORDER: SummaryOrder = SummaryOrder {
    wording: 0,
    max_tokens: 800,
    critical_recall: 0.95,
};

fn summary(text: &str) -> Summary {
    Summary {
        text: text.into(),
        tokens: text.len(),
        origin: SummaryOrigin::Model,
        critical_recall: 1.0,
        order: ORDER,
    }
}

/// The conversation of these letters after replay, everything allowed.
fn rendered(ledger: &mut EditLedger, scope: &LedgerScope<'_>, letters: &str) -> String {
    let replay = ledger.replay(&chain(scope, letters), |known| vec![true; known.len()]);
    let originals: Vec<char> = letters.chars().collect();
    let mut text = String::new();
    for piece in replay.pieces(originals.len()) {
        match piece {
            Piece::Original(at) => text.push(originals[at]),
            Piece::Edited(known) => text.push_str(&known.edit.replacement),
        }
    }
    text
}
