// Attention by tensor cores with fixed sums: a row's bits are the same in a tile of few rows and in one of
// many, whole or divided.
//
// Every warp takes all keys of its rows, 64 at a time. Of a few rows each warp computes all weights and
// multiplies them with columns of its own; of many rows it has rows of its own and all columns.
#include "attention_bf16.cuh"

// What the spans before this one have found, of a thread's rows; their values are in shared memory.
struct SpanTotals {
    float largest[2], sums[2];
    bool any;
};

// The thread's span becomes what it and those before it have found, of 8 N columns.
template <uint32_t N>
__device__ inline void join_spans(RowSums& rows, float (&out)[N][4], SpanTotals& totals,
                                  const float4* values) {
    Join joins[2];
    for (uint32_t i = 0; i < 2; i++) {
        joins[i] = join_span(totals.largest[i], totals.sums[i], rows.largest[i], rows.sums[i]);
        rows.largest[i] = totals.largest[i];
        rows.sums[i] = totals.sums[i];
    }
#pragma unroll
    for (uint32_t n = 0; n < N; n++) {
        float4 before = totals.any ? values[n * MMA_WARPS * WARP] : float4{0.0f, 0.0f, 0.0f, 0.0f};
        out[n][0] = joins[0].of(before.x, out[n][0]);
        out[n][1] = joins[0].of(before.y, out[n][1]);
        out[n][2] = joins[1].of(before.z, out[n][2]);
        out[n][3] = joins[1].of(before.w, out[n][3]);
    }
}

// Leaves the joined values for the next span, which begins anew.
template <uint32_t N>
__device__ inline void begin_span(RowSums& rows, float (&out)[N][4], SpanTotals& totals,
                                  float4* values) {
#pragma unroll
    for (uint32_t n = 0; n < N; n++) {
        values[n * MMA_WARPS * WARP] = float4{out[n][0], out[n][1], out[n][2], out[n][3]};
        for (uint32_t i = 0; i < 4; i++) {
            out[n][i] = 0.0f;
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        rows.largest[i] = UNSEEN;
        rows.sums[i] = 0.0f;
    }
    totals.any = true;
}

// Stores the thread's rows: the output, or what a span of a divided tile has found.
template <uint32_t N>
__device__ inline void store_fixed(const AttentionArguments& args, const AttentionTile& tile,
                                   const HeadRange& heads, uint32_t first_row, uint32_t first_col,
                                   const RowSums& rows, const float (&out)[N][4]) {
    uint32_t num_rows = tile.num_tokens * heads.count, t = threadIdx.x % 4;
#pragma unroll
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t row = first_row + threadIdx.x % WARP / 4 + 8 * i;
        if (row >= num_rows) {
            continue;
        }
        bool writes_sums = t == 0 && first_col == 0;
        RowTarget to =
            row_target(args, tile, heads, row, rows.largest[i], rows.sums[i], writes_sums);
#pragma unroll
        for (uint32_t n = 0; n < N; n++) {
            uint64_t at = to.first + first_col + 8 * n + 2 * t;
            store_pair(to.values, at, out[n][2 * i] * to.factor, out[n][2 * i + 1] * to.factor);
        }
    }
}

// ROW_WARPS * 16 rows, one or all of the warps'. Shared memory: queries `[16 * ROW_WARPS,
// STRIDE]` of 16 bits, `BlockKeys`, and `[C / 8]` of four floats for each thread, C being a warp's columns.
template <uint32_t DTYPE, uint32_t D, uint32_t ROW_WARPS>
__device__ __forceinline__ void attend_fixed(const AttentionArguments& args, unsigned char* memory) {
    const AttentionTile tile = args.tiles[blockIdx.x];
    if (tile.num_tokens == 0) {
        return;
    }
    // Columns are multiplied 16 at a time; warps that have none copy keys and compute what others do.
    constexpr uint32_t COL_WARPS = ROW_WARPS > 1 ? 1 : D % 64 == 0 ? MMA_WARPS : 2;
    constexpr uint32_t ROWS = ROW_WARPS * GROUP_ROWS, C = D / COL_WARPS, N = BLOCK_KEYS / 8;
    const HeadRange heads = head_range(args);
    uint32_t warp = threadIdx.x / WARP;
    uint32_t first_row = ROW_WARPS > 1 ? warp * GROUP_ROWS : 0;
    uint32_t first_col = warp % COL_WARPS * C;
    uint16_t* queries = reinterpret_cast<uint16_t*>(memory);
    BlockKeys<DTYPE, D> staged(memory + ROWS * ROW_BYTES<KV_BF16, D>);
    float4* before = reinterpret_cast<float4*>(staged.end) + threadIdx.x;
    uint32_t start = tile.first_key / BLOCK_KEYS * BLOCK_KEYS;
    uint32_t slot = warp_slot(args, tile, start + warp * WARP_KEYS);
    staged.copy(args, args.kv.keys, heads.kv_head, slot, staged.keys);
    commit_copies();
    stage_queries<D>(args, tile, heads, ROWS, queries);
    RowSums rows[1] = {begin_rows(tile, heads, first_row)};
    float out[1][C / 8][4] = {};
    SpanTotals totals = {{UNSEEN, UNSEEN}, {0.0f, 0.0f}, false};
    for (; start < tile.end_key; start += BLOCK_KEYS) {
        uint32_t next = start + BLOCK_KEYS;
        uint32_t next_slot = warp_slot(args, tile, next + warp * WARP_KEYS);
        const uint16_t* keys = staged.await(staged.keys);
        staged.copy(args, args.kv.values, heads.kv_head, slot, staged.values);
        commit_copies();
        float scores[1][N][4] = {};
        multiply_keys<D, 1, N>(scores, queries + first_row * STRIDE<D>, keys);
        const uint16_t* values = staged.await(staged.values);
        slot = next_slot;
        if (next < tile.end_key) {
            staged.copy(args, args.kv.keys, heads.kv_head, slot, staged.keys);
        }
        commit_copies();
        weigh<N>(args, tile, start, has_unseen(args, tile, next), scores[0], rows[0]);
        add_values<D, 1, N, C>(scores, rows, values + first_col, out);
        if (next % FIXED_SPAN == 0 && next < tile.end_key) {
            end_rows(rows[0]);
            join_spans(rows[0], out[0], totals, before);
            begin_span(rows[0], out[0], totals, before);
        }
    }
    wait_copies<0>();
    end_rows(rows[0]);
    if (tile.num_partials == 0) {
        join_spans(rows[0], out[0], totals, before);
    }
    if (ROW_WARPS > 1 || warp < COL_WARPS) {
        store_fixed(args, tile, heads, first_row, first_col, rows[0], out[0]);
    }
    merge_if_last<true>(args, tile, heads);
}

#define ATTENTION_FIXED(dtype, name, head_dim)                            \
    KERNEL(attention_fixed_##name##few_##head_dim, AttentionArguments) {  \
        DYNAMIC_SHARED(memory);                                           \
        attend_fixed<dtype, head_dim, 1>(args, memory);                   \
    }                                                                     \
    KERNEL(attention_fixed_##name##many_##head_dim, AttentionArguments) { \
        DYNAMIC_SHARED(memory);                                           \
        attend_fixed<dtype, head_dim, MMA_WARPS>(args, memory);           \
    }

ATTENTION_FIXED(KV_BF16, , 64)
ATTENTION_FIXED(KV_BF16, , 96)
ATTENTION_FIXED(KV_BF16, , 128)
ATTENTION_FIXED(KV_BF16, , 256)
ATTENTION_FIXED(KV_FP8, fp8_, 64)
ATTENTION_FIXED(KV_FP8, fp8_, 96)
ATTENTION_FIXED(KV_FP8, fp8_, 128)
ATTENTION_FIXED(KV_FP8, fp8_, 256)
