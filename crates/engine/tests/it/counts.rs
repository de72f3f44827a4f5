//! How many tokens are computed: what the prefix cache promises, counted by the model.

use models::testing::FakeRunner;

use crate::client::{Answer, Client, Engine, VOCAB_SIZE, config, prompt};

#[test]
fn a_prompt_that_was_served_before_computes_one_token() {
    for len in [1, 2, 15, 16, 17, 31, 32, 33, 500, 1_999, 2_000] {
        let engine = Engine::start(config(400, 4_096));
        let prompt = prompt(3, len);
        let first = engine.submit(&prompt, 4).answer();
        let before = engine.counters.tokens();
        assert_eq!(
            before,
            len as u64 + 3,
            "the prompt and three fed-back tokens"
        );
        let second = engine.submit(&prompt, 1).answer();
        assert_eq!(
            engine.counters.tokens() - before,
            1,
            "a prompt of {len} tokens"
        );
        assert_eq!(second.cached_tokens, len - 1);
        assert_eq!(second.tokens, first.tokens[..1]);
        engine.shut_down();
    }
}

#[test]
fn a_continued_conversation_computes_only_what_is_new() {
    let engine = Engine::start(config(400, 4_096));
    let mut history = prompt(5, 333);
    let answer = engine.submit(&history, 50).answer();
    history.extend(&answer.tokens);
    history.extend(prompt(8, 21));
    let before = engine.counters.tokens();
    let next = engine.submit(&history, 1).answer();
    // The answer's last token was never fed back, so its KV is the one that is missing.
    assert_eq!(engine.counters.tokens() - before, 22);
    assert_eq!(next.cached_tokens, 333 + 49);
    engine.shut_down();
}

#[test]
fn concurrent_requests_compute_a_shared_prefix_once() {
    for budget in [64, 256, 2_048] {
        let mut config = config(1_000, 4_096);
        config.max_num_batched_tokens = budget;
        config.max_num_seqs = 16;
        let engine = Engine::start(config);
        // A long request first, so that the eight arrive together while a step runs.
        let busy = engine.submit(&prompt(1, 3_000), 1);
        let prefix = prompt(2, 1_500);
        let clients: Vec<(Vec<u32>, Client)> = (0..8)
            .map(|tail| {
                let mut prompt = prefix.clone();
                prompt.extend((0..100).map(|i| (500 + tail * 31 + i * 7) % VOCAB_SIZE as u32));
                let client = engine.submit(&prompt, 1);
                (prompt, client)
            })
            .collect();
        busy.answer();
        for (prompt, client) in &clients {
            let Answer { tokens, .. } = client.answer();
            assert_eq!(tokens, FakeRunner::oracle(VOCAB_SIZE, prompt, 1));
        }
        let computed = engine.counters.tokens() - 3_000;
        assert_eq!(computed, 1_500 + 8 * 100, "with {budget} tokens per step");
        engine.shut_down();
    }
}

#[test]
fn several_answers_to_one_prompt_compute_it_once() {
    let engine = Engine::start(config(400, 4_096));
    let busy = engine.submit(&prompt(1, 2_000), 1);
    let shared = prompt(9, 777);
    let clients: Vec<Client> = (0..5).map(|_| engine.submit(&shared, 1)).collect();
    busy.answer();
    for client in &clients {
        client.answer();
    }
    assert_eq!(engine.counters.tokens() - 2_000, 777 + 4);
    engine.shut_down();
}

#[test]
fn without_prefix_caching_everything_is_computed() {
    let mut config = config(400, 4_096);
    config.enable_prefix_caching = false;
    let engine = Engine::start(config);
    for _ in 0..2 {
        let answer = engine.submit(&prompt(3, 100), 1).answer();
        assert_eq!(answer.cached_tokens, 0);
    }
    assert_eq!(engine.counters.tokens(), 200);
    engine.shut_down();
}

#[test]
fn scoring_a_prompt_computes_no_token_more_and_changes_no_answer() {
    let mut config = config(400, 4_096);
    // Seven chunks, each of more rows than are sampled in a step.
    config.max_num_batched_tokens = 80;
    config.max_num_seqs = 4;
    let prompt = prompt(11, 500);
    let wanted: Vec<usize> = (1..500).step_by(3).collect();
    let computed = [&wanted[..], &[]].map(|wanted| {
        let engine = Engine::start(config.clone());
        let client = engine.try_submit_scored(&prompt, 5, wanted).unwrap();
        let answer = client.answer();
        assert_eq!(answer.tokens, FakeRunner::oracle(VOCAB_SIZE, &prompt, 5));
        let found = answer.scored.map(|found| found.len());
        assert_eq!(found, (!wanted.is_empty()).then_some(wanted.len()));
        // What is cached is not scored again, and not computed for it.
        let again = engine.try_submit_scored(&prompt, 1, wanted).unwrap();
        assert_eq!(again.answer().scored.unwrap_or_default(), []);
        let computed = (engine.counters.steps(), engine.counters.tokens());
        engine.shut_down();
        computed
    });
    assert_eq!(computed[0], computed[1]);
    // Five tokens, four of them fed back, and the last of the prompt once more.
    assert_eq!(computed[0].1, 500 + 4 + 1);
}
