//! A probe's answer beside what the engine then computes, counted by the model.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use engine::{
    CacheProbe, EngineHandle, MAX_PROBE_PROMPTS, ProbeError, ProbePrompt, ProbeRequest, TokenId,
};

use crate::client::{Engine, config, prompt};

fn ask(handle: &EngineHandle, prompts: &[Vec<u32>]) -> Result<Receiver<CacheProbe>, ProbeError> {
    let (sender, receiver) = channel();
    let prompts: Arc<[ProbePrompt]> = prompts
        .iter()
        .map(|prompt| ProbePrompt {
            tokens: prompt.iter().map(|&token| TokenId(token)).collect(),
            cache_salt: Vec::new(),
        })
        .collect();
    handle.probe(ProbeRequest {
        prompts,
        priority: 0,
        sink: Box::new(move |answer| {
            // The test may have ended.
            let _ = sender.send(answer);
        }),
    })?;
    Ok(receiver)
}

fn probe(handle: &EngineHandle, prompts: &[Vec<u32>]) -> CacheProbe {
    let receiver = ask(handle, prompts).unwrap();
    receiver.recv_timeout(Duration::from_secs(60)).unwrap()
}

#[test]
fn the_engine_computes_exactly_what_was_predicted() {
    let engine = Engine::start(config(400, 4_096));
    let mut history = prompt(3, 700);
    let before = probe(&engine.handle, std::slice::from_ref(&history));
    assert_eq!(before.prompts[0].cached_tokens, 0);
    history.extend(engine.submit(&history, 40).answer().tokens);
    for edit in [10, 300, 433, 739, 800] {
        let mut edited = history.clone();
        edited.extend(prompt(edit as u32, 200));
        edited[edit] = (edited[edit] + 1) % 1_000;
        let predicted = probe(&engine.handle, std::slice::from_ref(&edited)).prompts[0];
        assert_eq!(predicted.cached_tokens, edit.min(739), "edited at {edit}");
        let computed = engine.counters.tokens();
        let answer = engine.submit(&edited, 1).answer();
        let computed = (engine.counters.tokens() - computed) as usize;
        assert_eq!(computed, edited.len() - predicted.cached_tokens);
        assert_eq!(answer.cached_tokens, predicted.cached_tokens);
    }
    engine.shut_down();
}

#[test]
fn probes_are_answered_while_a_step_loop_is_busy() {
    let engine = Engine::start(config(400, 4_096));
    let busy = engine.submit(&prompt(1, 100), 3_000);
    let receivers: Vec<_> = (0..20)
        .map(|seed| ask(&engine.handle, &[prompt(seed, 50), prompt(seed, 70)]).unwrap())
        .collect();
    for receiver in receivers {
        let answer = receiver.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(answer.prompts.len(), 2);
        assert_eq!(answer.num_blocks, 399);
    }
    drop(busy);
    engine.shut_down();
}

#[test]
fn too_much_at_once_is_refused() {
    let engine = Engine::start(config(400, 4_096));
    let prompts = vec![prompt(1, 3); MAX_PROBE_PROMPTS + 1];
    let expected = ProbeError::TooManyPrompts {
        prompts: MAX_PROBE_PROMPTS + 1,
        max: MAX_PROBE_PROMPTS,
    };
    assert_eq!(ask(&engine.handle, &prompts).err(), Some(expected));
    assert_eq!(
        probe(&engine.handle, &prompts[1..]).prompts.len(),
        MAX_PROBE_PROMPTS
    );
    let mut refused = 0;
    let mut taken = Vec::new();
    for _ in 0..2_000 {
        match ask(&engine.handle, &prompts[1..]) {
            Ok(receiver) => taken.push(receiver),
            Err(error) => {
                assert_eq!(error, ProbeError::QueueFull);
                refused += 1;
            }
        }
    }
    assert!(refused > 0, "the queue is bounded");
    for receiver in taken {
        receiver.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    let handle = engine.handle.clone();
    engine.shut_down();
    let error = ask(&handle, &prompts[1..]).err();
    assert_eq!(error, Some(ProbeError::ShuttingDown));
}
