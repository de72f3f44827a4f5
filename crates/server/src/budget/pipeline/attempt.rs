//! To decide a draft: look into the cache, plan, get the summaries that the plan counts on; and the
//! same with summaries that drift, and with fewer tools, where nothing fits.

use std::time::{Duration, Instant};

use context::{CacheSnapshot, CostModel, Infeasible, Mode};
use engine::CacheProbe;

use super::{Circumstances, RESIDENCY_SECONDS, ask, errand};
use crate::app::App;
use crate::budget::draft::{Draft, Revision};
use crate::budget::summaries::Errand;
use crate::budget::{probe, pruning, writing};
use crate::clock;
use crate::wire::error::ApiError;

/// What is to be decided.
pub(super) struct Task<'a> {
    pub(super) salt: &'a [u8],
    pub(super) circumstances: &'a Circumstances<'a>,
    pub(super) mode: Mode,
    /// Whether summaries are written.
    pub(super) writes: bool,
    pub(super) begun: Instant,
}

/// A draft, and what was decided.
pub(super) struct Attempt {
    pub(super) draft: Draft,
    pub(super) revised: Revised,
    /// What the cache held of the draft.
    pub(super) probe: CacheProbe,
    pub(super) cost: CostModel,
    /// Spent on planning, all attempts together.
    pub(super) planning: Duration,
    /// Spent on summaries.
    pub(super) compacting: Duration,
}

impl Attempt {
    /// Decides a draft.
    ///
    /// # Errors
    /// When the engine cannot be asked, or the prompt cannot be rendered.
    pub(super) async fn new(app: &App, draft: Draft, task: &Task<'_>) -> Result<Self, ApiError> {
        let priority = task.circumstances.priority;
        let probe = ask(app, &draft.tokens, task.salt, priority).await?;
        let outlook = Outlook {
            snapshot: CacheSnapshot {
                matched: probe.prompts[0].cached_tokens,
                pressure: probe.pressure(),
            },
            cost: probe::cost_model(&probe, RESIDENCY_SECONDS),
            mode: task.mode,
            begun: task.begun,
        };
        let begun = clock::now();
        let (mut draft, mut revised) = revise(app, draft, &outlook).await?;
        let planned = clock::now();
        if task.writes && task.mode == Mode::Enforce {
            (draft, revised) = write(app, draft, revised, &outlook, task.circumstances).await?;
        }
        Ok(Self {
            draft,
            revised,
            probe,
            cost: outlook.cost,
            planning: planned - begun,
            compacting: clock::now() - planned,
        })
    }

    /// The same with the summaries that move the model too far if nothing fits otherwise: they are
    /// better than a refusal.
    ///
    /// # Errors
    /// As [`Attempt::new`].
    pub(super) async fn with_drift(self, app: &App, task: &Task<'_>) -> Result<Self, ApiError> {
        if self.revised.is_ok() || self.draft.summaries.drifted().is_empty() {
            return Ok(self);
        }
        let (planning, compacting) = (self.planning, self.compacting);
        let (shared, draft) = (app.clone(), self.draft);
        let work = move || draft.accepting_drift(shared.budgeter());
        let mut again = Self::new(app, app.text_pool().run(work).await?, task).await?;
        again.planning += planning;
        again.compacting += compacting;
        Ok(again)
    }

    /// The same without tools that may be left out, as long as nothing fits and there are any.
    ///
    /// # Errors
    /// As [`Attempt::new`].
    pub(super) async fn with_fewer_tools(
        mut self,
        app: &App,
        task: &Task<'_>,
    ) -> Result<Self, ApiError> {
        while let (Mode::Enforce, Err(why)) = (task.mode, &self.revised) {
            let missing = why.shortfall();
            let (planning, compacting) = (self.planning, self.compacting);
            match pruning::leaner(app, self.draft, missing).await? {
                Err(same) => {
                    self.draft = same;
                    break;
                }
                Ok(leaner) => self = Self::new(app, leaner, task).await?,
            }
            self.planning += planning;
            self.compacting += compacting;
        }
        Ok(self)
    }
}

/// What plans of one request have in common.
#[derive(Clone, Copy)]
struct Outlook {
    snapshot: CacheSnapshot,
    cost: CostModel,
    mode: Mode,
    begun: Instant,
}

/// What came of it.
pub(super) type Revised = Result<Revision, Infeasible>;

/// Decides beside the async threads, on summaries that are still to be written only if the client
/// is to wait for them or nothing else helps.
async fn revise(
    app: &App,
    mut draft: Draft,
    outlook: &Outlook,
) -> Result<(Draft, Revised), ApiError> {
    let Outlook {
        snapshot,
        cost,
        mode,
        ..
    } = *outlook;
    app.text_pool()
        .run(move || {
            let resolved = draft.resolved.clone();
            let mut revised = draft.revise(snapshot, cost)?;
            if revised.is_err() && !draft.summaries.may_write {
                draft.summaries.may_write = true;
                // What gave way in vain holds again.
                draft.resolved = resolved;
                revised = draft.revise(snapshot, cost)?;
            }
            let revised = match revised {
                Err(why) if mode != Mode::Enforce => draft.unrevised(cost).ok_or(why),
                revised => revised,
            };
            Ok((draft, revised))
        })
        .await
}

/// Gets the summaries that a plan counts on and plans again, until it counts on none. What could
/// not be had is not counted on a second time, so that this ends.
async fn write(
    app: &App,
    mut draft: Draft,
    mut revised: Revised,
    outlook: &Outlook,
    circumstances: &Circumstances<'_>,
) -> Result<(Draft, Revised), ApiError> {
    while let Ok(revision) = &revised
        && !revision.unwritten.is_empty()
    {
        let prefill = writing::prefill(&revision.plan, &outlook.cost);
        let errand = Errand {
            deadline: writing::deadline(&draft.resolved, outlook.begun, prefill),
            ..errand(circumstances)
        };
        let progress = &circumstances.progress;
        draft = writing::write(app, draft, revision, errand, progress).await?;
        (draft, revised) = revise(app, draft, outlook).await?;
    }
    Ok((draft, revised))
}
