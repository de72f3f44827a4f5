use std::collections::BTreeMap;

use memory::Tenant;

use super::{Feedback, Limits, News, ToldPlans};
use crate::wire::context_report::{
    BudgetReport, CacheReport, ContextReport, CostReport, Observation, RegretReport, Status,
};

fn report(id: &str) -> ContextReport {
    let observation = Observation {
        null: 0,
        partial: 0,
        full: 0,
    };
    ContextReport {
        version: 1,
        status: Status::Fit,
        plan_id: id.to_owned(),
        policy: "agent".to_owned(),
        deterministic: true,
        budget: BudgetReport {
            budget: 100,
            used: 60,
            reserved_output: 10,
            remaining: 30,
            max_observation_tokens: observation,
            utilization: 0.7,
            soft_exceeded: true,
        },
        regime: "null",
        zones: BTreeMap::new(),
        stages: BTreeMap::new(),
        edits: Vec::new(),
        cache: CacheReport::default(),
        cost: CostReport::default(),
        chunks: None,
        placement: Vec::new(),
        deferred_tools: Vec::new(),
        server_tools: Vec::new(),
        dropped: Vec::new(),
        warnings: Vec::new(),
        regret: RegretReport::default(),
    }
}

fn fact(bytes: usize) -> Feedback {
    Feedback {
        missing_fact: Some("x".repeat(bytes).into()),
        ..Feedback::default()
    }
}

#[test]
fn the_oldest_plans_are_forgotten_first() {
    let one = Tenant::of(b"one");
    let mut plans = ToldPlans::new(Limits {
        max_plans: 3,
        max_bytes: 100,
    });
    for id in ["a", "b", "c", "d"] {
        plans.tell(one, &report(id));
    }
    assert!(plans.get(one, "a").is_none());
    assert!(plans.get(one, "b").is_some());
    // What is said counts, too, and what is said anew is counted in place of what it replaces.
    plans.give(one, "b", fact(40)).unwrap();
    plans.give(one, "c", fact(40)).unwrap();
    plans.give(one, "c", fact(60)).unwrap();
    assert!(plans.get(one, "b").is_some());
    plans.give(one, "d", fact(1)).unwrap();
    assert!(plans.get(one, "b").is_none());
    assert!(plans.get(one, "c").is_some());
    // The room that the forgotten one had is free.
    plans.give(one, "d", fact(40)).unwrap();
    assert!(plans.get(one, "c").is_some());
}

#[test]
fn what_is_said_later_is_put_over_what_was_said_before() {
    let (one, two) = (Tenant::of(b"one"), Tenant::of(b"two"));
    let mut plans = ToldPlans::new(Limits::default());
    plans.tell(one, &report("a"));
    let first = Feedback {
        score: Some(0.5),
        success: Some(true),
        given_at: 1,
        ..Feedback::default()
    };
    let (_, news) = plans.give(one, "a", first).unwrap();
    let both = News {
        score: Some(0.5),
        success: Some(true),
        route_correct: None,
    };
    assert_eq!(news, both);
    let second = Feedback {
        score: Some(0.1),
        success: Some(true),
        given_at: 2,
        ..Feedback::default()
    };
    assert!(plans.give(two, "a", second.clone()).is_none());
    let (_, news) = plans.give(one, "a", second.clone()).unwrap();
    let score = News {
        score: Some(0.1),
        ..News::default()
    };
    assert_eq!(news, score);
    // Sent again, it says nothing new.
    let (_, news) = plans.give(one, "a", second).unwrap();
    assert_eq!(news, News::default());
    let said = plans.get(one, "a").and_then(|plan| plan.feedback.clone());
    let said = said.unwrap();
    assert_eq!(
        (said.score, said.success, said.given_at),
        (Some(0.1), Some(true), 2)
    );
    assert!(plans.get(two, "a").is_none());
}
