// Attention over keys and values in bfloat16 or fp8, by tensor cores.
//
// Of a few rows every warp takes keys of its own, as if the keys were divided once more ("Flash-Decoding
// for long-context inference", Dao et al., 2023); of many rows every warp takes rows of its own.
#include "attention_bf16.cuh"

// What the warps have found of the same rows, each of its own keys, is joined and stored.
template <uint32_t D>
__device__ inline void store_few(const AttentionArguments& args, const AttentionTile& tile,
                                 const HeadRange& heads, const RowSums& rows,
                                 const float (&out)[D / 8][4], unsigned char* memory) {
    float* values = reinterpret_cast<float*>(memory);  // [MMA_WARPS, GROUP_ROWS, STRIDE]
    __shared__ float sums[MMA_WARPS][GROUP_ROWS][2];
    uint32_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t row = g + 8 * i;
        if (t == 0) {
            sums[warp][row][0] = rows.largest[i];
            sums[warp][row][1] = rows.sums[i];
        }
        float* to = values + (warp * GROUP_ROWS + row) * STRIDE<D> + 2 * t;
#pragma unroll
        for (uint32_t n = 0; n < D / 8; n++) {
            *reinterpret_cast<float2*>(to + 8 * n) = float2{out[n][2 * i], out[n][2 * i + 1]};
        }
    }
    __syncthreads();
    uint32_t num_rows = tile.num_tokens * heads.count;
    for (uint32_t row = warp; row < num_rows; row += MMA_WARPS) {
        float largest = UNSEEN, sum = 0.0f, decays[MMA_WARPS];
        for (uint32_t i = 0; i < MMA_WARPS; i++) {
            largest = fmaxf(largest, sums[i][row][0]);
        }
        for (uint32_t i = 0; i < MMA_WARPS; i++) {
            decays[i] = exp2f(sums[i][row][0] - largest);
            sum += sums[i][row][1] * decays[i];
        }
        RowTarget to = row_target(args, tile, heads, row, largest, sum, lane == 0);
        for (uint32_t col = lane; col < D; col += WARP) {
            float value = 0.0f;
            for (uint32_t i = 0; i < MMA_WARPS; i++) {
                value += values[(i * GROUP_ROWS + row) * STRIDE<D> + col] * decays[i];
            }
            store(to.values, to.first + col, value * to.factor);
        }
    }
}

// Up to 16 rows: each warp streams every fourth 16 keys through two buffers of its own and waits for
// nobody. Shared memory: queries `[16, STRIDE]` of 16 bits, and for each warp keys and values
// `[2, 2, WARP_KEYS, ROW_BYTES]`, followed by `[WARP_KEYS, STRIDE]` of 16 bits where they are widened.
template <uint32_t DTYPE, uint32_t D>
__device__ __forceinline__ void attend_few(const AttentionArguments& args, unsigned char* memory) {
    const AttentionTile tile = args.tiles[blockIdx.x];
    if (tile.num_tokens == 0) {
        return;
    }
    constexpr uint32_t PANEL = WARP_KEYS * ROW_BYTES<DTYPE, D>;
    constexpr uint32_t WIDE = DTYPE == KV_FP8 ? WARP_KEYS * ROW_BYTES<KV_BF16, D> : 0;
    const HeadRange heads = head_range(args);
    uint16_t* queries = reinterpret_cast<uint16_t*>(memory);
    unsigned char* staged = memory + GROUP_ROWS * ROW_BYTES<KV_BF16, D>;
    unsigned char* panels = staged + threadIdx.x / WARP * (4 * PANEL + WIDE);
    uint16_t* wide = reinterpret_cast<uint16_t*>(panels + 4 * PANEL);
    uint32_t start = tile.first_key / BLOCK_KEYS * BLOCK_KEYS + threadIdx.x / WARP * WARP_KEYS;
    auto copy = [&](uint32_t slot, uint32_t buffer) {
        unsigned char* to = panels + buffer * 2 * PANEL;
        copy_keys<DTYPE, D>(args, args.kv.keys, heads.kv_head, slot, to);
        copy_keys<DTYPE, D>(args, args.kv.values, heads.kv_head, slot, to + PANEL);
        commit_copies();
    };
    copy(warp_slot(args, tile, start), 0);
    // In bfloat16, for the whole warp, once its lanes are done with what it was called for before.
    auto show = [&](const unsigned char* panel) {
        if constexpr (DTYPE == KV_FP8) {
            widen_keys<D>(panel, wide);
            __syncwarp();
            return static_cast<const uint16_t*>(wide);
        } else {
            return reinterpret_cast<const uint16_t*>(panel);
        }
    };
    // Where the keys lie is asked for one turn before they are copied.
    uint32_t slot = warp_slot(args, tile, start + BLOCK_KEYS);
    stage_queries<D>(args, tile, heads, GROUP_ROWS, queries);
    __syncthreads();
    RowSums rows[1] = {begin_rows(tile, heads, 0)};
    float out[1][D / 8][4] = {};
    for (uint32_t buffer = 0; start < tile.end_key; start += BLOCK_KEYS, buffer ^= 1) {
        copy(slot, buffer ^ 1);
        slot = warp_slot(args, tile, start + 2 * BLOCK_KEYS);
        wait_copies<1>();
        __syncwarp();
        const unsigned char* arrived = panels + buffer * 2 * PANEL;
        float scores[1][2][4] = {};
        multiply_keys<D, 1, 2>(scores, queries, show(arrived));
        weigh<2>(args, tile, start, has_unseen(args, tile, start + WARP_KEYS), scores[0], rows[0]);
        if (DTYPE == KV_FP8) {
            __syncwarp();
        }
        add_values<D, 1, 2>(scores, rows, show(arrived + PANEL), out);
        __syncwarp();
    }
    wait_copies<0>();
    end_rows(rows[0]);
    // The buffers of all warps become room for what they have found.
    __syncthreads();
    store_few<D>(args, tile, heads, rows[0], out[0], staged);
    merge_if_last<false>(args, tile, heads);
}

// 64 G rows: each warp takes 16 G of them over all keys, which the block copies while it computes, the
// values of 64 keys during their scores and the next keys after them. Shared memory: queries
// `[64 * G, STRIDE]` of 16 bits and `BlockKeys`.
template <uint32_t DTYPE, uint32_t D, uint32_t G>
__device__ __forceinline__ void attend_many(const AttentionArguments& args, unsigned char* memory) {
    const AttentionTile tile = args.tiles[blockIdx.x];
    if (tile.num_tokens == 0) {
        return;
    }
    constexpr uint32_t ROWS = MMA_WARPS * GROUP_ROWS * G, N = BLOCK_KEYS / 8;
    const HeadRange heads = head_range(args);
    uint32_t warp = threadIdx.x / WARP;
    uint16_t* queries = reinterpret_cast<uint16_t*>(memory);
    uint32_t first_row = warp * GROUP_ROWS * G;
    BlockKeys<DTYPE, D> staged(memory + ROWS * ROW_BYTES<KV_BF16, D>);
    uint32_t start = tile.first_key / BLOCK_KEYS * BLOCK_KEYS;
    uint32_t slot = warp_slot(args, tile, start + warp * WARP_KEYS);
    staged.copy(args, args.kv.keys, heads.kv_head, slot, staged.keys);
    commit_copies();
    stage_queries<D>(args, tile, heads, ROWS, queries);
    RowSums rows[G];
#pragma unroll
    for (uint32_t group = 0; group < G; group++) {
        rows[group] = begin_rows(tile, heads, first_row + group * GROUP_ROWS);
    }
    float out[G][D / 8][4] = {};
    for (; start < tile.end_key; start += BLOCK_KEYS) {
        uint32_t next = start + BLOCK_KEYS;
        uint32_t next_slot = warp_slot(args, tile, next + warp * WARP_KEYS);
        const uint16_t* keys = staged.await(staged.keys);
        staged.copy(args, args.kv.values, heads.kv_head, slot, staged.values);
        commit_copies();
        float scores[G][N][4] = {};
        multiply_keys<D, G, N>(scores, queries + first_row * STRIDE<D>, keys);
        const uint16_t* values = staged.await(staged.values);
        slot = next_slot;
        if (next < tile.end_key) {
            staged.copy(args, args.kv.keys, heads.kv_head, slot, staged.keys);
        }
        commit_copies();
        bool masks = has_unseen(args, tile, next);
#pragma unroll
        for (uint32_t group = 0; group < G; group++) {
            weigh<N>(args, tile, start, masks, scores[group], rows[group]);
        }
        add_values<D, G, N>(scores, rows, values, out);
    }
    wait_copies<0>();
    uint32_t num_rows = tile.num_tokens * heads.count, t = threadIdx.x % 4;
#pragma unroll
    for (uint32_t group = 0; group < G; group++) {
        end_rows(rows[group]);
#pragma unroll
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t row = first_row + group * GROUP_ROWS + threadIdx.x % WARP / 4 + 8 * i;
            if (row >= num_rows) {
                continue;
            }
            RowSums& of = rows[group];
            RowTarget to = row_target(args, tile, heads, row, of.largest[i], of.sums[i], t == 0);
#pragma unroll
            for (uint32_t n = 0; n < D / 8; n++) {
                float first = out[group][n][2 * i] * to.factor;
                store_pair(to.values, to.first + 8 * n + 2 * t, first, out[group][n][2 * i + 1] * to.factor);
            }
        }
    }
    merge_if_last<false>(args, tile, heads);
}

// Kernels of one head size and type of keys, so that each has the registers that it needs.
#define ATTENTION_BY_TENSOR_CORES(dtype, name, head_dim, groups)    \
    KERNEL(attention_##name##few_##head_dim, AttentionArguments) {  \
        DYNAMIC_SHARED(memory);                                     \
        attend_few<dtype, head_dim>(args, memory);                  \
    }                                                               \
    KERNEL(attention_##name##many_##head_dim, AttentionArguments) { \
        DYNAMIC_SHARED(memory);                                     \
        attend_many<dtype, head_dim, groups>(args, memory);         \
    }

ATTENTION_BY_TENSOR_CORES(KV_BF16, , 64, 2)
ATTENTION_BY_TENSOR_CORES(KV_BF16, , 96, 2)
ATTENTION_BY_TENSOR_CORES(KV_BF16, , 128, 2)
ATTENTION_BY_TENSOR_CORES(KV_BF16, , 256, 1)
ATTENTION_BY_TENSOR_CORES(KV_FP8, fp8_, 64, 2)
ATTENTION_BY_TENSOR_CORES(KV_FP8, fp8_, 96, 2)
ATTENTION_BY_TENSOR_CORES(KV_FP8, fp8_, 128, 2)
ATTENTION_BY_TENSOR_CORES(KV_FP8, fp8_, 256, 1)
