//! Which charts the results give.

use super::chart::{Chart, Point, Series};
use super::policy::Policy;
use super::summary::Row;

/// Retention by budget; policies without one are levels.
pub(super) fn by_budget(rows: &[Row]) -> Chart {
    let budgets: Vec<f64> = rows
        .iter()
        .filter_map(|row| row.budget.map(f64::from))
        .collect();
    let mut ticks = budgets.clone();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    Chart {
        title: "Planted facts retained, by budget".to_owned(),
        x_label: "budget, % of the whole episode".to_owned(),
        y_label: "facts answered rightly".to_owned(),
        x_range: (0.0, 100.0),
        x_ticks: ticks
            .iter()
            .map(|&tick| (tick, format!("{tick:.0}")))
            .collect(),
        series: series(rows, |row| row.budget.map(f64::from)),
    }
}

/// Retention by tokens that were computed in the replay of an episode.
pub(super) fn by_prefill(rows: &[Row]) -> Chart {
    let prefilled = |row: &Row| row.cost.as_ref().map(|cost| cost.prefilled_tokens);
    let most = rows.iter().filter_map(prefilled).fold(0.0, f64::max);
    let step = step(most);
    let last = (most / step).ceil().max(1.0) as usize;
    let ticks = (0..=last).map(|tick| tick as f64 * step);
    Chart {
        title: "Planted facts retained, by tokens computed".to_owned(),
        x_label: "prefilled tokens per episode".to_owned(),
        y_label: "facts answered rightly".to_owned(),
        x_range: (0.0, last as f64 * step),
        x_ticks: ticks.map(|tick| (tick, format!("{tick:.0}"))).collect(),
        series: series(rows, prefilled),
    }
}

/// One per policy; rows without an x are levels.
fn series(rows: &[Row], x: impl Fn(&Row) -> Option<f64>) -> Vec<Series> {
    let mut all = Vec::new();
    for policy in Policy::ALL {
        let of_policy: Vec<&Row> = rows
            .iter()
            .filter(|row| row.kind.is_none() && row.policy == policy)
            .collect();
        let points: Vec<Point> = of_policy
            .iter()
            .filter_map(|row| {
                let retention = row.retention?;
                Some(Point {
                    x: x(row).unwrap_or(0.0),
                    y: retention.value * 100.0,
                    low: retention.low * 100.0,
                    high: retention.high * 100.0,
                })
            })
            .collect();
        if !points.is_empty() {
            all.push(Series {
                name: policy.name().to_owned(),
                level: of_policy.iter().all(|row| x(row).is_none()),
                points,
            });
        }
    }
    all
}

/// 1, 2 or 5 times a power of ten, so that there are four to ten ticks.
fn step(most: f64) -> f64 {
    let mut power = 1.0;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if most <= factor * power * 8.0 {
                return factor * power;
            }
        }
        power *= 10.0;
    }
}
