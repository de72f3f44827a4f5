//! The embedded model answers as transformers does.

use models::{Device, Dtype, KvCacheDtype, KvDtype, ModelSource, SumOrder, open};
use safetensors::SafeTensors;

use crate::driver::{Driver, Part, Rng, Seq, Setup, Want, argmax};
use crate::golden::{self, Answer, answers, distance, embedded_tolerance};

fn driver(device: Device, seed: u64) -> Driver {
    let model = open(&ModelSource::Embedded).unwrap();
    assert!(model.unread_tensors().is_empty());
    let setup = Setup {
        device,
        sum_order: SumOrder::Free,
        dtype: Dtype::Auto,
        kv_cache_dtype: KvCacheDtype::Float32,
        block_size: 16,
        pool_tokens: 50 * 192,
        max_tokens: 256,
        max_rows: 64,
        max_len: 256,
        window_pool: None,
    };
    Driver::new(model, setup, &mut Rng(seed))
}

/// Greedy answers, all sequences in one batch; returns the logits after each prompt.
fn check(device: Device, answers: &[Answer]) -> Vec<Vec<f32>> {
    let mut driver = driver(device, 3);
    let mut after_prompt = Vec::new();
    let mut live: Vec<(usize, Seq, Vec<u32>)> = Vec::new();
    for (index, Answer { prompt, .. }) in answers.iter().enumerate() {
        let mut seq = Seq::new(prompt);
        let count = prompt.len();
        let row = driver
            .step(&mut [Part {
                seq: &mut seq,
                count,
                want: Want::Last,
            }])
            .remove(0);
        let first = argmax(&row);
        seq.tokens.push(first);
        live.push((index, seq, vec![first]));
        after_prompt.push(row);
    }
    loop {
        live.retain(|(index, _, got)| {
            let want = &answers[*index].answer;
            assert_eq!(
                got.last(),
                want.get(got.len() - 1),
                "prompt {index}: {got:?} {want:?}"
            );
            got.len() < want.len()
        });
        if live.is_empty() {
            return after_prompt;
        }
        let parts = live.iter_mut().map(|(_, seq, _)| Part {
            seq,
            count: 1,
            want: Want::Last,
        });
        let rows = driver.step(&mut parts.collect::<Vec<_>>());
        for ((_, seq, got), row) in live.iter_mut().zip(&rows) {
            seq.tokens.push(argmax(row));
            got.extend(seq.tokens.last());
        }
    }
}

#[test]
fn fifty_greedy_answers_equal_those_of_transformers() {
    let answers = answers();
    assert_eq!(answers.len(), 50);
    let logits = check(Device::Cpu, &answers);
    let bytes = std::fs::read(golden::folder().join("pebble-20m/golden.safetensors")).unwrap();
    let want = golden::rows(&SafeTensors::deserialize(&bytes).unwrap(), "logits");
    let mut worst = 0.0f32;
    for (got, want) in logits.iter().step_by(10).zip(&want) {
        worst = worst.max(distance(got, want));
    }
    println!("logits after the prompts: {worst:e}");
    assert!(worst <= embedded_tolerance(), "{worst}");
}

#[test]
fn states_behind_prompts_equal_those_of_transformers() {
    let bytes = std::fs::read(golden::folder().join("pebble-20m/states.safetensors")).unwrap();
    let want = golden::rows(&SafeTensors::deserialize(&bytes).unwrap(), "states");
    assert_eq!(want.len(), 5);
    for device in [Device::Cpu, Device::Reference] {
        let mut driver = driver(device, 5);
        for (answer, want) in answers().iter().step_by(10).zip(&want) {
            let got = driver.state(&mut Seq::new(&answer.prompt));
            let worst = distance(&got, want);
            assert!(worst <= embedded_tolerance(), "{device:?}: {worst}");
        }
    }
}

#[test]
fn the_reference_backend_answers_the_same() {
    check(Device::Reference, &answers()[..4]);
}

/// By definition, in double precision.
fn log_softmax(row: &[f32], token: u32) -> f64 {
    let sum: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
    f64::from(row[token as usize]) - sum.ln()
}

#[test]
fn scores_are_the_log_softmax_of_the_logits() {
    let answers = answers();
    let tokens: Vec<u32> = answers.iter().flat_map(|one| one.prompt.clone()).collect();
    let mut driver = driver(Device::Cpu, 5);
    // More rows than there is room for at once, in two chunks.
    let (first, second) = (150, 50);
    let mut scored = Seq::new(&tokens[..first + second + 1]);
    let scores = [first, second].map(|count| driver.score(&mut scored, count));
    let mut whole = Seq::new(&tokens[..first + second]);
    let mut rows = Vec::new();
    while whole.computed < whole.tokens.len() {
        let count = (whole.tokens.len() - whole.computed).min(64);
        rows.extend(driver.step(&mut [Part {
            seq: &mut whole,
            count,
            want: Want::All,
        }]));
    }
    let mut worst = 0.0f64;
    for (at, (score, row)) in scores.concat().iter().zip(&rows).enumerate() {
        let by_hand = log_softmax(row, tokens[at + 1]);
        worst = worst.max((f64::from(*score) - by_hand).abs());
    }
    assert_eq!(rows.len(), scores.concat().len());
    assert!(worst < 1e-5, "{worst}");
}

#[test]
fn sizes_are_known_before_loading() {
    let model = open(&ModelSource::Embedded).unwrap();
    // 8 layers, K and V of 2 heads of 64; an 8-bit head has a scale of 4 bytes.
    let bytes = KvDtype::ALL.map(|dtype| model.kv_bytes_per_token(dtype));
    assert_eq!(
        bytes,
        [4 * 64, 2 * 64, 64 + 4, 64].map(|head| 8 * 2 * 2 * head)
    );
    assert_eq!(model.config().num_parameters(), 19_932_672);
    assert_eq!(model.weight_bytes(), 2 * model.config().num_parameters());
    assert_eq!(model.config().eos_token_ids, [0, 2]);
    assert_eq!(
        model.fingerprint(),
        open(&ModelSource::Embedded).unwrap().fingerprint()
    );
    let files = model.files();
    assert!(files.tokenizer.is_some() && files.tokenizer_config.is_some());
}
