//! `FakeRunner` passes a right batch and names the fault of a wrong one.

use kernels::{BlockCopy, StepBatch};
use models::ModelRunner;
use models::testing::{FakeLimits, FakeRunner, ShadowFault};

const VOCAB: usize = 50;
const BLOCK: usize = 4;

fn runner() -> FakeRunner {
    FakeRunner::new(FakeLimits {
        vocab_size: VOCAB,
        num_blocks: 8,
        block_size: BLOCK,
        max_num_batched_tokens: 16,
        max_num_seqs: 4,
    })
}

/// One sequence of a batch: all its tokens, how many are computed already, its blocks.
struct Seq<'a>(&'a [u32], usize, &'a [u32]);

fn batch(seqs: &[Seq<'_>]) -> StepBatch {
    let mut batch = StepBatch::default();
    batch.clear();
    for Seq(tokens, computed, blocks) in seqs {
        for (position, &token) in tokens.iter().enumerate().skip(*computed) {
            batch.token_ids.push(token);
            batch.positions.push(position as u32);
            let slot = blocks[position / BLOCK] as usize * BLOCK + position % BLOCK;
            batch.slot_mapping.push(slot as u32);
        }
        batch.query_start.push(batch.token_ids.len() as u32);
        batch.context_lens.push(tokens.len() as u32);
        batch.block_tables.extend_from_slice(blocks);
        batch
            .block_table_start
            .push(batch.block_tables.len() as u32);
        batch.logits_rows.push(batch.token_ids.len() as u32 - 1);
    }
    batch
}

fn argmax(row: &[f32]) -> u32 {
    (0..row.len())
        .max_by(|&a, &b| row[a].total_cmp(&row[b]))
        .unwrap() as u32
}

#[test]
fn decoding_through_scattered_blocks_equals_the_oracle() {
    let prompt = [3, 1, 4, 1, 5, 9];
    let want = FakeRunner::oracle(VOCAB, &prompt, 10);
    let mut runner = runner();
    let counters = runner.counters();
    let (mut tokens, mut computed, mut got) = (prompt.to_vec(), 0, Vec::new());
    // The prompt in two chunks, then one token a step.
    runner
        .step(&batch(&[Seq(&prompt[..3], 0, &[5, 2, 7, 1])]))
        .unwrap();
    computed += 3;
    while got.len() < 10 {
        let step = batch(&[Seq(&tokens, computed, &[5, 2, 7, 1])]);
        let logits = runner.forward(&step).unwrap();
        assert_eq!(logits.row(0), FakeRunner::oracle_logits(VOCAB, &tokens));
        got.push(argmax(logits.row(0)));
        computed = tokens.len();
        tokens.extend(got.last());
    }
    assert_eq!(got, want);
    assert_eq!((counters.tokens(), counters.steps()), (3 + 3 + 9, 10));
}

#[test]
fn a_prefix_and_a_copied_tail_may_be_shared_once_computed() {
    let mut runner = runner();
    runner
        .step(&batch(&[Seq(&[1, 2, 3, 4, 5, 6], 0, &[1, 2])]))
        .unwrap();
    let mut second = batch(&[Seq(&[1, 2, 3, 4, 5, 9], 5, &[1, 3])]);
    second.block_copies.push(BlockCopy {
        src: 2,
        dst: 3,
        num_tokens: 1,
    });
    let logits = runner.step(&second).unwrap();
    assert_eq!(
        logits.row(0),
        FakeRunner::oracle_logits(VOCAB, &[1, 2, 3, 4, 5, 9])
    );
    assert_eq!(runner.counters().copied_tokens(), 1);
}

/// Computes `[1, 2, 3, 4, 5, 6]` in blocks 1 and 2, then expects `step` to fail.
fn fault(step: &StepBatch) -> ShadowFault {
    let mut runner = runner();
    runner
        .step(&batch(&[Seq(&[1, 2, 3, 4, 5, 6], 0, &[1, 2])]))
        .unwrap();
    runner.step(step).map(|_| ()).unwrap_err()
}

#[test]
fn reading_what_was_never_written_is_a_fault() {
    let found = fault(&batch(&[Seq(&[1, 2, 3, 4, 5, 6, 7, 8], 7, &[1, 2])]));
    assert_eq!(
        found,
        ShadowFault::Poison {
            seq: 0,
            position: 6,
            slot: 10
        }
    );
    let mut copy = batch(&[Seq(&[1], 0, &[4])]);
    copy.block_copies.push(BlockCopy {
        src: 2,
        dst: 3,
        num_tokens: 3,
    });
    assert_eq!(
        fault(&copy),
        ShadowFault::CopyOfPoison {
            src: 2,
            dst: 3,
            offset: 2
        }
    );
}

#[test]
fn a_copy_poisons_the_rest_of_its_destination() {
    let mut step = batch(&[Seq(&[1, 2, 3, 4, 5], 3, &[2, 3])]);
    step.block_copies.push(BlockCopy {
        src: 1,
        dst: 2,
        num_tokens: 2,
    });
    assert_eq!(
        fault(&step),
        ShadowFault::Poison {
            seq: 0,
            position: 2,
            slot: 10
        }
    );
}

#[test]
fn another_sequences_block_is_a_fault() {
    // Same length, other tokens: a stale prefix block.
    let mut runner = runner();
    runner.step(&batch(&[Seq(&[1, 2, 3, 4], 0, &[1])])).unwrap();
    runner.step(&batch(&[Seq(&[9, 2, 3, 4], 0, &[2])])).unwrap();
    runner
        .step(&batch(&[Seq(&[1, 2, 3, 4, 5, 6, 7, 8], 4, &[1, 3])]))
        .unwrap();
    let found = runner.step(&batch(&[Seq(&[9, 2, 3, 4, 5, 6, 7, 8, 1], 8, &[2, 3, 4])]));
    let found = found.map(|_| ()).unwrap_err();
    let want = ShadowFault::ForeignHistory {
        seq: 0,
        position: 4,
        slot: 12,
        held_position: 4,
        held_token: 5,
    };
    assert_eq!(found, want);
}

#[test]
fn a_block_freed_too_early_is_noticed_by_its_first_owner() {
    let mut runner = runner();
    runner.step(&batch(&[Seq(&[1, 2, 3], 0, &[1])])).unwrap();
    runner.step(&batch(&[Seq(&[7, 8], 0, &[1])])).unwrap();
    let found = runner
        .step(&batch(&[Seq(&[1, 2, 3, 4], 3, &[1])]))
        .map(|_| ())
        .unwrap_err();
    assert!(
        matches!(found, ShadowFault::ForeignHistory { position: 2, .. }),
        "{found}"
    );
}

#[test]
fn sharing_within_the_step_that_computes_is_a_fault() {
    let step = batch(&[
        Seq(&[9, 9, 9, 9], 0, &[3]),
        Seq(&[9, 9, 9, 9, 1], 4, &[3, 4]),
    ]);
    let want = ShadowFault::NotYetComputed {
        seq: 1,
        position: 0,
        slot: 12,
        writer: 0,
    };
    assert_eq!(fault(&step), want);
    let twice = batch(&[Seq(&[9], 0, &[3]), Seq(&[9], 0, &[3])]);
    assert_eq!(fault(&twice), ShadowFault::WrittenTwice { slot: 12 });
}

#[test]
fn a_slot_beside_its_block_table_is_a_fault() {
    let mut step = batch(&[Seq(&[1, 2], 0, &[3])]);
    step.slot_mapping[1] = 20;
    let want = ShadowFault::WrongSlot {
        row: 1,
        position: 1,
        found: 20,
        expected: 13,
    };
    assert_eq!(fault(&step), want);
}

#[test]
fn malformed_batches_and_limits_are_faults() {
    let is_malformed = |change: fn(&mut StepBatch)| {
        let mut step = batch(&[Seq(&[1, 2, 3], 0, &[3])]);
        change(&mut step);
        matches!(fault(&step), ShadowFault::Malformed(_))
    };
    assert!(is_malformed(|step| step.positions[2] = 7));
    assert!(is_malformed(|step| step.positions.truncate(2)));
    assert!(is_malformed(|step| step.query_start[1] = 2));
    assert!(is_malformed(|step| step.context_lens[0] = 2));
    assert!(is_malformed(|step| step.logits_rows = vec![2, 1]));
    assert!(is_malformed(|step| step.logits_rows = vec![3]));
    assert!(is_malformed(|step| {
        step.block_tables.clear();
        step.block_table_start[1] = 0;
    }));
    let null = fault(&batch(&[Seq(&[1], 0, &[0])]));
    assert!(
        matches!(null, ShadowFault::BadBlock { block: 0, .. }),
        "{null}"
    );
    let outside = fault(&batch(&[Seq(&[1], 0, &[8])]));
    assert!(
        matches!(outside, ShadowFault::BadBlock { block: 8, .. }),
        "{outside}"
    );
    let token = fault(&batch(&[Seq(&[50], 0, &[3])]));
    assert_eq!(
        token,
        ShadowFault::BadToken {
            row: 0,
            token: 50,
            vocab_size: VOCAB
        }
    );
    let many = fault(&batch(&[Seq(&[1; 17], 0, &[3, 4, 5, 6, 7])]));
    assert!(
        matches!(
            many,
            ShadowFault::OverLimit {
                count: 17,
                limit: 16,
                ..
            }
        ),
        "{many}"
    );
}

#[test]
fn a_told_failure_is_an_error_of_that_step_alone() {
    let mut runner = runner().failing_at_step(2);
    let step = |tokens: &[u32]| batch(&[Seq(tokens, tokens.len() - 1, &[1])]);
    runner.forward(&step(&[1])).unwrap();
    let error = runner.forward(&step(&[1, 2])).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "fake: step 2 was told to fail");
    runner.forward(&step(&[1, 2])).unwrap();
}
