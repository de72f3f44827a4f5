//! A request's conversation before anything of it is decided: counted, divided, and with the edits
//! of earlier requests in place.

mod input;
mod rendering;

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

use context::{
    CacheSnapshot, ChainKey, CostModel, EditOp, Focus, Infeasible, LedgerEdit, Plan, PlanInput,
    Regret, Replay, Resolved, SegmentChain, SegmentKind, Summary, SummaryLevel, WaitingSummary,
    Zone, canonical_tools, plan, regrets,
};

use memory::Handle;
use serde_json::json;

use super::changes;
use super::compaction::Compacted;
use super::division::Division;
use super::drift;
use super::prefix_ends::PrefixEnds;
use super::standing::{Standing, StandingEdit};
use super::state::Budgeter;
use super::summaries::{Summaries, Unwritten, Written};
use super::texts::{Made, Texts};
use super::{infeasible, pruning, writing};
use crate::wire::error::ApiError;

pub(super) use input::DraftInput;

/// How often a plan is made again because tokens at borders were not as counted.
const MAX_CORRECTIONS: usize = 4;

/// See the module.
pub(super) struct Draft {
    pub(super) input: DraftInput,
    pub(super) division: Division,
    pub(super) chain: SegmentChain,
    pub(super) replay: Replay,
    pub(super) standing: Standing,
    pub(super) summaries: Summaries,
    pub(super) resolved: Resolved,
    /// The prompt with the edits of earlier requests.
    pub(super) tokens: Vec<u32>,
    pub(super) regrets: Vec<Regret>,
    pub(super) turns: usize,
    /// Replacements, for the plans to come.
    made: Made,
    /// Whether cleared results have lost their handles, because nothing fitted otherwise.
    is_terse: bool,
}

/// What came of a draft.
pub(super) struct Revision {
    /// The decision.
    pub(super) plan: Plan,
    /// All edits, of earlier requests and of this one.
    pub(super) edits: Vec<StandingEdit>,
    /// Texts that the prompt names by a handle, of this request's edits.
    pub(super) offloaded: Vec<String>,
    /// The prompt that is computed; while summaries are unwritten, the draft's.
    pub(super) tokens: Vec<u32>,
    /// Summaries that the plan counts on.
    pub(super) unwritten: Vec<Unwritten>,
}

impl Draft {
    /// Counts and divides a conversation, and repeats what earlier requests have done to it.
    ///
    /// # Errors
    /// When it cannot be rendered, or the settings cannot be meant.
    pub(super) fn new(mut input: DraftInput, budgeter: &Budgeter) -> Result<Self, ApiError> {
        if input.enforces {
            let definitions = &mut input.conversation.tools.definitions;
            *definitions = canonical_tools(definitions);
        }
        let division = Division::new(
            &input.model,
            &input.conversation,
            &input.annotations,
            &input.supplied.insertions,
            input.settings.hints.task.as_deref(),
            input.now,
        )?;
        let digests = division.segments.iter().map(|segment| &segment.digest);
        let asides = division.inserted.iter().copied();
        let chain = budgeter.chain(&input.tenant_salt, digests.zip(asides));
        Self::stand(input, division, chain, budgeter)
    }

    /// The same conversation with what has been remembered of it meanwhile.
    ///
    /// # Errors
    /// As [`Draft::new`].
    pub(super) fn again(self, budgeter: &Budgeter) -> Result<Self, ApiError> {
        Self::stand(self.input, self.division, self.chain, budgeter)
    }

    fn stand(
        input: DraftInput,
        mut division: Division,
        chain: SegmentChain,
        budgeter: &Budgeter,
    ) -> Result<Self, ApiError> {
        let turns = input.requests();
        let marks = &input.conversation.notes.marks;
        let marked = division.marked_end(input.settings.stable_prefix, marks);
        let mut ends = PrefixEnds { marked, shared: 0 };
        let first = input.resolve(&division, &division.segments, &Replay::default(), ends)?;
        division.set_tiers(&first.policy);
        division.set_utilities(&budgeter.uses(), input.tenant);
        let mut drifted = Vec::new();
        let (mut replay, mut waiting) = if input.enforces && !input.ablation.ledger {
            let mut ledger = budgeter.ledger();
            let replay = ledger.replay(&chain, |known| {
                let mut allowed = division.allowed(&first, known);
                drifted = input.set_drifted_apart(known, &mut allowed);
                allowed
            });
            (replay, ledger.summaries(&chain))
        } else {
            (Replay::default(), Vec::new())
        };
        for pruned in pruning::known(&input, &division, &chain, &first, budgeter) {
            replay.insert(pruned);
        }
        let mut standing = Standing::new(&division.segments, &replay);
        ends.shared = division.shared_end(&chain, &replay, budgeter, input.is_noted);
        let mut resolved = input.resolve(&division, &standing.segments, &replay, ends)?;
        drift::ask_for_detail(&mut resolved, &drifted);
        input.check_tiers(&division, &resolved)?;
        input.set_tiers(&division, &mut standing, &resolved);
        let mut draft = Self {
            tokens: Vec::new(),
            regrets: regrets(&division.calls(), &replay),
            input,
            division,
            chain,
            replay,
            standing,
            summaries: Summaries::default(),
            resolved,
            turns,
            made: Made::default(),
            is_terse: false,
        };
        let is_redone = !drifted.is_empty();
        draft.summaries.note_drifted(drifted);
        let order = draft.summary_order();
        waiting.retain(|one| {
            let is_detailed = draft.summaries.is_detailed_enough(&one.segments, one.level);
            order.accepts(&one.summary) && is_detailed
        });
        // The last one of a span is taken: rather what was asked for than what is good enough.
        waiting.sort_by_key(|waiting| waiting.summary.order == order);
        for WaitingSummary {
            segments,
            level,
            summary,
        } in waiting
        {
            draft.add_summary(segments, level, summary, None);
        }
        draft.summaries.may_write = is_redone || writing::is_foreground(&draft.resolved);
        draft.tokens = draft.render(&draft.known_edits())?;
        Ok(draft)
    }

    /// Decides what is done, given what the cache holds of [`Draft::tokens`].
    ///
    /// # Errors
    /// When nothing makes it fit; the inner error.
    pub(super) fn revise(
        &mut self,
        cache: CacheSnapshot,
        cost: CostModel,
    ) -> Result<Result<Revision, Infeasible>, ApiError> {
        let mut input = PlanInput {
            policy: self.resolved.policy.clone(),
            segments: self.standing.segments.clone(),
            prompt_tokens: self.tokens.len(),
            incoming: self.input.incoming,
            cache,
            cost,
        };
        if self.input.ablation.cache {
            input = input.cache_blind();
        }
        let mut excess = 0;
        let mut corrections = 1..MAX_CORRECTIONS;
        loop {
            input.incoming = self.input.incoming + excess;
            let plan = match self.plan(&mut input) {
                Ok(planned) => planned,
                Err(infeasible) => return Ok(Err(infeasible)),
            };
            let Edits {
                edits,
                offloaded,
                unwritten,
            } = self.edits(&plan);
            let tokens = if plan.edits.is_empty() || !unwritten.is_empty() {
                self.tokens.clone()
            } else {
                self.render(&edits)?
            };
            let policy = &input.policy;
            let used = tokens.len() + self.input.incoming + policy.output.min;
            if used <= policy.budget || !unwritten.is_empty() {
                return Ok(Ok(Revision {
                    plan,
                    edits,
                    offloaded,
                    tokens,
                    unwritten,
                }));
            }
            if corrections.next().is_none() {
                return Ok(Err(infeasible::unsettled(&plan, &input, used)));
            }
            // Tokens merge across borders: what was freed is not exactly what was counted.
            excess += used - policy.budget;
        }
    }

    /// The prompt as it is, for a request that is only observed and that nothing makes fit.
    pub(super) fn unrevised(&mut self, cost: CostModel) -> Option<Revision> {
        let mut input = PlanInput {
            policy: self.resolved.policy.clone(),
            segments: self.standing.segments.clone(),
            prompt_tokens: self.tokens.len(),
            incoming: 0,
            cache: CacheSnapshot::default(),
            cost,
        };
        input.policy.ladder.clear();
        let room = self.tokens.len() + input.policy.output.min;
        (input.policy.budget, input.policy.utilization.high) = (room, 1.0);
        let zones = input.policy.zones.iter_mut();
        zones.for_each(|rule| rule.bounds.max = room);
        let plan = self.plan(&mut input).ok()?;
        Some(Revision {
            plan,
            edits: Vec::new(),
            offloaded: Vec::new(),
            tokens: self.tokens.clone(),
            unwritten: Vec::new(),
        })
    }

    /// Summaries that the conversation is going to need when it has grown by so many tokens, if
    /// nothing else is done until then.
    pub(super) fn needed_after(
        &mut self,
        growth: usize,
        cost: CostModel,
        pressure: f64,
    ) -> Vec<Unwritten> {
        let mut input = PlanInput {
            policy: self.resolved.policy.clone(),
            segments: self.standing.segments.clone(),
            prompt_tokens: self.tokens.len(),
            incoming: self.input.incoming + growth,
            cache: CacheSnapshot {
                matched: self.tokens.len(),
                pressure,
            },
            cost,
        };
        self.summaries.may_write = true;
        // The prompt has not grown yet.
        let trigger = &mut input.policy.compaction.trigger;
        *trigger = trigger.map(|trigger| trigger.saturating_sub(growth));
        match self.plan(&mut input) {
            Ok(plan) => self.edits(&plan).unwritten,
            Err(_) => Vec::new(),
        }
    }

    /// Adds a summary of original segments, for the plans that follow.
    pub(super) fn add_summary(
        &mut self,
        segments: RangeInclusive<usize>,
        level: SummaryLevel,
        summary: Arc<Summary>,
        compacted: Option<Arc<Compacted>>,
    ) {
        self.summaries.add(Written {
            tokens: summary.tokens + self.summary_request_tokens(),
            segments,
            level,
            summary,
            compacted,
        });
    }

    /// A name of the conversation that stays as it grows: that of its beginning up to the first
    /// message of a user. Conversations that begin alike share it.
    pub(super) fn conversation_key(&self) -> Option<ChainKey> {
        conversation_key(&self.division, &self.chain)
    }

    /// Tokens of what a summary is an answer to.
    pub(super) fn summary_request_tokens(&self) -> usize {
        let request = changes::SUMMARY_REQUEST;
        let tokens = self.input.model.tokenizer.encode(request, false);
        tokens.map_or(request.len(), |tokens| tokens.len())
    }

    /// Edits that stand already.
    pub(super) fn known_edits(&self) -> Vec<StandingEdit> {
        let known = self.replay.edits.iter();
        known
            .map(|known| StandingEdit {
                segments: known.segments.clone(),
                edit: Arc::clone(&known.edit),
                is_known: !self.is_pruned_now(known),
            })
            .collect()
    }

    fn plan(&mut self, input: &mut PlanInput) -> Result<Plan, Infeasible> {
        loop {
            let made = std::mem::take(&mut self.made);
            let mut texts = Texts {
                division: &self.division,
                standing: &self.standing,
                summaries: &self.summaries,
                tokenizer: &self.input.model.tokenizer,
                tenant: &self.input.tenant,
                focus: Focus::new(&self.division.query()),
                retrieval_max: self.retrieval_max(),
                is_terse: self.is_terse,
                made,
            };
            let planned = plan(input, &mut texts);
            self.made = texts.made;
            match planned {
                Ok(plan) => return Ok(plan),
                Err(infeasible) => {
                    if !self.yields() {
                        return Err(infeasible);
                    }
                    self.made.forget_extracts();
                    let policy = &self.resolved.policy;
                    input.policy.zones.clone_from(&policy.zones);
                    input.policy.clearing.keep = policy.clearing.keep;
                    input.policy.compaction.keep_raw_turns = policy.compaction.keep_raw_turns;
                }
            }
        }
    }

    /// Gives way by one step; whether there was one. What stays by default goes last, when nothing
    /// else is left to be tried.
    fn yields(&mut self) -> bool {
        if self.resolved.let_go_of_floor() {
            return true;
        }
        if !self.summaries.may_write {
            return false;
        }
        if !self.is_terse {
            self.is_terse = true;
            self.made.forget_markers();
            return true;
        }
        self.resolved.let_go_of_keep()
    }

    /// The plan's edits with their texts, beside those that stand already.
    fn edits(&self, plan: &Plan) -> Edits {
        let mut all = Edits {
            edits: self.known_edits(),
            ..Edits::default()
        };
        for candidate in &plan.edits {
            let segments = self.standing.original(&candidate.segments);
            let (text, after, restore) = if let EditOp::Compact(level) = candidate.op {
                let Some(written) = self.summaries.find(&segments, level) else {
                    all.unwritten.push(Unwritten {
                        segments,
                        level,
                        before: candidate.before,
                        after: candidate.after,
                    });
                    continue;
                };
                (written.summary.text.clone(), written.tokens, None)
            } else {
                let piece = *candidate.segments.start();
                let Some(made) = self.made.replacement(piece, &candidate.op) else {
                    continue;
                };
                (made.text.as_str().into(), made.tokens, made.restore)
            };
            let original = self.original(&candidate.op, &segments);
            let restore = match candidate.op {
                // The client has the turns, and sends them with every request.
                EditOp::Compact(_) => None,
                _ if restore.is_some() => {
                    all.offloaded.push(original.into_owned());
                    restore
                }
                // Only the report names it, which costs the prompt nothing.
                _ => Some(Handle::of(&self.input.tenant, &original)),
            };
            let edit = LedgerEdit {
                op: self.original_op(&candidate.op),
                replacement: text,
                restore: restore.map(|handle| handle.to_string().into()),
                before: self.tokens_of(&segments),
                after,
                turns: self.turns,
            };
            all.insert(segments, edit);
        }
        all.edits.sort_by_key(|edit| *edit.segments.start());
        all
    }

    /// What an edit of original segments takes away: a text; of an example its messages as JSON.
    pub(super) fn original(&self, op: &EditOp, segments: &RangeInclusive<usize>) -> Cow<'_, str> {
        let conversation = &self.input.conversation;
        let messages = match op {
            EditOp::DropExample => changes::messages(conversation, &self.division, segments),
            _ => None,
        };
        match messages {
            Some((first, last)) => json!(conversation.messages[first..=last])
                .to_string()
                .into(),
            None => self.division.texts[*segments.start()].as_str().into(),
        }
    }

    /// The ledger numbers segments as in the original conversation.
    fn original_op(&self, op: &EditOp) -> EditOp {
        match op {
            EditOp::Dedupe { original } => EditOp::Dedupe {
                original: *self.standing.originals[*original].start(),
            },
            op => op.clone(),
        }
    }

    fn tokens_of(&self, segments: &RangeInclusive<usize>) -> usize {
        let segments = self.division.segments[segments.clone()].iter();
        segments.map(|segment| segment.tokens).sum()
    }

    /// Tokens that retrieved text may have.
    fn retrieval_max(&self) -> usize {
        let rule = self.resolved.policy.rule(&Zone::Retrieval);
        rule.map_or(usize::MAX, |rule| rule.bounds.max)
    }
}

/// See [`Draft::conversation_key`].
pub(super) fn conversation_key(division: &Division, chain: &SegmentChain) -> Option<ChainKey> {
    let mut segments = division.segments.iter();
    let first = segments.position(|segment| segment.kind == SegmentKind::User)?;
    Some(chain.keys()[first])
}

/// A plan's edits, and what they need.
#[derive(Default)]
struct Edits {
    edits: Vec<StandingEdit>,
    offloaded: Vec<String>,
    unwritten: Vec<Unwritten>,
}

impl Edits {
    /// Adds an edit in the place of those that it touches.
    fn insert(&mut self, segments: RangeInclusive<usize>, edit: LedgerEdit) {
        self.edits.retain(|other| {
            other.segments.end() < segments.start() || segments.end() < other.segments.start()
        });
        self.edits.push(StandingEdit {
            segments,
            edit: Arc::new(edit),
            is_known: false,
        });
    }
}
