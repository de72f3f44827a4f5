use std::time::Duration;

use super::{StepLoad, StepTimeModel};

fn load(num_tokens: usize, context: usize) -> StepLoad {
    StepLoad::default().with_chunk(num_tokens, context, num_tokens > 1)
}

fn seconds(model: &StepTimeModel, load: &StepLoad) -> f64 {
    model
        .predict(load)
        .expect("enough was measured")
        .as_secs_f64()
}

fn assert_close(actual: f64, expected: f64) {
    let error = (actual - expected).abs() / expected;
    assert!(error < 1e-3, "{actual} instead of {expected}");
}

/// 3 ms a step, 20 us a token, 5 ns a (query, key) pair.
fn truth(load: &StepLoad) -> f64 {
    3e-3 + 20e-6 * load.tokens as f64 + 5e-9 * load.attention
}

fn observe(model: &mut StepTimeModel, load: &StepLoad, seconds: f64) {
    model.observe(load, Duration::from_secs_f64(seconds));
}

#[test]
fn attention_counts_every_pair() {
    assert_eq!(load(1, 0).attention, 1.0);
    assert_eq!(load(4, 0).attention, 10.0, "1 + 2 + 3 + 4");
    assert_eq!(load(3, 10).attention, 36.0, "11 + 12 + 13");
    let chunked = load(3, 0).with_chunk(4, 3, true);
    assert_eq!(chunked.attention, load(7, 0).attention);
    assert_eq!(load(3, 0).without_chunk(3, 0, true), StepLoad::default());
}

#[test]
fn it_finds_the_three_costs() {
    let mut model = StepTimeModel::new();
    for step in 0..40 {
        let load = match step % 4 {
            0 => load(512, 1024 * step),
            1 => load(100 + step, 0),
            2 => load(1, 64 * step),
            _ => load(2048, 0),
        };
        observe(&mut model, &load, truth(&load));
    }
    for load in [
        load(1, 0),
        load(1, 100_000),
        load(2048, 30_000),
        load(16, 7),
    ] {
        assert_close(seconds(&model, &load), truth(&load));
    }
    let prompt = load(10_000, 500);
    let expected = truth(&prompt) + 4.0 * 3e-3;
    assert_close(model.prefill_seconds(10_000, 500, 2048), expected);
}

#[test]
fn nothing_is_predicted_from_little() {
    let mut model = StepTimeModel::new();
    for _ in 0..3 {
        observe(&mut model, &load(100, 0), 0.01);
        assert_eq!(model.predict(&load(100, 0)), None);
    }
    observe(&mut model, &load(100, 0), 0.01);
    assert_close(seconds(&model, &load(100, 0)), 0.01);
}

#[test]
fn equal_steps_are_predicted_though_their_costs_cannot_be_told_apart() {
    let mut model = StepTimeModel::new();
    for _ in 0..1000 {
        observe(&mut model, &load(1, 50), 0.004);
    }
    assert_close(seconds(&model, &load(1, 50)), 0.004);
}

#[test]
fn costs_are_never_negative() {
    let mut model = StepTimeModel::new();
    // Time falls with tokens, which no non-negative costs explain.
    for step in 0..50 {
        let load = load(100 + step * 10, 0);
        observe(&mut model, &load, 0.1 - step as f64 * 0.001);
    }
    assert!(
        model.coefficients.iter().all(|&cost| cost >= 0.0),
        "{:?}",
        model.coefficients
    );
    assert!(seconds(&model, &load(1, 0)) >= 0.0);
    assert!(seconds(&model, &load(100_000, 0)) >= seconds(&model, &load(1, 0)));
}

#[test]
fn it_follows_a_machine_that_slows_down() {
    let mut model = StepTimeModel::new();
    let loads = [load(500, 0), load(1, 300), load(2000, 1000), load(64, 0)];
    for step in 0..400 {
        observe(&mut model, &loads[step % 4], truth(&loads[step % 4]));
    }
    for step in 0..6000 {
        observe(&mut model, &loads[step % 4], 2.0 * truth(&loads[step % 4]));
    }
    assert_close(seconds(&model, &load(1000, 0)), 2.0 * truth(&load(1000, 0)));
}

#[test]
fn long_decoding_does_not_erase_what_prompts_cost() {
    let mut model = StepTimeModel::new();
    for step in 0..50 {
        let load = load(100 + 37 * step, step * 100);
        observe(&mut model, &load, truth(&load));
    }
    for step in 0..10_000 {
        let load = load(1, 1000 + step % 500);
        observe(&mut model, &load, truth(&load));
    }
    let prompt = load(2048, 0);
    assert_close(seconds(&model, &prompt), truth(&prompt));
}

#[test]
fn the_prefill_rate_counts_steps_with_prompts_only() {
    let mut model = StepTimeModel::new();
    assert_eq!(model.prefill_rate(), None);
    observe(&mut model, &load(1, 100), 1.0);
    assert_eq!(model.prefill_rate(), None);
    observe(&mut model, &load(1000, 0), 0.5);
    observe(&mut model, &load(1, 100), 1.0);
    assert_close(model.prefill_rate().expect("a prompt was computed"), 2000.0);
}

#[test]
fn steps_without_tokens_or_time_are_ignored() {
    let mut model = StepTimeModel::new();
    for _ in 0..10 {
        model.observe(&StepLoad::default(), Duration::from_secs(1));
        model.observe(&load(10, 0), Duration::ZERO);
    }
    assert_eq!(model.predict(&load(10, 0)), None);
}
