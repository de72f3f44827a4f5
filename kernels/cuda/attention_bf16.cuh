// What the kernels of attention by tensor cores share: fragments of queries, keys and values in
// bfloat16, which keys and values in fp8 become in shared memory, and the softmax between their
// products, whose weights are rounded to bfloat16; sums are f32.
//
// The scores' fragments become the weights' fragments without a move (Dao, "FlashAttention-2", 2023).
//
// Sums and products are rounded one by one where a compiler could join them in one kernel and not in
// another: a row's bits may have to be those of another kernel.
#pragma once

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

// Of a row of keys or values in the cache's type, as it is copied from there. Rows of fp8 are read in
// their order, which needs no distance between them.
template <uint32_t DTYPE, uint32_t D>
constexpr uint32_t ROW_BYTES = DTYPE == KV_FP8 ? D : 2 * STRIDE<D>;

// Softmax of 16 rows; the thread's are g and g + 8.
struct RowSums {
    uint32_t position[2];
    float largest[2];
    float sums[2];  // of the thread's keys
    float decays[2];
};

// The first `count` rows of the tile as `[count, STRIDE]`; zeros where there are none.
template <uint32_t D>
__device__ inline void stage_queries(const AttentionArguments& args, const AttentionTile& tile,
                                     const HeadRange& heads, uint32_t count, uint16_t* to) {
    constexpr uint32_t PAIRS = D / 2;
    uint32_t num_rows = tile.num_tokens * heads.count;
    for (uint32_t i = threadIdx.x; i < count * PAIRS; i += blockDim.x) {
        uint32_t row = i / PAIRS, col = i % PAIRS * 2;
        bool inside = row < num_rows;
        uint32_t pair = inside ? load_pair(args.qkv, query(args, tile, heads, row) + col) : 0;
        *reinterpret_cast<uint32_t*>(to + row * STRIDE<D> + col) = pair;
    }
}

// Where the warp's keys from `start` on lie: that of key `lane % WARP_KEYS`.
__device__ inline uint32_t warp_slot(const AttentionArguments& args, const AttentionTile& tile,
                                     uint32_t start) {
    uint32_t key = start + threadIdx.x % WARP_KEYS;
    bool inside = key >= tile.first_key && key < tile.end_key;
    return inside ? slot_of(args, tile, key) : NO_SLOT;
}

// Begins to copy the warp's keys or values to `[WARP_KEYS, ROW_BYTES]`; zeros where there are none.
template <uint32_t DTYPE, uint32_t D>
__device__ inline void copy_keys(const AttentionArguments& args, const uint8_t* from, uint32_t kv_head,
                                 uint32_t slot, unsigned char* to) {
    constexpr uint32_t BYTES = DTYPE == KV_FP8 ? D : 2 * D;
    constexpr uint32_t PIECES = BYTES / 16;
    uint32_t lane = threadIdx.x % WARP;
#pragma unroll
    for (uint32_t first = 0; first < WARP_KEYS * PIECES; first += WARP) {
        uint32_t key = (first + lane) / PIECES, piece = (first + lane) % PIECES;
        uint32_t of_key = __shfl_sync(0xffffffffu, slot, key);
        bool inside = of_key != NO_SLOT;
        uint64_t row = static_cast<uint64_t>(inside ? of_key : 0) * args.kv.num_kv_heads + kv_head;
        copy_async(to + key * ROW_BYTES<DTYPE, D> + 16 * piece, from + row * BYTES + 16 * piece, inside);
    }
}

// The warp's keys or values that were copied in fp8 as `[WARP_KEYS, STRIDE]`. Copies of other lanes have
// to be seen before, and who reads others' elements waits for them.
template <uint32_t D>
__device__ inline void widen_keys(const unsigned char* from, uint16_t* to) {
    constexpr uint32_t PIECES = D / 8;  // of 8 elements
#pragma unroll
    for (uint32_t first = 0; first < WARP_KEYS * PIECES; first += WARP) {
        uint32_t index = first + threadIdx.x % WARP, key = index / PIECES, piece = index % PIECES;
        uint2 eight = *reinterpret_cast<const uint2*>(from + 8 * index);
        *reinterpret_cast<uint4*>(to + key * STRIDE<D> + 8 * piece) =
            uint4{widen_e4m3(eight.x), widen_e4m3(eight.x >> 16), widen_e4m3(eight.y),
                  widen_e4m3(eight.y >> 16)};
    }
}

// Keys and values of all warps in shared memory: `[2, BLOCK_KEYS, ROW_BYTES]` as they arrive, and
// `[BLOCK_KEYS, STRIDE]` of 16 bits for either in turn where they are widened.
template <uint32_t DTYPE, uint32_t D>
struct BlockKeys {
    unsigned char* keys;
    unsigned char* values;
    uint16_t* wide;
    unsigned char* end;

    __device__ inline explicit BlockKeys(unsigned char* memory)
        : keys(memory),
          values(memory + BLOCK_KEYS * ROW_BYTES<DTYPE, D>),
          wide(reinterpret_cast<uint16_t*>(memory + 2 * BLOCK_KEYS * ROW_BYTES<DTYPE, D>)),
          end(memory + 2 * BLOCK_KEYS * ROW_BYTES<DTYPE, D> +
              (DTYPE == KV_FP8 ? BLOCK_KEYS * ROW_BYTES<KV_BF16, D> : 0)) {}

    // Begins to copy the warp's share, of `slot`s, to the keys or the values.
    __device__ inline void copy(const AttentionArguments& args, const uint8_t* from, uint32_t kv_head,
                                uint32_t slot, unsigned char* to) const {
        uint32_t first = threadIdx.x / WARP * WARP_KEYS;
        copy_keys<DTYPE, D>(args, from, kv_head, slot, to + first * ROW_BYTES<DTYPE, D>);
    }

    // Waits for all copies of all warps, and until they are done with what they read; `arrived`, the keys
    // or the values, in bfloat16.
    __device__ inline const uint16_t* await(const unsigned char* arrived) const {
        wait_copies<0>();
        __syncthreads();
        if constexpr (DTYPE == KV_FP8) {
            uint32_t first = threadIdx.x / WARP * WARP_KEYS;
            widen_keys<D>(arrived + first * ROW_BYTES<DTYPE, D>, wide + first * STRIDE<D>);
            __syncthreads();
            return wide;
        } else {
            return reinterpret_cast<const uint16_t*>(arrived);
        }
    }
};

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
        rows.sums[i] = __fmul_rn(rows.sums[i], rows.decays[i]);
    }
#pragma unroll
    for (uint32_t n = 0; n < N; n++) {
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            float score = scores[n][i];
            float weight = score == UNSEEN ? 0.0f : exp2f(score - rows.largest[i / 2]);
            rows.sums[i / 2] = __fadd_rn(rows.sums[i / 2], weight);
            scores[n][i] = weight;
        }
    }
}

// `out = decays * out + weights * values` of G groups of rows, 8 N keys and C columns.
template <uint32_t D, uint32_t G, uint32_t N, uint32_t C = D>
__device__ inline void add_values(const float (&weights)[G][N][4], const RowSums (&rows)[G],
                                  const uint16_t* values, float (&out)[G][C / 8][4]) {
    uint32_t lane = threadIdx.x % WARP;
    const uint16_t* value_row = values + lane % 16 * STRIDE<D> + lane / 16 * 8;
#pragma unroll
    for (uint32_t group = 0; group < G; group++) {
#pragma unroll
        for (uint32_t i = 0; i < C / 2; i++) {
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
        for (uint32_t col = 0; col < C; col += 16) {
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
