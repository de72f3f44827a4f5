//! What the rungs need to know of a prompt, found once.

use std::cell::{OnceCell, RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::Scope;
use super::queue::Queues;
use super::shares::allocation;
use crate::importance::{TURNS_PER_CALL, WEIGHTS, loss};
use crate::{
    Allocation, Candidate, EditOp, Features, PlanInput, Replacements, Rung, Segment, SegmentKind,
    Tier,
};

/// What the text of a zone is worth that has more than its share of the budget, beside that of one
/// that has not: by this, priorities and targets say where edits are made first.
const OVER_SHARE: f64 = 0.5;

/// A prompt, with what follows from all of it for each segment.
pub(crate) struct Survey<'a> {
    /// What is planned.
    pub(crate) input: &'a PlanInput,
    /// Importance by segment, 0 to 1; not below that of a segment that depends on it.
    pub(crate) importance: Vec<f64>,
    /// What it is made of.
    pub(crate) features: Vec<Features>,
    /// Importance per token by segment: what a token of it costs to lose.
    pub(super) price: Vec<f64>,
    /// Index of each segment's zone in the policy.
    pub(crate) zone: Vec<usize>,
    /// Tokens by zone of the policy.
    pub(crate) demand: Vec<usize>,
    /// The same of the segments before each one, and before the end.
    before: Vec<usize>,
    /// What each zone gets of the budget; `None` where it cannot be divided by the rules.
    pub(crate) allocation: Option<Allocation>,
    /// Tokens that may be freed by zone of the policy: what is above its floor.
    pub(crate) room: Vec<usize>,
    /// The segments of each call and its result, by the call's number.
    pub(crate) calls: BTreeMap<usize, Vec<usize>>,
    /// The last turn.
    pub(crate) last_turn: usize,
    /// The turns that may be summarised, once they are found.
    pub(super) runs: OnceCell<Vec<Vec<RangeInclusive<usize>>>>,
    /// The examples that may be left out, once they are found.
    pub(super) examples: OnceCell<Vec<RangeInclusive<usize>>>,
    /// The tool results that stand in the prompt a second time, once they are found: each with the
    /// first of its kind.
    pub(super) repeats: OnceCell<Vec<(usize, usize)>>,
    /// The edits that were asked for, as far as they were.
    queues: RefCell<Queues>,
    /// No edit may touch it: by its tier, its place, the client's pin, or because something that
    /// stays needs it.
    locked: Vec<bool>,
    /// It is the result of a tool whose results may be touched.
    open_result: Vec<bool>,
    /// It is one of the latest tool results, which are not cleared.
    kept: Vec<bool>,
    /// It is a tool result that the model has not read yet.
    unseen: Vec<bool>,
}

impl<'a> Survey<'a> {
    /// # Panics
    /// If a segment's zone has no rule or it depends on a segment that there is not (caller bugs).
    pub(crate) fn new(input: &'a PlanInput) -> Self {
        let segments = &input.segments;
        let zones = &input.policy.zones;
        let zone: Vec<usize> = segments
            .iter()
            .map(|segment| {
                let at = zones.iter().position(|rule| rule.zone == segment.zone);
                at.expect("the policy has a rule for every segment's zone")
            })
            .collect();
        let mut demand = vec![0; zones.len()];
        let mut before = Vec::with_capacity((segments.len() + 1) * zones.len());
        for (at, segment) in segments.iter().enumerate() {
            before.extend_from_slice(&demand);
            demand[zone[at]] += segment.tokens;
        }
        before.extend_from_slice(&demand);
        let floors = zones.iter().map(|rule| rule.bounds.min);
        let room = demand
            .iter()
            .zip(floors)
            .map(|(demand, floor)| demand.saturating_sub(floor));
        let mut calls: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, segment) in segments.iter().enumerate() {
            if let SegmentKind::ToolCall { call, .. } | SegmentKind::ToolResult { call, .. } =
                segment.kind
            {
                calls.entry(call).or_default().push(at);
            }
        }
        let kept = is_kept(segments, input.policy.clearing.keep);
        let unseen = unseen(segments);
        let allocation = allocation(input, &demand);
        let mut features = features(input);
        if let Some(Allocation { zones, .. }) = &allocation {
            for (features, &zone) in features.iter_mut().zip(&zone) {
                if demand[zone] > zones[zone].tokens {
                    features.importance *= OVER_SHARE;
                }
            }
        }
        let importance: Vec<f64> = features.iter().map(|one| one.importance).collect();
        let prices = importance.iter().zip(segments);
        Self {
            room: room.collect(),
            runs: OnceCell::new(),
            examples: OnceCell::new(),
            repeats: OnceCell::new(),
            queues: RefCell::default(),
            price: prices
                .map(|(importance, segment)| importance / segment.tokens.max(1) as f64)
                .collect(),
            importance,
            features,
            open_result: open_result(input),
            locked: locked(input, |at| kept[at] || unseen[at]),
            kept,
            unseen,
            last_turn: last_turn(segments),
            input,
            zone,
            before,
            demand,
            allocation,
            calls,
        }
    }

    /// A segment.
    pub(crate) fn segment(&self, at: usize) -> &'a Segment {
        &self.input.segments[at]
    }

    /// Tokens of a span by zone of the policy.
    pub(crate) fn tokens_by_zone(
        &self,
        span: &RangeInclusive<usize>,
    ) -> impl Iterator<Item = usize> {
        let before = |at: usize| &self.before[at * self.demand.len()..][..self.demand.len()];
        let (from, to) = (before(*span.start()), before(*span.end() + 1));
        to.iter().zip(from).map(|(to, from)| to - from)
    }

    /// The edits that were asked for there, as far as they were; those of a zone or a tool are not
    /// kept.
    pub(super) fn queues(&self, scope: Scope<'_>) -> RefMut<'_, Queues> {
        let mut queues = self.queues.borrow_mut();
        let is_part = !matches!(scope, Scope::Prompt);
        if is_part || queues.is_part {
            *queues = Queues::default();
        }
        queues.is_part = is_part;
        queues
    }

    /// Whether an edit that needs this tier may touch a segment.
    pub(crate) fn allows(&self, at: usize, tier: Tier) -> bool {
        !self.locked[at] && self.segment(at).tier >= tier
    }

    /// Whether no edit may touch it.
    pub(crate) fn is_locked(&self, at: usize) -> bool {
        self.locked[at]
    }

    /// Whether it is the result of a tool whose results may be touched.
    pub(crate) fn is_open_result(&self, at: usize) -> bool {
        self.open_result[at]
    }

    /// Whether it is a tool result that the model has read and that is older than the ones kept.
    pub(crate) fn is_old_result(&self, at: usize) -> bool {
        self.is_open_result(at) && !self.kept[at] && !self.unseen[at]
    }

    /// Whether it is a tool result that the model has not read yet.
    pub(crate) fn is_unseen_result(&self, at: usize) -> bool {
        self.is_open_result(at) && self.unseen[at]
    }

    /// Whether the model can get a tool result again.
    pub(crate) fn is_recallable(&self, at: usize) -> bool {
        is_recallable(self.input, self.segment(at))
    }

    /// The candidate that makes `op` of one segment, if that frees something.
    pub(crate) fn candidate(
        &self,
        replacements: &mut dyn Replacements,
        rung: Rung,
        at: usize,
        op: EditOp,
        reason: &'static str,
    ) -> Option<Candidate> {
        let segment = self.segment(at);
        let after = replacements.tokens_after(at, &op)?;
        let names = replacements.names_kept(at, &op);
        (after < segment.tokens).then(|| Candidate {
            rung,
            segments: at..=at,
            zone: segment.zone.clone(),
            position: segment.start,
            before: segment.tokens,
            after,
            loss: loss(self.importance[at], &op, (segment.tokens, after), names),
            op,
            reason,
        })
    }
}

fn last_turn(segments: &[Segment]) -> usize {
    let turns = segments.iter().map(|segment| segment.turn);
    turns.max().unwrap_or(0)
}

fn is_recallable(input: &PlanInput, segment: &Segment) -> bool {
    match &segment.kind {
        SegmentKind::ToolResult {
            name, recallable, ..
        } => {
            let rule = input.policy.tool(name);
            rule.and_then(|rule| rule.recallable).unwrap_or(*recallable)
        }
        _ => false,
    }
}

/// The features of each segment, with its importance passed on to what it depends on.
fn features(input: &PlanInput) -> Vec<Features> {
    let segments = &input.segments;
    let last_turn = segments
        .iter()
        .map(|segment| segment.turn)
        .max()
        .unwrap_or(0);
    let mut features = Vec::with_capacity(segments.len());
    let mut later_calls = 0;
    for segment in segments.iter().rev() {
        let age = (last_turn - segment.turn) as f64 + TURNS_PER_CALL * later_calls as f64;
        features.push(WEIGHTS.features(segment, age, is_recallable(input, segment)));
        later_calls += usize::from(matches!(segment.kind, SegmentKind::ToolCall { .. }));
    }
    features.reverse();
    if segments
        .iter()
        .any(|segment| !segment.depends_on.is_empty())
    {
        let mut order: Vec<usize> = (0..segments.len()).collect();
        let importance = |at: usize| features[at].importance;
        order.sort_by(|&a, &b| importance(b).total_cmp(&importance(a)).then(a.cmp(&b)));
        let mut raised = vec![false; segments.len()];
        for from in order {
            let value = features[from].importance;
            visit_needed(segments, from, &mut raised, |at| {
                features[at].importance = value.max(features[at].importance)
            });
        }
    }
    features
}

/// Segments that no edit may touch, with all that they need; and what stands in place of a result
/// that `stays_read`, for what it refers to is how the model reads that result.
fn locked(input: &PlanInput, stays_read: impl Fn(usize) -> bool) -> Vec<bool> {
    let segments = &input.segments;
    let mut locked = vec![false; segments.len()];
    for (at, segment) in segments.iter().enumerate() {
        if segment.stays(input.policy.stable_prefix_end) {
            visit_needed(segments, at, &mut locked, |_| {});
        } else if segment.edit.is_some() && stays_read(at) {
            for &needed in &segment.depends_on {
                visit_needed(segments, needed, &mut locked, |_| {});
            }
        }
    }
    locked
}

/// Visits a segment and everything that it depends on, marking them; what is marked is passed over.
pub(crate) fn visit_needed(
    segments: &[Segment],
    from: usize,
    marked: &mut [bool],
    mut visit: impl FnMut(usize),
) {
    let mut pending = vec![from];
    while let Some(at) = pending.pop() {
        if !marked[at] {
            marked[at] = true;
            visit(at);
            pending.extend_from_slice(&segments[at].depends_on);
        }
    }
}

/// The results of tools that are not excluded.
fn open_result(input: &PlanInput) -> Vec<bool> {
    let is_open = |segment: &Segment| {
        matches!(&segment.kind, SegmentKind::ToolResult { name, .. }
            if !input.policy.tool(name).is_some_and(|rule| rule.excluded))
    };
    input.segments.iter().map(is_open).collect()
}

/// The results of the latest `keep` calls.
pub(crate) fn is_kept(segments: &[Segment], keep: usize) -> Vec<bool> {
    let mut kept = vec![false; segments.len()];
    let mut latest = BTreeSet::new();
    for (at, segment) in segments.iter().enumerate().rev() {
        if let SegmentKind::ToolResult { call, .. } = segment.kind {
            if latest.len() < keep {
                latest.insert(call);
            }
            kept[at] = latest.contains(&call);
        }
    }
    kept
}

/// Tool results behind the last thing that the model wrote.
fn unseen(segments: &[Segment]) -> Vec<bool> {
    let mut unseen = vec![false; segments.len()];
    for (at, segment) in segments.iter().enumerate().rev() {
        match &segment.kind {
            kind if kind.is_written_by_model() => break,
            SegmentKind::ToolResult { .. } => unseen[at] = true,
            _ => {}
        }
    }
    unseen
}
