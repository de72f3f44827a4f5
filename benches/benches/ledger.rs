//! What finding the edits of a resent conversation costs; the bound is 1 ms for 1,000 segments.

use std::hint::black_box;

use context::{
    EditLedger, EditOp, LedgerEdit, LedgerScope, SegmentChain, SummaryLevel, segment_digest,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const NUM_SEGMENTS: usize = 1000;
const OTHERS: usize = 200;
const SCOPE: LedgerScope<'static> = LedgerScope {
    tenant_salt: b"tenant",
    policy_major: 1,
    fingerprint: b"model",
};

fn edit(op: EditOp) -> LedgerEdit {
    LedgerEdit {
        op,
        replacement: "[cleared: read_file, 1,204 tokens]".into(),
        restore: Some("ctx://9f31".into()),
        before: 1204,
        after: 12,
        turns: 40,
    }
}

fn digests(conversation: usize) -> Vec<[u8; 32]> {
    (0..NUM_SEGMENTS)
        .map(|at| segment_digest(&[format!("{conversation}/{at}").as_bytes()]))
        .collect()
}

/// A ledger with the edits of many conversations: every second segment behind a summary of the
/// first hundred.
fn ledger(conversations: usize) -> EditLedger {
    let mut ledger = EditLedger::new(256 << 20);
    for conversation in 0..conversations {
        let chain = SegmentChain::from_digests(&SCOPE, &digests(conversation));
        let compaction = edit(EditOp::Compact(SummaryLevel::Brief));
        ledger
            .record(&chain, 1..=99, compaction)
            .expect("it is small");
        for at in (100..NUM_SEGMENTS).step_by(2) {
            ledger
                .record(&chain, at..=at, edit(EditOp::ClearToolResult))
                .expect("it is small");
        }
    }
    ledger
}

fn replay(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(NUM_SEGMENTS as u64));
    let known = digests(0);
    let unknown = digests(OTHERS + 1);
    let mut ledger = ledger(OTHERS);
    group.bench_function("chain_of_1000_segments", |bencher| {
        bencher.iter(|| SegmentChain::from_digests(&SCOPE, black_box(&known)));
    });
    for (name, digests) in [("replay_of_1000_segments", &known), ("miss", &unknown)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let chain = SegmentChain::from_digests(&SCOPE, black_box(digests));
                ledger.replay(&chain, |known| vec![true; known.len()])
            });
        });
    }
    let chain = SegmentChain::from_digests(&SCOPE, &known);
    group.bench_function("record", |bencher| {
        bencher.iter(|| ledger.record(&chain, 500..=500, edit(EditOp::ClearToolResult)));
    });
    group.finish();
}

fn text(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("segment_digest");
    let text = vec![b'x'; 400_000];
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("400_kB", |bencher| {
        bencher.iter(|| segment_digest(&[b"tool", black_box(&text)]));
    });
    group.finish();
}

criterion_group!(benches, replay, text);
criterion_main!(benches);
