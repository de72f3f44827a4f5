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

fn sight(shape: QkvShape, window: Option<usize>) -> Sight {
    Sight {
        shape,
        dtype: KvDtype::Bf16,
        pool: KvPool::Main,
        window,
    }
}

fn plan(sequences: &[(u32, u32)], way: Way, window: Option<usize>, num_blocks: usize) -> Plan {
    let mut plan = Plan::default();
    plan.make(&batch(sequences), way, &sight(SHAPE, window), num_blocks);
    plan
}

/// The tiles' words by name.
fn tiles(plan: &Plan) -> impl Iterator<Item = (Range<u32>, u32, Range<u32>, [u32; 4])> {
    plan.tiles.as_chunks::<TILE_WORDS>().0.iter().map(|words| {
        let &[first_row, num_tokens, position, _, first_key, end_key, ..] = words;
        let partial = [words[6], words[7], words[8], words[9]];
        let rows = first_row..first_row + num_tokens;
        (rows, position, first_key..end_key, partial)
    })
}

/// Which keys each row sees in some tile, `(row, key)` in ascending order.
fn covered(plans: &[Plan]) -> Vec<(u32, u32)> {
    let mut covered = Vec::new();
    for (rows, position, keys, _) in plans.iter().flat_map(tiles) {
        for (row, position) in rows.zip(position..) {
            let seen = keys.start..keys.end.min(position + 1);
            covered.extend(seen.map(|key| (row, key)));
        }
    }
    covered.sort_unstable();
    covered
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
    for num_blocks in [0, 20, 264, 1_000_000] {
        for ways in [
            &[Way::Plain][..],
            &[Way::Few, Way::Many],
            &[Way::FixedPlain],
            &[Way::FixedFew, Way::FixedMany],
        ] {
            let plan = |way: &Way| plan(&sequences, *way, None, num_blocks);
            let plans: Vec<Plan> = ways.iter().map(plan).collect();
            assert_eq!(covered(&plans), want, "{num_blocks} blocks, {ways:?}");
        }
    }
}

#[test]
fn spans_fill_the_device_and_no_more() {
    let num_parts = GroupParts::of(&SHAPE).num_parts;
    for (context, query) in [(200, 1), (5_000, 1), (40_000, 2), (9_000, 300), (64, 1)] {
        for way in [Way::Few, Way::Many] {
            let plan = plan(&[(context, query); 3], way, None, 264);
            let blocks = plan.num_tiles() * num_parts;
            assert!(blocks <= 264, "{way:?}: {blocks} blocks of {context} keys");
            assert!(plan.num_partials * num_parts <= 264);
            for (_, _, keys, [.., num_partials, _]) in tiles(&plan) {
                let is_cut = num_partials > 0 && !keys.end.is_multiple_of(BLOCK_KEYS as u32);
                assert!(
                    !is_cut || keys.end + 300 > context,
                    "cut within a block of keys"
                );
            }
        }
    }
}

/// Spans are whole and at multiples of their length, or there are none; never more than there is room for.
#[test]
fn fixed_spans_lie_at_fixed_places() {
    let num_parts = GroupParts::of(&SHAPE).num_parts;
    for (context, query) in [(200, 1), (5_000, 1), (700_000, 2), (9_000, 300)] {
        for way in [Way::FixedFew, Way::FixedMany] {
            for num_blocks in [4, 264] {
                let plan = plan(&[(context, query); 3], way, Some(100_000), num_blocks);
                let mut divided = 0;
                for (_, _, keys, [.., num_partials, _]) in tiles(&plan) {
                    if num_partials > 0 {
                        let span = FIXED_SPAN as u32;
                        assert_eq!(keys.start / span, (keys.end - 1) / span, "{keys:?}");
                        divided += 1;
                    }
                }
                assert_eq!(divided, plan.num_partials);
                let rows = divided * num_parts * way.tile_rows(SHAPE.head_dim);
                assert!(rows <= partial_rows(SumOrder::Fixed, num_blocks, SHAPE.head_dim));
                assert!(plan.num_divided * num_parts <= num_blocks);
            }
        }
    }
}

#[test]
fn partial_results_belong_to_their_tile() {
    // Two tokens of six query heads fit a tile of few rows.
    let plan = plan(&[(300, 2), (90, 1), (260, 1)], Way::Few, None, 1_000);
    let partials: Vec<[u32; 4]> = tiles(&plan).map(|tile| tile.3).collect();
    // This one, the tile's first one, how many, and the tile's counter.
    let want = [
        [0, 0, 3, 0],
        [1, 0, 3, 0],
        [2, 0, 3, 0],
        [3, 3, 0, 0],
        [3, 3, 3, 1],
        [4, 3, 3, 1],
        [5, 3, 3, 1],
    ];
    assert_eq!(partials, want);
    assert_eq!((plan.num_partials, plan.num_divided), (6, 2));
}

#[test]
fn a_window_leaves_out_what_no_row_sees() {
    let plan = plan(&[(1026, 2)], Way::Few, Some(100), usize::MAX / 2);
    let keys: Vec<Range<u32>> = tiles(&plan).map(|tile| tile.2).collect();
    // The older row, at 1024, sees from 925 on.
    assert_eq!(keys, [925..1024, 1024..1026]);
}

#[test]
fn what_takes_long_begins_first() {
    let plan = plan(&[(512, 512)], Way::Many, None, 0);
    let ends: Vec<u32> = tiles(&plan).map(|tile| tile.2.end).collect();
    assert!(ends.is_sorted_by(|a, b| a > b), "{ends:?}");
}

#[test]
fn tensor_cores_take_bfloat16_and_fp8_of_usual_heads() {
    let of = |dtype, head_dim| {
        let shape = QkvShape { head_dim, ..SHAPE };
        let sight = Sight {
            dtype,
            ..sight(shape, None)
        };
        Way::of(&sight, SumOrder::Free, 227 << 10)
    };
    assert_eq!(of(KvDtype::Bf16, 128), [Way::Few, Way::Many]);
    assert_eq!(of(KvDtype::Fp8, 256), [Way::Few, Way::Many]);
    assert_eq!(of(KvDtype::Bf16, 80), [Way::Plain]);
    assert_eq!(of(KvDtype::Fp8, 80), [Way::Plain]);
    assert_eq!(of(KvDtype::Int8, 128), [Way::Plain]);
    assert_eq!(of(KvDtype::F32, 128), [Way::Plain]);
    let fixed = Way::of(&sight(SHAPE, None), SumOrder::Fixed, 227 << 10);
    assert_eq!(fixed, [Way::FixedFew, Way::FixedMany]);
    assert_eq!(
        Way::of(&sight(SHAPE, None), SumOrder::Free, 16 << 10),
        [Way::Plain]
    );
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
