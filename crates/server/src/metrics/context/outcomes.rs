//! What clients say of plans afterwards, beside what those plans were.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use super::{SHARES, status_label};
use crate::budget::told_plans::{News, ToldPlan};
use crate::metrics::series::{Registration, TOKENS, histogram};

/// See the module; clones share the figures.
///
/// What is said of a plan counts when it is said first and when it changes, so that a feedback that
/// is sent twice counts once.
#[derive(Clone, Debug)]
pub(super) struct OutcomeMetrics {
    outcomes: Family<OutcomeLabels, Counter>,
    used: Family<SuccessLabels, Histogram, fn() -> Histogram>,
    utilization: Family<SuccessLabels, Histogram, fn() -> Histogram>,
    scores: Family<StatusLabels, Histogram, fn() -> Histogram>,
    routes: Family<RouteLabels, Counter>,
}

/// Profiles are those that the server has, so they are few.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct OutcomeLabels {
    success: bool,
    status: &'static str,
    profile: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct SuccessLabels {
    success: bool,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct StatusLabels {
    status: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RouteLabels {
    correct: bool,
}

impl OutcomeMetrics {
    /// Counts what is new of what a client says of a plan.
    pub(super) fn judged(&self, plan: &ToldPlan, news: &News) {
        let status = status_label(plan.status);
        if let Some(success) = news.success {
            let labels = OutcomeLabels {
                success,
                status,
                profile: plan.policy.clone(),
            };
            self.outcomes.get_or_create(&labels).inc();
            let labels = SuccessLabels { success };
            self.used.get_or_create(&labels).observe(plan.used as f64);
            let utilization = self.utilization.get_or_create(&labels);
            utilization.observe(plan.utilization);
        }
        if let Some(score) = news.score {
            let scores = self.scores.get_or_create(&StatusLabels { status });
            scores.observe(score);
        }
        if let Some(correct) = news.route_correct {
            self.routes.get_or_create(&RouteLabels { correct }).inc();
        }
    }

    pub(super) fn register(to: &mut Registration<'_>) -> Self {
        Self {
            outcomes: to.own(
                "context_outcomes",
                "Plans by whether clients say that the task succeeded",
                Family::default(),
            ),
            used: to.own(
                "context_outcome_used_tokens",
                "Prompt tokens of plans by whether the task succeeded",
                Family::new_with_constructor(|| histogram(&TOKENS)),
            ),
            utilization: to.own(
                "context_outcome_utilization_ratio",
                "Prompt and output minimum over the budget, by whether the task succeeded",
                Family::new_with_constructor(|| histogram(&SHARES)),
            ),
            scores: to.own(
                "context_outcome_score",
                "Scores that clients give plans, by what became of the request",
                Family::new_with_constructor(|| histogram(&SHARES)),
            ),
            routes: to.own(
                "context_outcome_routes",
                "Plans by whether clients say that profile or tool were the right ones",
                Family::default(),
            ),
        }
    }
}
