//! The plans that are best in some respect.

use crate::PlanPoint;

/// Points that are reported at most.
const MAX_POINTS: usize = 64;

/// The points that no other one beats in loss, seconds and tokens at once, by loss; `chosen` is
/// among them. More than 64 are thinned out evenly.
pub(crate) fn frontier(mut points: Vec<PlanPoint>, chosen: &PlanPoint) -> Vec<PlanPoint> {
    let by_loss = |a: &PlanPoint, b: &PlanPoint| {
        a.loss
            .total_cmp(&b.loss)
            .then(a.prefill_seconds.total_cmp(&b.prefill_seconds))
            .then(a.tokens.cmp(&b.tokens))
    };
    points.retain(|point| !dominates(chosen, point) && !is_same(chosen, point));
    points.push(chosen.clone());
    points.sort_by(by_loss);
    points.dedup_by(|later, earlier| is_same(later, earlier));
    let mut best: Vec<PlanPoint> = Vec::new();
    for point in points {
        // What is sorted behind a point has no less loss, so it cannot dominate it.
        if point == *chosen || !best.iter().any(|other| dominates(other, &point)) {
            best.push(point);
        }
    }
    if best.len() > MAX_POINTS {
        let stride = (best.len() - 1).div_ceil(MAX_POINTS - 3);
        let last = best.len() - 1;
        let mut at = 0;
        best.retain(|point| {
            let keep = at % stride == 0 || at == last || point == chosen;
            at += 1;
            keep
        });
    }
    best
}

fn is_same(a: &PlanPoint, b: &PlanPoint) -> bool {
    a.loss == b.loss && a.prefill_seconds == b.prefill_seconds && a.tokens == b.tokens
}

/// Whether `a` is nowhere worse than `b`, and somewhere better.
pub(crate) fn dominates(a: &PlanPoint, b: &PlanPoint) -> bool {
    a.loss <= b.loss
        && a.prefill_seconds <= b.prefill_seconds
        && a.tokens <= b.tokens
        && !is_same(a, b)
}
