//! How much stays by default.

use super::*;

/// Turns of 300 tokens, each with a result of 200, and a live one with a long result.
fn agent(turns: usize) -> Prompt {
    let mut prompt = Prompt::default();
    prompt.system(100);
    for _ in 0..turns {
        prompt.turn(50, 50);
        prompt.result("read", 200);
    }
    prompt.live(50);
    prompt.result("read", 5000).live = true;
    prompt
}

fn keeps(settings: &Settings, budget: usize) -> (usize, usize) {
    let prompt = agent(8);
    let resolved = resolve(settings, &prompt.facts(budget)).expect("valid");
    let policy = resolved.policy;
    (policy.clearing.keep, policy.compaction.keep_raw_turns)
}

#[test]
fn the_latest_fill_a_third_of_the_budget_at_most_and_are_one_at_least() {
    let default = Settings::default();
    assert_eq!(keeps(&default, 8000), (3, 5));
    // 1,000 tokens: three turns, and three results are all that are kept anyway. The live turn is
    // one of the turns that stay.
    assert_eq!(keeps(&default, 3000), (3, 4));
    assert_eq!(keeps(&default, 1500), (2, 2));
    assert_eq!(keeps(&default, 300), (1, 1));
}

#[test]
fn numbers_that_are_given_stay() {
    let mut settings = Settings::default();
    settings.clearing.keep = Some(3);
    settings.compaction.keep_raw_turns = Some(4);
    assert_eq!(keeps(&settings, 300), (3, 4));
}
