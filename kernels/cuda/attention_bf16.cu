// Attention over keys and values in bfloat16, by tensor cores. Queries, scaled, and softmax weights are
// rounded to bfloat16; sums are f32.
//
// The scores' fragments become the weights' fragments without a move (Dao, "FlashAttention-2", 2023).
// Of a few rows every warp takes keys of its own, as if the keys were divided once more ("Flash-Decoding
// for long-context inference", Dao et al., 2023); of many rows every warp takes rows of its own.
#include "attention.cuh"

constexpr uint32_t MMA_WARPS = 4;
// Keys that a warp copies at once, and rows of a fragment.
constexpr uint32_t WARP_KEYS = 16, GROUP_ROWS = 16;
// Keys of all warps together; spans are cut at multiples of it.
constexpr uint32_t BLOCK_KEYS = MMA_WARPS * WARP_KEYS;
constexpr uint32_t NO_SLOT = 0xffffffffu;

// Elements from one row to the next in shared memory: 16 bytes more than a row, so that eight rows of a
// matrix lie in different banks.
template <uint32_t D>
constexpr uint32_t STRIDE = D + 8;

// Softmax of 16 rows; the thread's are g and g + 8.
struct RowSums {
    uint32_t position[2];
    float largest[2];
    float sums[2];  // of the thread's keys
    float decays[2];
};

// The first `count` rows of the tile as `[count, STRIDE]`, scaled; zeros where there are none.
template <uint32_t D>
__device__ inline void stage_queries(const AttentionArguments& args, const AttentionTile& tile,
                                     const HeadRange& heads, uint32_t count, uint16_t* to) {
    constexpr uint32_t PAIRS = D / 2;
    uint32_t num_rows = tile.num_tokens * heads.count;
    float factor = query_factor(args);
    for (uint32_t i = threadIdx.x; i < count * PAIRS; i += blockDim.x) {
        uint32_t row = i / PAIRS, col = i % PAIRS * 2;
        float2 pair = {0.0f, 0.0f};
        if (row < num_rows) {
            pair = *reinterpret_cast<const float2*>(query(args, tile, heads, row) + col);
        }
        uint32_t rounded = pack_bf16(pair.x * factor, pair.y * factor);
        *reinterpret_cast<uint32_t*>(to + row * STRIDE<D> + col) = rounded;
    }
}

// Where the warp's keys from `start` on lie: that of key `lane % WARP_KEYS`.
__device__ inline uint32_t warp_slot(const AttentionArguments& args, const AttentionTile& tile,
                                     uint32_t start) {
    uint32_t key = start + threadIdx.x % WARP_KEYS;
    bool inside = key >= tile.first_key && key < tile.end_key;
    return inside ? slot_of(args, tile, key) : NO_SLOT;
}

// Begins to copy the warp's keys or values to `[WARP_KEYS, STRIDE]`; zeros where there are none.
template <uint32_t D>
__device__ inline void copy_keys(const AttentionArguments& args, const uint8_t* from, uint32_t kv_head,
                                 uint32_t slot, uint16_t* to) {
    constexpr uint32_t PIECES = D / 8;  // of 16 bytes
    uint32_t lane = threadIdx.x % WARP;
#pragma unroll
    for (uint32_t first = 0; first < WARP_KEYS * PIECES; first += WARP) {
        uint32_t key = (first + lane) / PIECES, piece = (first + lane) % PIECES;
        uint32_t of_key = __shfl_sync(0xffffffffu, slot, key);
        bool inside = of_key != NO_SLOT;
        uint64_t row = static_cast<uint64_t>(inside ? of_key : 0) * args.kv.num_kv_heads + kv_head;
        copy_async(to + key * STRIDE<D> + 8 * piece, from + (row * D + 8 * piece) * 2, inside);
    }
}

// `scores += queries * keys^T` of G groups of rows and 8 N keys.
template <uint32_t D, uint32_t G, uint32_t N>
__device__ inline void multiply_keys(float (&scores)[G][N][4], const uint16_t* queries,
                                     const uint16_t* keys) {
    uint32_t lane = threadIdx.x % WARP;
    const uint16_t* query_row = queries + lane % 16 * STRIDE<D> + lane / 16 * 8;
    const uint16_t* key_row = keys + (lane / 16 * 8 + lane % 8) * STRIDE<D> + lane / 8 % 2 * 8;
#pragma unroll
    for (uint32_t depth = 0; depth < D; depth += 16) {
        uint32_t q[G][4];
#pragma unroll
        for (uint32_t group = 0; group < G; group++) {
            load_matrices(q[group], query_row + group * GROUP_ROWS * STRIDE<D> + depth);
        }
#pragma unroll
        for (uint32_t n = 0; n < N; n += 2) {
            uint32_t k[4];
            load_matrices(k, key_row + n * 8 * STRIDE<D> + depth);
#pragma unroll
            for (uint32_t group = 0; group < G; group++) {
                multiply_bf16(scores[group][n], q[group], k[0], k[1]);
                multiply_bf16(scores[group][n + 1], q[group], k[2], k[3]);
            }
        }
    }
}

// Scores of keys from `start` on become weights; the rows' sums go on.
template <uint32_t N>
__device__ inline void weigh(const AttentionArguments& args, const AttentionTile& tile, uint32_t start,
                             bool masks, float (&scores)[N][4], RowSums& rows) {
    uint32_t first = start + 2 * (threadIdx.x % 4);
    float largest[2] = {rows.largest[0], rows.largest[1]};
#pragma unroll
    for (uint32_t n = 0; n < N; n++) {
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            uint32_t key = first + 8 * n + i % 2;
            float score = score_of(args, scores[n][i]);
            bool seen = !masks || (key < tile.end_key && sees(args, rows.position[i / 2], key));
            scores[n][i] = seen ? score : UNSEEN;
            largest[i / 2] = fmaxf(largest[i / 2], scores[n][i]);
        }
    }
#pragma unroll
    for (uint32_t i = 0; i < 2; i++) {
        // The four threads of a row.
        largest[i] = fmaxf(largest[i], __shfl_xor_sync(0xffffffffu, largest[i], 1));
        largest[i] = fmaxf(largest[i], __shfl_xor_sync(0xffffffffu, largest[i], 2));
        rows.decays[i] = exp2f(rows.largest[i] - largest[i]);
        rows.largest[i] = largest[i];
        rows.sums[i] *= rows.decays[i];
    }
#pragma unroll
    for (uint32_t n = 0; n < N; n++) {
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            float score = scores[n][i];
            float weight = score == UNSEEN ? 0.0f : exp2f(score - rows.largest[i / 2]);
            rows.sums[i / 2] += weight;
            scores[n][i] = weight;
        }
    }
}

// `out = decays * out + weights * values` of G groups of rows and 8 N keys.
template <uint32_t D, uint32_t G, uint32_t N>
__device__ inline void add_values(const float (&weights)[G][N][4], const RowSums (&rows)[G],
                                  const uint16_t* values, float (&out)[G][D / 8][4]) {
    uint32_t lane = threadIdx.x % WARP;
    const uint16_t* value_row = values + lane % 16 * STRIDE<D> + lane / 16 * 8;
#pragma unroll
    for (uint32_t group = 0; group < G; group++) {
#pragma unroll
        for (uint32_t i = 0; i < D / 2; i++) {
            out[group][i / 4][i % 4] *= rows[group].decays[i % 4 / 2];
        }
    }
#pragma unroll
    for (uint32_t n = 0; n < N; n += 2) {
        uint32_t p[G][4];
#pragma unroll
        for (uint32_t group = 0; group < G; group++) {
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) {
                const float* pair = weights[group][n + i / 2] + i % 2 * 2;
                p[group][i] = pack_bf16(pair[0], pair[1]);
            }
        }
#pragma unroll
        for (uint32_t col = 0; col < D; col += 16) {
            uint32_t v[4];
            load_transposed(v, value_row + n * 8 * STRIDE<D> + col);
#pragma unroll
            for (uint32_t group = 0; group < G; group++) {
                multiply_bf16(out[group][col / 8], p[group], v[0], v[1]);
                multiply_bf16(out[group][col / 8 + 1], p[group], v[2], v[3]);
            }
        }
    }
}

// Rows of a warp's fragments before the first key, from row `first` of the tile on.
__device__ inline RowSums begin_rows(const AttentionTile& tile, const HeadRange& heads, uint32_t first) {
    RowSums rows = {};
    for (uint32_t i = 0; i < 2; i++) {
        rows.position[i] = tile.position + (first + threadIdx.x % WARP / 4 + 8 * i) / heads.count;
        rows.largest[i] = UNSEEN;
    }
    return rows;
}

// After the last key: a row's sum is that of its four threads.
__device__ inline void end_rows(RowSums& rows) {
    for (uint32_t i = 0; i < 2; i++) {
        rows.sums[i] += __shfl_xor_sync(0xffffffffu, rows.sums[i], 1);
        rows.sums[i] += __shfl_xor_sync(0xffffffffu, rows.sums[i], 2);
    }
}

// Whether some row of the tile does not see some of the keys before `end`.
__device__ inline bool has_unseen(const AttentionArguments& args, const AttentionTile& tile, uint32_t end) {
    return args.window != 0 || end > tile.position + 1;
}

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
            to.values[col] = value * to.factor;
        }
    }
}

// Up to 16 rows: each warp streams every fourth 16 keys through two buffers of its own and waits for
// nobody. Shared memory: `[16 + 4 * MMA_WARPS * WARP_KEYS, STRIDE]` of 16 bits.
template <uint32_t D>
__device__ __forceinline__ void attend_few(const AttentionArguments& args, unsigned char* memory) {
    const AttentionTile tile = args.tiles[blockIdx.x];
    if (tile.num_tokens == 0) {
        return;
    }
    constexpr uint32_t PANEL = WARP_KEYS * STRIDE<D>;
    const HeadRange heads = head_range(args);
    uint16_t* queries = reinterpret_cast<uint16_t*>(memory);
    uint16_t* staged = queries + GROUP_ROWS * STRIDE<D>;
    uint16_t* panels = staged + threadIdx.x / WARP * 4 * PANEL;
    uint32_t start = tile.first_key / BLOCK_KEYS * BLOCK_KEYS + threadIdx.x / WARP * WARP_KEYS;
    auto copy = [&](uint32_t slot, uint32_t buffer) {
        uint16_t* to = panels + buffer * 2 * PANEL;
        copy_keys<D>(args, args.kv.keys, heads.kv_head, slot, to);
        copy_keys<D>(args, args.kv.values, heads.kv_head, slot, to + PANEL);
        commit_copies();
    };
    copy(warp_slot(args, tile, start), 0);
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
        const uint16_t* keys = panels + buffer * 2 * PANEL;
        float scores[1][2][4] = {};
        multiply_keys<D, 1, 2>(scores, queries, keys);
        weigh<2>(args, tile, start, has_unseen(args, tile, start + WARP_KEYS), scores[0], rows[0]);
        add_values<D, 1, 2>(scores, rows, keys + PANEL, out);
        __syncwarp();
    }
    wait_copies<0>();
    end_rows(rows[0]);
    // The buffers of all warps become room for what they have found.
    __syncthreads();
    store_few<D>(args, tile, heads, rows[0], out[0], reinterpret_cast<unsigned char*>(staged));
    merge_if_last(args, tile, heads);
}

// 64 G rows: each warp takes 16 G of them over all keys, which the block copies while it computes, the
// values of 64 keys during their scores and the next keys after them. Shared memory:
// `[64 * G + 2 * BLOCK_KEYS, STRIDE]` of 16 bits.
template <uint32_t D, uint32_t G>
__device__ __forceinline__ void attend_many(const AttentionArguments& args, unsigned char* memory) {
    const AttentionTile tile = args.tiles[blockIdx.x];
    if (tile.num_tokens == 0) {
        return;
    }
    constexpr uint32_t ROWS = MMA_WARPS * GROUP_ROWS * G, N = BLOCK_KEYS / 8;
    const HeadRange heads = head_range(args);
    uint32_t warp = threadIdx.x / WARP;
    uint16_t* queries = reinterpret_cast<uint16_t*>(memory);
    uint16_t* keys = queries + ROWS * STRIDE<D>;
    uint16_t* values = keys + BLOCK_KEYS * STRIDE<D>;
    uint32_t panel = warp * WARP_KEYS * STRIDE<D>, first_row = warp * GROUP_ROWS * G;
    uint32_t start = tile.first_key / BLOCK_KEYS * BLOCK_KEYS;
    uint32_t slot = warp_slot(args, tile, start + warp * WARP_KEYS);
    copy_keys<D>(args, args.kv.keys, heads.kv_head, slot, keys + panel);
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
        wait_copies<0>();
        __syncthreads();
        copy_keys<D>(args, args.kv.values, heads.kv_head, slot, values + panel);
        commit_copies();
        float scores[G][N][4] = {};
        multiply_keys<D, G, N>(scores, queries + first_row * STRIDE<D>, keys);
        wait_copies<0>();
        __syncthreads();
        slot = next_slot;
        if (next < tile.end_key) {
            copy_keys<D>(args, args.kv.keys, heads.kv_head, slot, keys + panel);
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
                float2 pair = {out[group][n][2 * i] * to.factor, out[group][n][2 * i + 1] * to.factor};
                *reinterpret_cast<float2*>(to.values + 8 * n + 2 * t) = pair;
            }
        }
    }
    merge_if_last(args, tile, heads);
}

// Kernels of one head size, so that each has the registers that it needs.
#define ATTENTION_BF16(head_dim, groups)                     \
    KERNEL(attention_few_##head_dim, AttentionArguments) {   \
        DYNAMIC_SHARED(memory);                              \
        attend_few<head_dim>(args, memory);                  \
    }                                                        \
    KERNEL(attention_many_##head_dim, AttentionArguments) {  \
        DYNAMIC_SHARED(memory);                              \
        attend_many<head_dim, groups>(args, memory);         \
    }

ATTENTION_BF16(64, 2)
ATTENTION_BF16(96, 2)
ATTENTION_BF16(128, 2)
ATTENTION_BF16(256, 1)
