use std::sync::Arc;

use memory::Tenant;

use super::*;
use crate::records::{Ending, Origin};

const fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// The phases of a request with these times, each as milliseconds since its submission.
fn told(progress: &Progress) -> Vec<(&'static str, u128, u128)> {
    let origin = Origin {
        id: "a".to_owned(),
        endpoint: "/v1/completions",
        tenant: Tenant::of(b""),
        salt: Vec::new(),
        created: 0.0,
        stream: false,
    };
    let record = Arc::new(Record::new(origin, 0, 3, None));
    let since = |at: Instant| (at - record.started).as_millis();
    let phases = phases(&record, progress).into_iter();
    phases
        .map(|phase| (phase.name, since(phase.start), since(phase.end)))
        .collect()
}

fn ending(prefill: u64, decode: u64) -> Option<Ending> {
    Some(Ending {
        prefill: ms(prefill),
        decode: ms(decode),
        preemptions: 0,
        recomputed_tokens: 0,
    })
}

#[test]
fn the_time_until_the_engine_looks_is_waiting() {
    // Taken over after 20 ms, admitted 10 ms later, the first token 50 ms after that.
    let progress = Progress {
        queue: Some(ms(10)),
        ttft: Some(ms(80)),
        e2e: Some(ms(200)),
        ending: ending(50, 115),
        ..Progress::default()
    };
    let expected = [("queue", 0, 30), ("prefill", 30, 80), ("decode", 80, 200)];
    assert_eq!(told(&progress), expected);
}

#[test]
fn a_stop_string_ends_it_before_the_engine_has_measured() {
    let progress = Progress {
        queue: Some(ms(10)),
        ttft: Some(ms(80)),
        e2e: Some(ms(90)),
        ..Progress::default()
    };
    let expected = [("queue", 0, 10), ("prefill", 10, 80), ("decode", 80, 90)];
    assert_eq!(told(&progress), expected);
}

#[test]
fn it_may_end_in_any_phase() {
    let waiting = Progress {
        e2e: Some(ms(40)),
        ..Progress::default()
    };
    assert_eq!(told(&waiting), [("queue", 0, 40)]);
    let computing = Progress {
        queue: Some(ms(10)),
        ..waiting.clone()
    };
    let expected = [("queue", 0, 10), ("prefill", 10, 40)];
    assert_eq!(told(&computing), expected);
    // A stop token comes first: no token, and no time to it.
    let stopped = Progress {
        ending: ending(25, 0),
        ..computing
    };
    assert_eq!(told(&stopped), expected);
}

#[test]
fn nothing_lasts_longer_than_the_request() {
    let progress = Progress {
        queue: Some(ms(90)),
        ttft: Some(ms(80)),
        e2e: Some(ms(70)),
        ending: ending(100, 100),
        ..Progress::default()
    };
    let expected = [("queue", 0, 70), ("prefill", 70, 70), ("decode", 70, 70)];
    assert_eq!(told(&progress), expected);
}
