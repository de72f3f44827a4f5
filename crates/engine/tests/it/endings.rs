//! How requests and the engine end.

use engine::{Event, FinishReason, RequestError, SubmitError};
use models::testing::FakeRunner;

use crate::client::{Engine, VOCAB_SIZE, config, prompt};

#[test]
fn answers_are_the_models_and_blocks_come_back() {
    let engine = Engine::start(config(60, 512));
    let clients: Vec<_> = (0..20)
        .map(|seed| {
            let prompt = prompt(seed, 40 + seed as usize * 3);
            let client = engine.submit(&prompt, 30);
            (prompt, client)
        })
        .collect();
    for (prompt, client) in &clients {
        let answer = client.answer();
        assert_eq!(answer.tokens, FakeRunner::oracle(VOCAB_SIZE, prompt, 30));
        let end = answer.end.unwrap();
        assert_eq!(end.reason, FinishReason::Length);
        assert_eq!(end.prompt_tokens, prompt.len());
        assert_eq!(end.completion_tokens, 30);
    }
    engine.wait_until_idle();
    assert_eq!(engine.handle.stats().generation_tokens, 20 * 30);
    engine.shut_down();
}

#[test]
fn a_client_that_leaves_gives_its_blocks_back() {
    let engine = Engine::start(config(300, 4_096));
    let leaving = engine.submit(&prompt(1, 100), 3_900);
    while !matches!(leaving.next(), Event::Token(_)) {}
    drop(leaving);
    engine.wait_until_idle();
    assert!(engine.handle.stats().generation_tokens < 3_900);
    engine.shut_down();
}

#[test]
fn what_cannot_fit_is_refused_at_once() {
    let engine = Engine::start(config(10, 4_096));
    let refused = engine.try_submit(&prompt(1, 100), 45).err();
    let expected = SubmitError::TooLong {
        prompt_tokens: 100,
        max_tokens: 45,
        max_model_len: 144,
    };
    assert_eq!(refused, Some(expected), "9 blocks of 16 tokens hold 144");
    assert_eq!(engine.submit(&prompt(1, 100), 44).answer().tokens.len(), 44);
    engine.shut_down();
}

#[test]
fn a_full_queue_refuses_with_a_time() {
    let mut config = config(300, 4_096);
    config.max_queued_requests = 3;
    config.max_num_seqs = 1;
    let engine = Engine::start(config);
    let running = engine.submit(&prompt(1, 10), 4_000);
    while !matches!(running.next(), Event::Token(_)) {}
    let mut taken = Vec::new();
    let mut refused = 0;
    for seed in 0..12 {
        match engine.try_submit(&prompt(seed + 2, 50), 1) {
            Ok(client) => taken.push(client),
            Err(SubmitError::QueueFull { retry_after }) => {
                assert!(retry_after.as_secs() >= 1);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    drop(running);
    let mut answered = 0;
    for client in taken {
        match client.answer().end {
            Ok(_) => answered += 1,
            Err(RequestError::Refused(SubmitError::QueueFull { retry_after })) => {
                assert!(retry_after.as_secs() >= 1);
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(answered + refused, 12);
    assert!(
        answered >= 3 && refused >= 1,
        "{answered} answered, {refused} refused"
    );
    engine.shut_down();
}

#[test]
fn a_step_that_fails_fails_its_requests_and_no_others() {
    let engine = Engine::start_with(config(300, 4_096), |runner| runner.failing_at_step(3));
    let failed = engine.submit(&prompt(1, 10), 10).answer();
    assert!(
        matches!(failed.end, Err(RequestError::Model(_))),
        "{failed:?}"
    );
    assert_eq!(
        failed.tokens,
        FakeRunner::oracle(VOCAB_SIZE, &prompt(1, 10), 2)
    );
    let fine = engine.submit(&prompt(1, 10), 10).answer();
    assert_eq!(
        fine.tokens,
        FakeRunner::oracle(VOCAB_SIZE, &prompt(1, 10), 10)
    );
    engine.wait_until_idle();
    engine.shut_down();
}

#[test]
fn shutdown_finishes_what_was_taken_and_takes_no_more() {
    let engine = Engine::start(config(300, 4_096));
    let running = engine.submit(&prompt(1, 10), 500);
    engine.handle.shutdown();
    let refused = engine.try_submit(&prompt(2, 10), 5).err();
    assert_eq!(refused, Some(SubmitError::ShuttingDown));
    assert_eq!(running.answer().tokens.len(), 500);
    engine.thread.join();
}

#[test]
fn abort_ends_running_requests_with_an_error() {
    let engine = Engine::start(config(300, 4_096));
    let running = engine.submit(&prompt(1, 10), 4_000);
    while !matches!(running.next(), Event::Token(_)) {}
    engine.handle.abort();
    // The request may have finished in the moment between; it is told one or the other.
    match running.answer().end {
        Err(error) => assert_eq!(error, RequestError::ShutDown),
        Ok(end) => assert_eq!(end.completion_tokens, 4_000),
    }
    engine.thread.join();
}
