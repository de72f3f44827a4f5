use super::{Spread, Summary};
use crate::bench::outcome::{Answered, End, Failed, Outcome};

fn outcome(index: u32, at_ms: f64, end: End) -> Outcome<u32> {
    Outcome {
        asked: index,
        at_ms,
        late_ms: 0.5,
        end,
    }
}

fn answered(ttft_ms: f64, e2el_ms: f64, cached: Option<u64>) -> End {
    End::Answered(Answered {
        response_id: None,
        prompt_tokens: Some(10),
        cached_tokens: cached,
        completion_tokens: 3,
        ttft_ms,
        e2el_ms,
        tpot_ms: Some((e2el_ms - ttft_ms) / 2.0),
        itl_ms: vec![(e2el_ms - ttft_ms) / 2.0; 2],
    })
}

fn failed(status: Option<u16>) -> End {
    End::Failed(Failed {
        status,
        error: "no".to_owned(),
    })
}

#[test]
fn throughput_is_over_the_time_from_the_first_request_to_the_last_token() {
    let outcomes = [
        outcome(0, 1000.0, answered(100.0, 500.0, Some(4))),
        outcome(1, 1500.0, answered(300.0, 2500.0, Some(6))),
        outcome(2, 2000.0, failed(Some(429))),
        outcome(3, 9000.0, failed(None)),
        outcome(4, 2100.0, failed(Some(429))),
        outcome(5, 2200.0, End::InFlight { in_flight_ms: 9e3 }),
    ];
    let goodput = "ttft:200".parse().unwrap();
    let summary = Summary::of(&outcomes, Some(&goodput));
    assert_eq!((summary.completed, summary.failed), (2, 3));
    assert_eq!(summary.in_flight_at_interrupt, 1);
    let failures: Vec<(&str, usize)> = summary
        .failures
        .iter()
        .map(|(kind, n)| (kind.as_str(), *n))
        .collect();
    assert_eq!(failures, [("429", 2), ("no answer", 1)]);
    assert_eq!(summary.duration_s, 3.0);
    assert_eq!(summary.request_throughput, 2.0 / 3.0);
    assert_eq!(summary.request_goodput, Some(1.0 / 3.0));
    assert_eq!(
        (summary.input_tokens, summary.cached_tokens),
        (Some(20), Some(10))
    );
    assert_eq!((summary.output_tokens, summary.output_throughput), (6, 2.0));
    assert_eq!(summary.total_token_throughput, Some(26.0 / 3.0));
    let itl = summary.itl_ms.unwrap();
    assert_eq!((itl.n, itl.min, itl.max), (4, 200.0, 1100.0));
    assert_eq!(summary.ttft_ms.unwrap().p50, 200.0);
}

#[test]
fn what_one_answer_does_not_count_is_not_summed() {
    let outcomes = [
        outcome(0, 0.0, answered(1.0, 2.0, Some(4))),
        outcome(1, 0.0, answered(1.0, 2.0, None)),
    ];
    assert_eq!(Summary::of(&outcomes, None).cached_tokens, None);
}

#[test]
fn nothing_answered_is_nothing_per_second() {
    for outcomes in [&[][..], &[outcome(0, 5.0, failed(None))][..]] {
        let summary = Summary::of(outcomes, None);
        assert_eq!(summary.duration_s, 0.0);
        assert_eq!(
            (summary.request_throughput, summary.output_throughput),
            (0.0, 0.0)
        );
        assert_eq!((summary.ttft_ms, summary.input_tokens), (None, None));
    }
}

#[test]
fn percentiles_are_interpolated() {
    let spread = Spread::of((0..=100).map(f64::from)).unwrap();
    let Spread {
        n,
        mean,
        min,
        p50,
        p90,
        p95,
        p99,
        max,
    } = spread;
    assert_eq!((n, mean, min, p50), (101, 50.0, 0.0, 50.0));
    assert_eq!((p90, p95, p99, max), (90.0, 95.0, 99.0, 100.0));
}
