//! Plans that clients were told of, and what they say of them afterwards.
//!
//! Kept in the process, for as long as nothing newer needs the room: feedback is for whoever reads
//! it soon, and a plan says nothing to a server that was started anew.

use std::collections::{HashMap, VecDeque};

use memory::Tenant;

use crate::wire::context_report::{ContextReport, Status};

/// The latest plans, by their ids.
#[derive(Debug)]
pub struct ToldPlans {
    limits: Limits,
    plans: HashMap<Box<str>, ToldPlan>,
    /// Ids, the oldest first.
    order: VecDeque<Box<str>>,
    /// Of what clients say in words.
    bytes: usize,
}

/// How much is kept; what is older than that is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Plans.
    pub max_plans: usize,
    /// Bytes of what clients say in words.
    pub max_bytes: usize,
}

/// A plan, as far as feedback needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct ToldPlan {
    tenant: Tenant,
    /// What became of the request.
    pub status: Status,
    /// Its profile.
    pub policy: String,
    /// Tokens of the prompt.
    pub used: usize,
    /// Prompt and output minimum over the budget.
    pub utilization: f64,
    /// Number of its edits.
    pub edits: usize,
    /// What the client says.
    pub feedback: Option<Feedback>,
}

/// What a client says of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feedback {
    /// How good the answer was, 0 to 1.
    pub score: Option<f64>,
    /// Whether the task succeeded.
    pub success: Option<bool>,
    /// What the context lacked.
    pub missing_fact: Option<Box<str>>,
    /// Whether the request was handled by the right profile or tool.
    pub route_correct: Option<bool>,
    /// When it was said last, in seconds since 1970.
    pub given_at: u64,
}

/// What a client says of a plan that it had not said before, or said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct News {
    /// See [`Feedback::score`].
    pub score: Option<f64>,
    /// See [`Feedback::success`].
    pub success: Option<bool>,
    /// See [`Feedback::route_correct`].
    pub route_correct: Option<bool>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_plans: 1 << 16,
            max_bytes: 16 << 20,
        }
    }
}

impl ToldPlans {
    /// No plans so far.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            plans: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Notes that `tenant` was told of a plan.
    pub fn tell(&mut self, tenant: Tenant, report: &ContextReport) {
        let plan = ToldPlan {
            tenant,
            status: report.status,
            policy: report.policy.clone(),
            used: report.budget.used,
            utilization: report.budget.utilization,
            edits: report.edits.len(),
            feedback: None,
        };
        let id: Box<str> = report.plan_id.as_str().into();
        if self.plans.insert(id.clone(), plan).is_none() {
            self.order.push_back(id);
        }
        self.forget();
    }

    /// Adds what `tenant` says of one of its plans: fields that are said now take the place of
    /// those said before. The plan, and what is new; `None` if it was told of no such plan, or too
    /// long ago.
    pub fn give(
        &mut self,
        tenant: Tenant,
        id: &str,
        feedback: Feedback,
    ) -> Option<(ToldPlan, News)> {
        let plan = self
            .plans
            .get_mut(id)
            .filter(|plan| plan.tenant == tenant)?;
        let before = plan.feedback.take().unwrap_or_default();
        self.bytes -= before.bytes();
        let news = feedback.beside(&before);
        let feedback = feedback.over(before);
        self.bytes += feedback.bytes();
        plan.feedback = Some(feedback);
        let plan = plan.clone();
        self.forget();
        Some((plan, news))
    }

    /// A plan that `tenant` was told of, with what it has said.
    pub fn get(&self, tenant: Tenant, id: &str) -> Option<&ToldPlan> {
        self.plans.get(id).filter(|plan| plan.tenant == tenant)
    }

    fn forget(&mut self) {
        while self.order.len() > self.limits.max_plans || self.bytes > self.limits.max_bytes {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            let forgotten = self.plans.remove(&oldest);
            let said = forgotten.and_then(|plan| plan.feedback);
            self.bytes -= said.map_or(0, |feedback| feedback.bytes());
        }
    }
}

impl Feedback {
    fn over(self, before: Self) -> Self {
        Self {
            score: self.score.or(before.score),
            success: self.success.or(before.success),
            missing_fact: self.missing_fact.or(before.missing_fact),
            route_correct: self.route_correct.or(before.route_correct),
            given_at: self.given_at,
        }
    }

    fn beside(&self, before: &Self) -> News {
        News {
            score: self.score.filter(|_| self.score != before.score),
            success: self.success.filter(|_| self.success != before.success),
            route_correct: self
                .route_correct
                .filter(|_| self.route_correct != before.route_correct),
        }
    }

    fn bytes(&self) -> usize {
        self.missing_fact.as_ref().map_or(0, |fact| fact.len())
    }
}

#[cfg(test)]
mod tests;
