//! Which charts the results give.

use super::policy::Policy;
use super::summary::Row;
use crate::measure::chart::{Axis, Chart, Mark, Point, Series, Style};

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
        x: Axis {
            label: "budget, % of the whole episode".to_owned(),
            range: (0.0, 100.0),
            ticks: ticks
                .iter()
                .map(|&tick| (tick, format!("{tick:.0}")))
                .collect(),
        },
        y: Axis::percent("facts answered rightly"),
        series: series(rows, |row| row.budget.map(f64::from)),
    }
}

/// Retention by tokens that were computed in the replay of an episode.
pub(super) fn by_prefill(rows: &[Row]) -> Chart {
    let prefilled = |row: &Row| row.cost.as_ref().map(|cost| cost.prefilled_tokens);
    let most = rows.iter().filter_map(prefilled).fold(0.0, f64::max);
    Chart {
        title: "Planted facts retained, by tokens computed".to_owned(),
        x: Axis::from_zero("prefilled tokens per episode", most),
        y: Axis::percent("facts answered rightly"),
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
                style: Style::numbered(all.len()),
                mark: match of_policy.iter().all(|row| x(row).is_none()) {
                    true => Mark::Level,
                    false => Mark::LineAndPoints,
                },
                points,
            });
        }
    }
    all
}
