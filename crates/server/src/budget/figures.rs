//! One request's figures for the metrics: from its report, and from what the report does not tell.

use std::time::Duration;

use context::{Regret, Segment, SegmentKind};

use engine::CacheProbe;

use super::draft::Draft;
use crate::metrics::{ContextMetrics, Forecast, ResultTokens};
use crate::wire::context_report::ContextReport;

/// Counts a request whose context is settled; `recalled` are the regrets first seen in it.
pub(super) fn record(
    metrics: &ContextMetrics,
    draft: &Draft,
    report: &ContextReport,
    recalled: &[Regret],
) {
    let segments = &draft.division.segments;
    metrics.settled(report);
    metrics.results(results(segments));
    for regret in recalled {
        if let SegmentKind::ToolCall { name, .. } = &segments[regret.again].kind {
            metrics.regretted(name);
        }
    }
}

/// What is said of a request before it runs.
pub(super) fn forecast(draft: &Draft, probe: &CacheProbe) -> Forecast {
    let seconds = probe.prompts[0].prefill_seconds;
    Forecast {
        stable_prefix: draft.resolved.policy.stable_prefix_end,
        // What is assumed before steps have been measured is no prediction.
        prefill: probe
            .step_costs
            .is_measured
            .then(|| Duration::from_secs_f64(seconds)),
    }
}

/// Results and documents before the last thing that the model said: nothing has had a chance to
/// refer to what came after it.
fn results(segments: &[Segment]) -> ResultTokens {
    let said = segments.iter().rposition(|segment| {
        matches!(
            segment.kind,
            SegmentKind::Assistant | SegmentKind::ToolCall { .. }
        )
    });
    let mut tokens = ResultTokens::default();
    for segment in &segments[..said.unwrap_or(0)] {
        if let SegmentKind::ToolResult { .. } | SegmentKind::Document = segment.kind {
            if segment.referenced > 0.0 {
                tokens.referenced += segment.tokens;
            } else {
                tokens.unreferenced += segment.tokens;
            }
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::example;

    fn segment(kind: SegmentKind, tokens: usize, referenced: f64) -> Segment {
        Segment {
            referenced,
            ..example::segment(kind, tokens)
        }
    }

    #[test]
    fn only_what_could_have_been_referred_to_counts() {
        let result = |call| SegmentKind::ToolResult {
            name: "read_file".into(),
            call,
            recallable: true,
        };
        let call = SegmentKind::ToolCall {
            name: "read_file".into(),
            call: 3,
        };
        let segments = [
            segment(SegmentKind::User, 1, 0.0),
            segment(result(0), 2, 0.0),
            segment(SegmentKind::Document, 4, 0.5),
            segment(result(1), 8, 0.75),
            segment(SegmentKind::Document, 16, 0.0),
            segment(SegmentKind::Assistant, 32, 0.5),
            segment(result(2), 64, 0.0),
            segment(call, 128, 0.0),
            segment(result(3), 256, 0.0),
        ];
        let expected = ResultTokens {
            referenced: 4 + 8,
            unreferenced: 2 + 16 + 64,
        };
        assert_eq!(results(&segments), expected);
        assert_eq!(results(&segments[..5]), ResultTokens::default());
    }
}
