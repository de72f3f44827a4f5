//! Getting the summaries that a plan counts on: at once, or while the client runs its tool.

use std::sync::Arc;
use std::time::Duration;

use context::{CompactionSchedule, CostModel, Resolved, Rung};

use super::compaction::{Compacted, CompactionTask, Order};
use super::draft::{Draft, Revision};
use super::summaries::{Errand, Unwritten};
use crate::app::App;
use crate::wire::error::ApiError;

/// Turns ahead of which a summary is begun.
const TURNS_AHEAD: f64 = 2.0;

/// Whether plans may count from the start on summaries that the client then waits for. Otherwise
/// they may where nothing else helps.
pub(super) fn is_foreground(resolved: &Resolved) -> bool {
    resolved.summary.schedule == CompactionSchedule::Foreground
        || resolved.policy.compaction.trigger.is_some()
}

/// Gets the summaries that `revision` counts on, for the plan that follows. One that cannot be had
/// is not asked for again.
pub(super) async fn write(
    app: &App,
    draft: Draft,
    revision: &Revision,
    mut errand: Errand,
) -> Result<Draft, ApiError> {
    let wanted = revision.unwritten.clone();
    // The other half is for what the conversation adds until the next edits.
    errand.spare = revision.plan.remaining / 2 / wanted.len().max(1);
    errand.max_wait = max_wait(&draft.resolved);
    let (mut draft, tasks) = tasks(app, draft, wanted, errand).await?;
    for (wanted, task) in tasks {
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

/// Whether it is time to think of a summary: the conversation is about to pass its high mark.
pub(super) fn is_due(draft: &Draft, used: usize) -> bool {
    let policy = &draft.resolved.policy;
    let high = (policy.utilization.high * policy.budget as f64) as usize;
    !is_foreground(&draft.resolved)
        && policy.ladder.contains(&Rung::CompactHistory)
        && used + policy.output.min + ahead(draft) > high
}

fn ahead(draft: &Draft) -> usize {
    (TURNS_AHEAD * draft.resolved.policy.outlook.growth_per_turn) as usize
}

/// Of both limits that a client may give, the nearer one.
fn max_wait(resolved: &Resolved) -> Option<Duration> {
    let limits = [resolved.max_planning_ms, resolved.ttft_slo_ms];
    limits
        .into_iter()
        .flatten()
        .min()
        .map(Duration::from_millis)
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
