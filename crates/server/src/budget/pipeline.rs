//! The stages of one request: draft, look into the cache, decide, get the summaries that this takes,
//! look again, remember.

mod attempt;
mod planned;

use std::collections::BTreeSet;
use std::time::Duration;

use context::{EditOp, Mode, Regret, ReportLevel, Settings, Window};
use engine::{CacheProbe, MissCause};
use serde_json::Value;

use super::draft::{Draft, DraftInput, Revision};
use super::drift::{DriftWatch, Recording};
use super::infeasible::{self, Declined, Scene};
use super::progress::{Progress, Stage};
use super::server_tools::{self, ServerTools};
use super::standing::StandingEdit;
use super::summaries::Errand;
use super::supply::{self, Supplied, Supply};
use super::{asked, figures, probe, pruning, report, writing};
use crate::adapters::ServedAdapter;
use crate::app::App;
use crate::auth::Caller;
use crate::clock;
use crate::metrics::Forecast;
use crate::validate::budget::{BudgetRequest, ManagedEdit};
use crate::validate::chat::Conversation;
use crate::wire::context_report::ContextReport;
use crate::wire::error::ApiError;
use attempt::{Attempt, Task};

/// Price of a thousand tokens that stay for a turn in a full cache, in seconds.
const RESIDENCY_SECONDS: f64 = 0.05;

/// What a request says of its context.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wish {
    /// `context_budget`.
    pub budget: Option<BudgetRequest>,
    /// `context_management`: the edits named, and the settings that they mean.
    pub management: Option<(Vec<ManagedEdit>, Settings)>,
}

/// What else is known of a request.
pub struct Circumstances<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// The request's own salt.
    pub cache_salt: &'a str,
    /// The adapter that it names, if it is not the model itself.
    pub adapter: Option<&'a ServedAdapter>,
    /// Class of the request.
    pub priority: i32,
    /// Output tokens that it asks for.
    pub output_asked: Option<usize>,
    /// Who hears how far it is.
    pub progress: Progress,
}

impl Circumstances<'_> {
    /// Salt under which the prompt's prefix is cached.
    pub(super) fn salt(&self) -> Vec<u8> {
        let salt = self.caller.cache_salt(self.cache_salt);
        match self.adapter {
            None => salt,
            Some(adapter) => adapter.handle.cache_salt(&salt),
        }
    }
}

/// What becomes of a request: its prompt is computed, or else it is answered without a model.
pub type Decision<T> = Result<T, Box<Declined>>;

/// A request whose context is decided, and nothing of it remembered.
pub struct Planned {
    mode: Mode,
    policy: String,
    draft: Draft,
    revision: Revision,
    before: CacheProbe,
    after: CacheProbe,
    times: report::Times,
    /// Regrets that no earlier request had; counted when the request is settled.
    recalled: Vec<Regret>,
}

/// A request whose context is settled.
pub struct Settled {
    /// The prompt.
    pub tokens: Vec<u32>,
    /// Tokens of output that the engine keeps room for.
    pub min_output_tokens: usize,
    /// The most that an answer may have whose request does not say.
    pub max_output_tokens: Option<usize>,
    /// What prompt and output may have together.
    pub window: Window,
    /// What was done.
    pub report: ContextReport,
    /// What it says of the time to come.
    pub forecast: Forecast,
    /// How much of it the client wants to know.
    pub level: ReportLevel,
    /// `context_management` of the answer, if the request had one.
    pub management: Option<Value>,
    /// The tools that the server runs while it answers, if the request wants any.
    pub server_tools: Option<ServerTools>,
    /// Where it is kept how likely the answer was, if that is going to be compared.
    pub recording: Option<Recording>,
    /// What is compared while the prompt is computed.
    pub drift: Option<DriftWatch>,
}

/// Settles the context of a request: decides, gets the summaries that the decision counts on, and
/// remembers what was decided.
///
/// # Errors
/// What is wrong with the request, or that nothing makes it fit.
pub async fn settle(
    app: &App,
    conversation: Conversation,
    wish: &Wish,
    circumstances: &Circumstances<'_>,
) -> Result<Decision<Settled>, ApiError> {
    let mut planned = match compact(app, conversation, wish, circumstances).await? {
        Ok(planned) => planned,
        Err(declined) => return Ok(Err(declined)),
    };
    let mut settled = planned.settled(app, wish);
    if planned.draft.input.serves {
        let work = move || Ok((planned.server_tools()?, planned));
        let (tools, back) = app.text_pool().run(work).await?;
        (settled.server_tools, planned) = (Some(tools), back);
    }
    let metrics = app.metrics().context();
    figures::record(metrics, &planned.draft, &settled.report, &planned.recalled);
    planned.look_ahead(app, errand(circumstances));
    Ok(Ok(settled))
}

/// Edits a conversation as [`settle`] does, for whoever wants it back.
///
/// # Errors
/// As [`settle`].
pub async fn compact(
    app: &App,
    conversation: Conversation,
    wish: &Wish,
    circumstances: &Circumstances<'_>,
) -> Result<Decision<Planned>, ApiError> {
    let mut decision = decide(app, conversation, wish, circumstances, true).await?;
    if let Ok(planned) = &mut decision
        && planned.mode == Mode::Enforce
    {
        planned.recalled = remember(app, circumstances.caller, planned).await?;
    }
    Ok(decision)
}

/// What would be done with a request. Nothing is computed and nothing remembered; where the
/// decision counts on a summary that is not written, the prompt is the one without it.
///
/// # Errors
/// As [`settle`].
pub async fn plan(
    app: &App,
    conversation: Conversation,
    wish: &Wish,
    circumstances: &Circumstances<'_>,
) -> Result<Decision<Planned>, ApiError> {
    decide(app, conversation, wish, circumstances, false).await
}

impl Planned {
    /// The prompt as it would be computed.
    pub fn tokens(&self) -> &[u32] {
        match self.mode {
            Mode::Enforce => &self.revision.tokens,
            Mode::Off | Mode::Observe => &self.draft.division.tokens,
        }
    }

    /// What was decided, in the terms of the answer.
    pub fn report(&self) -> ContextReport {
        report::report(&report::Findings {
            mode: self.mode,
            policy: &self.policy,
            draft: &self.draft,
            revision: &self.revision,
            before: &self.before,
            after: &self.after,
            times: &self.times,
            recalled: self.recalled.len(),
        })
    }

    fn settled(&self, app: &App, wish: &Wish) -> Settled {
        let resolved = &self.draft.resolved;
        Settled {
            server_tools: None,
            recording: self.recording(app),
            drift: self.drift_watch(app),
            tokens: self.tokens().to_vec(),
            min_output_tokens: resolved.policy.output.min,
            max_output_tokens: match self.mode {
                Mode::Enforce => Some(resolved.policy.output.max),
                Mode::Off | Mode::Observe => None,
            },
            window: match self.mode {
                Mode::Enforce => Window {
                    tokens: resolved.policy.budget,
                },
                Mode::Off | Mode::Observe => app.model().window,
            },
            report: self.report(),
            forecast: figures::forecast(&self.draft, &self.after),
            level: resolved.report,
            management: self.management(wish),
        }
    }

    /// The server's tools, with the conversation as the model sees it.
    fn server_tools(&self) -> Result<ServerTools, ApiError> {
        let input = &self.draft.input;
        Ok(ServerTools {
            model: input.model.clone(),
            conversation: self.draft.conversation(&self.revision.edits)?,
            now: input.now,
            tenant: input.tenant,
            budget: self.draft.resolved.policy.budget,
            uses: Vec::new(),
        })
    }

    fn recording(&self, app: &App) -> Option<Recording> {
        let enforced = (self.mode == Mode::Enforce).then_some(&self.revision)?;
        self.draft.recording(app.budgeter(), enforced)
    }

    fn drift_watch(&self, app: &App) -> Option<DriftWatch> {
        let enforced = (self.mode == Mode::Enforce).then_some(&self.revision)?;
        self.draft.drift_watch(app.budgeter(), enforced)
    }

    /// Begins a summary that the next requests of this conversation will need.
    fn look_ahead(self, app: &App, errand: Errand) {
        let is_due = writing::is_due(&self.draft, self.revision.tokens.len());
        if self.mode != Mode::Enforce || !is_due {
            return;
        }
        let cost = probe::cost_model(&self.before, RESIDENCY_SECONDS);
        let pressure = self.before.pressure();
        writing::look_ahead(app, self.draft, cost, pressure, errand);
    }
}

async fn decide(
    app: &App,
    conversation: Conversation,
    wish: &Wish,
    circumstances: &Circumstances<'_>,
    writes: bool,
) -> Result<Decision<Planned>, ApiError> {
    let mode = wish.mode(app)?;
    let salt = circumstances.salt();
    let (policy, mut input, supply) = input(app, conversation, wish, circumstances, mode)?;
    input.is_noted = writes;
    circumstances.progress.tell(Stage::Planning);
    let begun = clock::now();
    let draft = supply::draft(app, input, supply, circumstances.priority).await?;
    let draft = pruning::within_max(app, draft).await?;
    let drafted = clock::now();
    let task = Task {
        salt: &salt,
        circumstances,
        mode,
        writes,
        begun,
    };
    let first = Attempt::new(app, draft, &task).await?;
    let first = first.with_drift(app, &task).await?;
    let before = first.probe.clone();
    let Attempt {
        draft,
        revised,
        cost,
        planning,
        compacting,
        ..
    } = first.with_fewer_tools(app, &task).await?;
    let times = report::Times {
        rendering: drafted - begun,
        planning,
        compacting,
    };
    let revision = match revised {
        Ok(revision) => revision,
        Err(why) => {
            if writes {
                app.metrics().context().infeasible();
            }
            let scene = Scene {
                policy,
                before,
                cost,
                times,
            };
            return infeasible::decline(app, draft, why, scene).await.map(Err);
        }
    };
    let mut planned = Planned {
        after: before.clone(),
        mode,
        policy,
        draft,
        revision,
        before,
        times,
        recalled: Vec::new(),
    };
    planned.after = ask(app, planned.tokens(), &salt, circumstances.priority).await?;
    Ok(Ok(planned))
}

fn errand(circumstances: &Circumstances<'_>) -> Errand {
    Errand {
        cache_salt: circumstances.caller.cache_salt(circumstances.cache_salt),
        adapter: circumstances.adapter.map(|adapter| adapter.handle.clone()),
        priority: circumstances.priority,
        spare: 0,
        deadline: None,
    }
}

/// What the draft of a request is made of, and the name of its profile.
///
/// # Errors
/// When it asks for what there is not.
pub(super) fn input(
    app: &App,
    mut conversation: Conversation,
    wish: &Wish,
    circumstances: &Circumstances<'_>,
    mode: Mode,
) -> Result<(String, DraftInput, Supply), ApiError> {
    let budget = wish.budget.clone().unwrap_or_default();
    let (name, profile) = app.budgeter().profile(budget.profile.as_deref())?;
    let managed = wish.management.clone().unwrap_or_default().1;
    let (own, conflicts) = budget.settings.over_edits(managed);
    let notices = asked::notices(&own, &budget.incoming, &conversation);
    let settings = own.over(profile);
    // What stands in a message is said later, and counts more.
    let annotations = [budget.annotations, conversation.notes.annotations.clone()].concat();
    asked::check_zones(&settings, &annotations, &budget.incoming)?;
    let supply = Supply {
        documents: budget.documents,
        memory: budget.memory_namespace,
    };
    let serves = mode == Mode::Enforce && settings.server_tools == Some(true);
    let serves = serves && server_tools::declare(&mut conversation, app.model())?;
    let input = DraftInput {
        serves,
        model: app.model().clone(),
        settings,
        annotations,
        conversation,
        incoming: budget.incoming.iter().map(|incoming| incoming.tokens).sum(),
        output_asked: circumstances.output_asked,
        tenant: circumstances.caller.tenant(),
        tenant_salt: circumstances.salt(),
        now: clock::local(),
        enforces: mode == Mode::Enforce,
        is_noted: false,
        conflicts,
        accepted_drift: Vec::new(),
        supplied: Supplied::default(),
        ablation: budget.ablation,
        notices,
        pruned: BTreeSet::new(),
    };
    Ok((name, input, supply))
}

async fn ask(
    app: &App,
    tokens: &[u32],
    salt: &[u8],
    priority: i32,
) -> Result<CacheProbe, ApiError> {
    probe::ask(app, vec![tokens.to_vec()], salt, priority).await
}

/// Keeps what was taken away, so that it is had back, and then what was decided, so that it is
/// repeated: no edit that names a handle is remembered before there is a text behind it. Returns the
/// regrets that no earlier request had.
async fn remember(app: &App, caller: &Caller, planned: &Planned) -> Result<Vec<Regret>, ApiError> {
    let Planned {
        draft, revision, ..
    } = planned;
    let texts = revision.offloaded.clone();
    if !texts.is_empty() {
        let (store, tenant) = (app.memory().clone(), caller.tenant());
        app.text_pool()
            .run(move || {
                texts.iter().try_for_each(|text| {
                    let kept = store.put(&tenant, text).map(drop);
                    kept.map_err(|error| {
                        tracing::error!(%error, "a cleared text is not kept");
                        ApiError::internal("The memory store failed.")
                    })
                })
            })
            .await?;
    }
    draft.keep_originals(app.budgeter(), &revision.edits);
    draft.remember_pruned(app.budgeter());
    let mut ledger = app.budgeter().ledger();
    draft.settle_drift(&mut ledger, &revision.edits);
    // What was put in for this request only is not there in the next one.
    let is_kept = |edit: &&StandingEdit| {
        let is_own = !draft.division.inserted[*edit.segments.start()];
        !edit.is_known && is_own && edit.edit.op != EditOp::PruneTool
    };
    for edit in revision.edits.iter().filter(is_kept) {
        let recorded = ledger.record(&draft.chain, edit.segments.clone(), (*edit.edit).clone());
        if let Err(error) = recorded {
            // The next request plans anew: slower, and not wrong.
            tracing::warn!(%error, "an edit is not remembered");
        }
    }
    let recalled = ledger.count_regrets(&draft.chain, &draft.regrets);
    drop(ledger);
    draft.count_uses(&mut app.budgeter().uses(), &revision.edits, &recalled);
    Ok(recalled)
}

/// Why no more of a prompt is cached, without telling what others have asked.
pub(super) fn miss_name(cause: MissCause) -> &'static str {
    match cause {
        MissCause::NeverSeen | MissCause::OtherSalt => "never_seen",
        MissCause::Evicted(_) => "evicted",
        MissCause::NotCacheable => "not_cacheable",
    }
}

/// Milliseconds.
pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
