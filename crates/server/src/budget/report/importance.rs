//! How much the parts of a prompt matter, and why.

use std::ops::RangeInclusive;

use context::{Features, Plan, SegmentKind, Utility};
use serde_json::json;

use super::target;
use crate::budget::draft::{Draft, Revision};
use crate::wire::context_plan::SegmentReport;
use crate::wire::context_report::{ImportanceReport, UtilityReport};

/// All parts, as they stand before the plan's edits.
pub(in crate::budget) fn segments(draft: &Draft, revision: &Revision) -> Vec<SegmentReport> {
    let standing = draft
        .standing
        .segments
        .iter()
        .zip(&draft.standing.originals);
    let features = revision.plan.features.iter();
    standing
        .zip(features)
        .map(|((segment, original), features)| SegmentReport {
            target: match &segment.kind {
                SegmentKind::Tool { name } => json!({"tool": name}),
                _ => target(draft, original),
            },
            zone: segment.zone.name().to_owned(),
            tokens: segment.tokens,
            importance: told(features),
        })
        .collect()
}

/// Of the part that matters most.
pub(super) fn of_span(plan: &Plan, span: &RangeInclusive<usize>) -> Option<ImportanceReport> {
    let features = plan.features.get(span.clone())?.iter();
    let most = features.max_by(|a, b| a.importance.total_cmp(&b.importance));
    most.map(told)
}

fn told(features: &Features) -> ImportanceReport {
    let utility = features.utility;
    ImportanceReport {
        value: features.importance,
        recency: features.recency,
        relevance: features.relevance,
        referenced: features.referenced,
        density: features.density,
        utility: utility.map(|Utility { value, confidence }| UtilityReport { value, confidence }),
        score: features.score,
        recallable: features.is_recallable,
    }
}
