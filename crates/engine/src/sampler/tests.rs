//! The sampler against a plain, sorted, f64 statement of the same rules.

use kernels::Workers;
use kv_cache::TokenId;
use models::Logits;

use super::{NonFiniteLogits, Row, RowSampler, Sample, Sampler, random};
use crate::{SamplingParams, TokenMask};

fn sample(logits: &[f32], params: &SamplingParams, history: &[u32], prompt_len: usize) -> Sample {
    let history: Vec<TokenId> = history.iter().map(|&t| TokenId(t)).collect();
    let row = Row {
        params,
        history: &history,
        prompt_len,
        forbidden: &[],
        allowed: None,
    };
    RowSampler::default().sample(logits, row).unwrap()
}

fn chosen(logits: &[f32], params: &SamplingParams, history: &[u32], prompt_len: usize) -> u32 {
    sample(logits, params, history, prompt_len).token.0
}

/// Deterministic logits in about [-4, 4].
fn logits(seed: u64, len: usize) -> Vec<f32> {
    (0..len as u64)
        .map(|i| (random::uniform(seed, i) * 8.0 - 4.0) as f32)
        .collect()
}

fn oracle(logits: &[f32], params: &SamplingParams, draw: f64) -> u32 {
    let mut sorted: Vec<(u32, f64)> = (0..)
        .zip(
            logits
                .iter()
                .map(|&l| f64::from(l) / f64::from(params.temperature)),
        )
        .collect();
    sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let max = sorted[0].1;
    for entry in &mut sorted {
        entry.1 = (entry.1 - max).exp();
    }
    sorted.truncate(params.top_k.map_or(usize::MAX, |k| k as usize));
    let total: f64 = sorted.iter().map(|e| e.1).sum();
    let mut reached = 0.0;
    let keep = sorted
        .iter()
        .position(|e| {
            reached += e.1;
            reached >= total * f64::from(params.top_p)
        })
        .map_or(sorted.len(), |end| end + 1);
    sorted.truncate(keep);
    sorted.retain(|e| e.1 >= f64::from(params.min_p));
    if params.top_k.is_none() && params.top_p >= 1.0 {
        sorted.sort_by_key(|e| e.0);
    }
    let total: f64 = sorted.iter().map(|e| e.1).sum();
    let mut left = draw * total;
    for &(token, weight) in &sorted {
        left -= weight;
        if left < 0.0 {
            return token;
        }
    }
    panic!("the draw ended beyond the distribution");
}

#[test]
fn greedy_takes_the_lowest_of_equal_maxima() {
    assert_eq!(
        chosen(&[0.5, 2.0, 2.0, -1.0], &SamplingParams::greedy(), &[0], 1),
        1
    );
}

#[test]
fn truncation_agrees_with_the_sorted_oracle() {
    let settings = [
        (0.7, None, 1.0, 0.0),
        (1.0, None, 1.0, 0.1),
        (1.3, Some(5), 1.0, 0.0),
        (1.0, None, 0.9, 0.0),
        (0.9, Some(40), 0.8, 0.05),
        (2.0, None, 0.999, 0.0),
        (1.0, Some(1), 1.0, 0.0),
        (1.0, Some(10_000), 0.5, 0.02),
        // Next to nothing, so that the likeliest token is the only one.
        (1e-42, None, 1.0, 0.0),
        // Peaks, whose nucleus the largest spans show.
        (0.1, None, 0.9, 0.0),
        (0.1, None, 0.9, 0.2),
        (0.2, None, 1.0, 0.0),
        (3.0, Some(700), 0.97, 0.0),
    ];
    for (case, &(temperature, top_k, top_p, min_p)) in settings.iter().enumerate() {
        for seed in 0..200 {
            let params = SamplingParams {
                temperature,
                top_k,
                top_p,
                min_p,
                seed,
                ..SamplingParams::greedy()
            };
            let logits = logits(seed * 31 + case as u64, 1_500);
            let draw = random::uniform(seed, 3);
            assert_eq!(
                chosen(&logits, &params, &[1, 2, 3], 3),
                oracle(&logits, &params, draw),
                "settings {case}, seed {seed}"
            );
        }
    }
}

#[test]
fn equal_tokens_are_truncated_in_their_order() {
    let logits = [1.0; 400];
    let settings = [(Some(100), 1.0), (None, 0.25), (Some(200), 0.5)];
    for (top_k, top_p) in settings {
        for seed in 0..200 {
            let params = SamplingParams {
                temperature: 1.0,
                top_k,
                top_p,
                seed,
                ..SamplingParams::greedy()
            };
            let draw = random::uniform(seed, 3);
            let expected = (draw * 100.0) as u32;
            assert_eq!(chosen(&logits, &params, &[1, 2, 3], 3), expected);
        }
    }
}

/// Deals tasks to workers in a fixed order that is not theirs.
struct Dealer;

impl Workers for Dealer {
    fn num_workers(&self) -> usize {
        3
    }

    fn run(&self, num_tasks: usize, run: &(dyn Fn(usize, usize) + Sync)) {
        (0..num_tasks).rev().for_each(|task| run(task % 3, task));
    }
}

#[test]
fn a_rows_sample_depends_on_no_other_row_and_no_worker() {
    let greedy = SamplingParams::greedy();
    let ways = [
        greedy.clone(),
        SamplingParams {
            temperature: 0.8,
            top_p: 0.9,
            seed: 1,
            ..greedy.clone()
        },
        SamplingParams {
            temperature: 1.2,
            top_k: Some(7),
            seed: 2,
            ..greedy.clone()
        },
        SamplingParams {
            frequency_penalty: 0.5,
            logprobs: Some(3),
            ..greedy.clone()
        },
        SamplingParams {
            temperature: 1.0,
            min_p: 0.3,
            logprobs: Some(0),
            seed: 3,
            ..greedy
        },
    ];
    let history = [TokenId(4), TokenId(2), TokenId(2)];
    let (num_rows, vocab_size) = (11, 700);
    let mut data = logits(77, num_rows * vocab_size);
    data[6 * vocab_size..7 * vocab_size].fill(f32::NAN);
    // The fifth row's request has gone.
    let row = |index: usize| {
        (index != 4).then(|| Row {
            params: &ways[index % ways.len()],
            history: &history[..index % 3 + 1],
            prompt_len: 1,
            forbidden: &[],
            allowed: None,
        })
    };
    let all = Logits::new(&data, vocab_size);
    let alone: Vec<_> = (0..num_rows)
        .map(|index| {
            let row = row(index)?;
            Some(RowSampler::default().sample(all.row(index), row))
        })
        .collect();
    assert_eq!(alone[6], Some(Err(NonFiniteLogits)));
    assert_eq!(alone.iter().flatten().count(), num_rows - 1);
    let mut sampler = Sampler::default();
    for logits in [all, all.with_workers(&Dealer), all] {
        let together: Vec<_> = sampler.sample(&logits, row).collect();
        assert_eq!(together, alone);
    }
    let fewer = Logits::new(&data[..2 * vocab_size], vocab_size);
    let together: Vec<_> = sampler.sample(&fewer, row).collect();
    assert_eq!(together, alone[..2]);
}

#[test]
fn frequencies_follow_the_distribution() {
    let logits = [0.0_f32, 1.0, 2.0, -1.0];
    let total: f32 = logits.iter().map(|l| l.exp()).sum();
    let mut counts = [0_u32; 4];
    let draws = 20_000;
    for seed in 0..draws {
        let params = SamplingParams {
            temperature: 1.0,
            seed,
            ..SamplingParams::greedy()
        };
        counts[chosen(&logits, &params, &[0], 1) as usize] += 1;
    }
    for (count, logit) in counts.iter().zip(logits) {
        let expected = f64::from(logit.exp() / total);
        let observed = f64::from(*count) / draws as f64;
        assert!(
            (observed - expected).abs() < 0.012,
            "{observed} against {expected}"
        );
    }
}

#[test]
fn a_draw_is_a_function_of_seed_and_position() {
    let logits = logits(5, 300);
    let params = SamplingParams {
        temperature: 1.0,
        seed: 9,
        ..SamplingParams::greedy()
    };
    let first = chosen(&logits, &params, &[1, 2], 2);
    assert_eq!(chosen(&logits, &params, &[7, 8], 1), first);
    let others: Vec<u32> = (3..60)
        .map(|n| chosen(&logits, &params, &vec![1; n], 2))
        .collect();
    assert!(others.iter().any(|&token| token != first));
}

#[test]
fn penalties_follow_their_definitions() {
    // Token 0 twice in the output, token 1 in the prompt only, token 2 nowhere.
    let history = [1, 0, 0];
    let greedy = SamplingParams::greedy();
    let logits = [3.0, 2.9, 2.0];
    assert_eq!(chosen(&logits, &greedy, &history, 1), 0);
    let frequency = SamplingParams {
        frequency_penalty: 0.1,
        ..greedy.clone()
    };
    assert_eq!(
        chosen(&logits, &frequency, &history, 1),
        1,
        "3.0 - 2 * 0.1 < 2.9"
    );
    let presence = SamplingParams {
        presence_penalty: 0.09,
        ..greedy.clone()
    };
    assert_eq!(
        chosen(&logits, &presence, &history, 1),
        0,
        "3.0 - 0.09 > 2.9"
    );
    let repetition = SamplingParams {
        repetition_penalty: 2.0,
        ..greedy.clone()
    };
    assert_eq!(
        chosen(&logits, &repetition, &history, 1),
        2,
        "1.5 and 1.45 < 2.0"
    );
    let negative = [-1.0, -1.4, -1.5];
    assert_eq!(
        chosen(&negative, &repetition, &history, 1),
        2,
        "-2.0 and -2.8 < -1.5"
    );
}

#[test]
fn counts_do_not_leak_between_rows() {
    let params = SamplingParams {
        frequency_penalty: 1.0,
        ..SamplingParams::greedy()
    };
    let mut sampler = RowSampler::default();
    for _ in 0..3 {
        let history = [TokenId(1), TokenId(0)];
        let row = Row {
            params: &params,
            history: &history,
            prompt_len: 1,
            forbidden: &[],
            allowed: None,
        };
        assert_eq!(
            sampler.sample(&[2.0, 1.5, 0.0], row).unwrap().token,
            TokenId(1)
        );
    }
}

#[test]
fn bias_and_forbidden_tokens_are_applied_and_unknown_ones_harmless() {
    let params = SamplingParams {
        logit_bias: vec![(TokenId(2), 10.0), (TokenId(99), 100.0)],
        ..SamplingParams::greedy()
    };
    assert_eq!(chosen(&[1.0, 0.0, -3.0], &params, &[0, 99], 2), 2);
    let history = [TokenId(0)];
    let forbidden = [TokenId(2), TokenId(0)];
    let row = Row {
        params: &params,
        history: &history,
        prompt_len: 1,
        forbidden: &forbidden,
        allowed: None,
    };
    let sample = RowSampler::default()
        .sample(&[1.0, 0.0, -3.0], row)
        .unwrap();
    assert_eq!(sample.token, TokenId(1));
}

#[test]
fn logprobs_are_those_of_the_model_before_bias() {
    let params = SamplingParams {
        logit_bias: vec![(TokenId(0), 100.0)],
        logprobs: Some(2),
        ..SamplingParams::greedy()
    };
    let sample = sample(&[0.0, 1.0, 1.0], &params, &[1], 1);
    assert_eq!(sample.token, TokenId(0));
    let logprobs = sample.logprobs.unwrap();
    let log_sum = (1.0_f32 + 2.0 * 1.0_f32.exp()).ln();
    assert!((logprobs.chosen + log_sum).abs() < 1e-6);
    let tokens: Vec<u32> = logprobs.top.iter().map(|(token, _)| token.0).collect();
    assert_eq!(tokens, [1, 2]);
    assert!((logprobs.top[0].1 - (1.0 - log_sum)).abs() < 1e-6);
}

#[test]
fn logits_without_a_finite_maximum_are_an_error() {
    let params = SamplingParams::greedy();
    let row = Row {
        params: &params,
        history: &[],
        prompt_len: 0,
        forbidden: &[],
        allowed: None,
    };
    for logits in [
        [f32::NAN; 3],
        [f32::NEG_INFINITY; 3],
        [0.0, f32::INFINITY, 0.0],
    ] {
        assert_eq!(
            RowSampler::default().sample(&logits, row),
            Err(NonFiniteLogits)
        );
    }
}

#[test]
fn only_what_is_allowed_is_chosen() {
    let mut params = SamplingParams::greedy();
    params.logit_bias = vec![(TokenId(0), 100.0)];
    let (one_or_three, three) = (TokenMask::from_words(vec![0b1010]), [TokenId(3)]);
    let sample = |allowed: &TokenMask, forbidden: &[TokenId]| {
        let row = Row {
            params: &params,
            history: &[TokenId(0)],
            prompt_len: 1,
            forbidden,
            allowed: Some(allowed),
        };
        RowSampler::default().sample(&[9.0, 1.0, 5.0, 2.0, 8.0], row)
    };
    assert_eq!(sample(&one_or_three, &[]).unwrap().token, TokenId(3));
    assert_eq!(sample(&one_or_three, &three).unwrap().token, TokenId(1));
    // What is complete may stop, even before it should.
    let only_three = TokenMask::from_words(vec![0b1000]);
    assert_eq!(sample(&only_three, &three).unwrap().token, TokenId(3));
    assert_eq!(sample(&TokenMask::nothing(), &[]), Err(NonFiniteLogits));
}
