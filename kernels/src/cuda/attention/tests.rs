//! Every row sees each of its keys in exactly one tile.

use super::*;

const SHAPE: QkvShape = QkvShape {
    num_q_heads: 12,
    num_kv_heads: 2,
    head_dim: 64,
};

/// Sequences of `(context_len, query_len)` with one block of 16 tokens after the other.
fn batch(sequences: &[(u32, u32)]) -> StepBatch {
    let mut batch = StepBatch::default();
    batch.clear();
    for &(context_len, query_len) in sequences {
        let rows = batch.query_start.last().expect("starts with 0") + query_len;
        batch.query_start.push(rows);
        batch.context_lens.push(context_len);
        let first = batch.block_tables.len() as u32;
        batch
            .block_tables
            .extend(first..first + context_len.div_ceil(16));
        batch
            .block_table_start
            .push(batch.block_tables.len() as u32);
    }
    batch
}

/// Which tiles cover each key of each row, `(row, key)` in ascending order.
fn covered(plan: &Plan) -> Vec<(u32, u32)> {
    let mut covered = Vec::new();
    for tile in plan.tiles.chunks_exact(TILE_WORDS) {
        let [first_row, num_tokens, position, _, first_key, end_key, _] = tile else {
            unreachable!("tiles have this many words");
        };
        for token in 0..*num_tokens {
            let seen = *first_key..(*end_key).min(position + token + 1);
            covered.extend(seen.map(|key| (first_row + token, key)));
        }
    }
    covered.sort_unstable();
    covered
}

fn plan(sequences: &[(u32, u32)], window: Option<usize>, num_blocks: usize) -> Plan {
    let mut plan = Plan::default();
    let parts = GroupParts::of(&SHAPE);
    plan.make(&batch(sequences), parts, window, num_blocks);
    plan
}

#[test]
fn every_row_sees_each_key_once() {
    let sequences = [(1, 1), (1300, 1), (700, 9), (512, 512), (513, 2), (40, 0)];
    let mut want = Vec::new();
    let mut row = 0;
    for (context_len, query_len) in sequences {
        for position in context_len - query_len..context_len {
            want.extend((0..=position).map(|key| (row, key)));
            row += 1;
        }
    }
    for num_blocks in [0, 1_000_000] {
        let plan = plan(&sequences, None, num_blocks);
        assert_eq!(covered(&plan), want, "{num_blocks} blocks");
        assert_eq!(plan.num_divided() > 0, num_blocks > 0);
    }
}

#[test]
fn spans_are_cut_at_absolute_positions() {
    // Two tokens fit a tile of six query heads each; 1024 and 1025 begin the third span.
    let plan = plan(&[(1026, 2)], None, usize::MAX);
    let keys: Vec<&[u32]> = plan
        .tiles
        .chunks_exact(TILE_WORDS)
        .map(|tile| &tile[4..])
        .collect();
    assert_eq!(keys, [[0, 512, 0], [512, 1024, 1], [1024, 1026, 2]]);
    assert_eq!(plan.spans, [0, 2, 0, 3]);
    assert_eq!(plan.num_partials, 3);
}

#[test]
fn a_window_leaves_out_what_no_row_sees() {
    let plan = plan(&[(1026, 2)], Some(100), usize::MAX);
    let keys: Vec<&[u32]> = plan
        .tiles
        .chunks_exact(TILE_WORDS)
        .map(|tile| &tile[4..])
        .collect();
    // The older row, at 1024, sees from 925 on.
    assert_eq!(keys, [[925, 1024, 0], [1024, 1026, 1]]);
}

#[test]
fn large_groups_are_divided_among_tiles() {
    let parts = |num_q_heads, num_kv_heads| {
        GroupParts::of(&QkvShape {
            num_q_heads,
            num_kv_heads,
            head_dim: 64,
        })
    };
    let expect = |heads_per_tile, num_parts| GroupParts {
        heads_per_tile,
        num_parts,
    };
    assert_eq!(parts(32, 8), expect(4, 8));
    assert_eq!(parts(71, 1), expect(16, 5));
    assert_eq!(parts(5, 5), expect(1, 5));
}
