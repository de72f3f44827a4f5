//! Getting the summaries that a plan counts on: at once, or while the client runs its tool.

use std::sync::Arc;
use std::time::{Duration, Instant};

use context::{CompactionSchedule, CostModel, Plan, Resolved, Rung};

use super::compaction::{Compacted, CompactionTask, Order};
use super::draft::{Draft, Revision};
use super::progress::{Progress, Stage};
use super::summaries::{Errand, Unwritten};
use crate::app::App;
use crate::clock;
use crate::wire::error::ApiError;

/// Turns ahead of which a summary is begun.
const TURNS_AHEAD: f64 = 2.0;

/// Whether plans may count from the start on summaries that the client then waits for. Otherwise
/// they may where nothing else helps.
pub(super) fn is_foreground(resolved: &Resolved) -> bool {
    resolved.summary.schedule == CompactionSchedule::Foreground
}

/// When a client that waits for summaries has waited long enough, by the nearer one of the limits
/// that it may give: planning ends with the summaries, its first token comes after the prompt is
/// computed. `begun` is the beginning of the request.
pub(super) fn deadline(resolved: &Resolved, begun: Instant, prefill: Duration) -> Option<Instant> {
    let planned = resolved.max_planning_ms.map(Duration::from_millis);
    let first_token = resolved.ttft_slo_ms.map(Duration::from_millis);
    let limits = [planned, first_token.map(|slo| slo.saturating_sub(prefill))];
    let nearer = limits.into_iter().flatten().min()?;
    Some(begun + nearer)
}

/// Time that computing the prompt of a plan is going to take.
pub(super) fn prefill(plan: &Plan, cost: &CostModel) -> Duration {
    let cached = plan.tokens_after.saturating_sub(plan.prefill_after);
    let seconds = cost.prefill_seconds(plan.prefill_after, cached);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Gets the summaries that `revision` counts on, for the plan that follows. One that cannot be had
/// is not asked for again.
pub(super) async fn write(
    app: &App,
    draft: Draft,
    revision: &Revision,
    mut errand: Errand,
    progress: &Progress,
) -> Result<Draft, ApiError> {
    let wanted = revision.unwritten.clone();
    // The other half is for what the conversation adds until the next edits.
    errand.spare = revision.plan.remaining / 2 / wanted.len().max(1);
    let deadline = errand.deadline;
    let (mut draft, tasks) = tasks(app, draft, wanted, errand).await?;
    let total = tasks.len();
    for (done, (wanted, mut task)) in tasks.into_iter().enumerate() {
        progress.tell(Stage::Compacting { done, total });
        // One deadline for all of them: what the first one takes, the others do not have.
        task.max_wait = deadline.map(|end| end.saturating_duration_since(clock::now()));
        draft.summaries.note_asked(wanted.segments.clone());
        match app.compactor().summarise(app, task).await {
            Ok(compacted) => keep(app, &mut draft, &wanted, compacted),
            Err(failure) => tracing::warn!(%failure, "old turns are not summarised"),
        }
    }
    Ok(draft)
}

/// Begins a summary that the conversation is going to need, where nobody waits for it.
pub(super) fn look_ahead(app: &App, draft: Draft, cost: CostModel, pressure: f64, errand: Errand) {
    let key = draft.conversation_key();
    let compactor = app.compactor();
    let Some(key) = key.filter(|key| !compactor.is_in_background(*key)) else {
        return;
    };
    let prepared = prepare(app.clone(), draft, cost, pressure, errand);
    let order = async move {
        prepared.await.unwrap_or_else(|error| {
            tracing::debug!(message = error.message(), "no summary is prepared");
            None
        })
    };
    if let Err(refusal) = compactor.summarise_later(app, key, order) {
        tracing::debug!(%refusal, "no summary in the background");
    }
}

async fn prepare(
    app: App,
    draft: Draft,
    cost: CostModel,
    pressure: f64,
    errand: Errand,
) -> Result<Option<Order>, ApiError> {
    let growth = ahead(&draft);
    let shared = app.clone();
    let planned = app.text_pool().run(move || {
        // With the edits that the request has just made.
        let mut draft = draft.again(shared.budgeter())?;
        let wanted = draft.needed_after(growth, cost, pressure);
        Ok((draft, wanted))
    });
    let (draft, mut wanted) = planned.await?;
    wanted.truncate(1);
    let (draft, mut tasks) = tasks(&app, draft, wanted, errand).await?;
    let order = tasks.pop().map(|(wanted, task)| {
        let deliver = move |compacted: Compacted| {
            let mut ledger = app.budgeter().ledger();
            let (level, segments) = (compacted.level, wanted.segments);
            let stored = ledger.store_summary(&draft.chain, segments, level, compacted.summary);
            if let Err(error) = stored {
                tracing::warn!(%error, "a summary is not kept");
            }
        };
        Order {
            task,
            deliver: Box::new(deliver),
        }
    });
    Ok(order)
}

/// Whether it is time to think of a summary: the conversation is about to pass its high mark, or the
/// trigger of summaries.
pub(super) fn is_due(draft: &Draft, used: usize) -> bool {
    let policy = &draft.resolved.policy;
    let high = (policy.utilization.high * policy.budget as f64) as usize;
    let soon = used + ahead(draft);
    let is_near = soon + policy.output.min > high
        || policy
            .compaction
            .trigger
            .is_some_and(|trigger| soon > trigger);
    !is_foreground(&draft.resolved) && policy.ladder.contains(&Rung::CompactHistory) && is_near
}

fn ahead(draft: &Draft) -> usize {
    (TURNS_AHEAD * draft.resolved.policy.outlook.growth_per_turn) as usize
}

async fn tasks(
    app: &App,
    draft: Draft,
    wanted: Vec<Unwritten>,
    errand: Errand,
) -> Result<(Draft, Vec<(Unwritten, CompactionTask)>), ApiError> {
    if wanted.is_empty() {
        return Ok((draft, Vec::new()));
    }
    let made = app.text_pool().run(move || {
        let task = |wanted: Unwritten| {
            let task = draft.summary_task(&wanted, &errand);
            (wanted, task)
        };
        let tasks = wanted.into_iter().map(task).collect();
        Ok((draft, tasks))
    });
    made.await
}

fn keep(app: &App, draft: &mut Draft, wanted: &Unwritten, compacted: Compacted) {
    let (level, summary) = (compacted.level, compacted.summary.clone());
    let segments = wanted.segments.clone();
    let stored = app.budgeter().ledger().store_summary(
        &draft.chain,
        segments.clone(),
        level,
        summary.clone(),
    );
    if let Err(error) = stored {
        // This request has it all the same.
        tracing::warn!(%error, "a summary is not kept");
    }
    draft.add_summary(
        segments,
        level,
        Arc::new(summary),
        Some(Arc::new(compacted)),
    );
}

#[cfg(test)]
mod tests {
    use context::{Facts, Settings, resolve};

    use super::*;

    #[test]
    fn the_nearer_of_two_limits_ends_the_wait() {
        let begun = clock::now();
        let ends_after = |planning: Option<u64>, first_token: Option<u64>, prefill: u64| {
            let settings = Settings {
                max_planning_ms: planning,
                ttft_slo_ms: first_token,
                ..Settings::default()
            };
            let resolved = resolve(&settings, &Facts::of_window(4_096)).unwrap();
            let end = deadline(&resolved, begun, Duration::from_millis(prefill));
            end.map(|end| (end - begun).as_millis())
        };
        assert_eq!(ends_after(None, None, 50), None);
        assert_eq!(ends_after(Some(900), None, 50), Some(900));
        assert_eq!(ends_after(None, Some(900), 50), Some(850));
        assert_eq!(ends_after(Some(870), Some(900), 50), Some(850));
        assert_eq!(ends_after(Some(800), Some(900), 50), Some(800));
        assert_eq!(ends_after(None, Some(40), 50), Some(0));
    }
}
