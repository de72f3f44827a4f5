// Attention in f32 over keys and values of any type, for heads of any size: what the tensor cores'
// kernels do not take.
#include "attention.cuh"

constexpr uint32_t TILE_ROWS = 16;
// Keys that are staged together: one per lane.
constexpr uint32_t TILE_KEYS = WARP;
constexpr uint32_t ATTENTION_WARPS = 4;
constexpr uint32_t ROWS_PER_WARP = TILE_ROWS / ATTENTION_WARPS;
// Elements of the largest head, and what of it a thread accumulates.
constexpr uint32_t MAX_HEAD_DIM = 512;
constexpr uint32_t COLS_PER_THREAD = MAX_HEAD_DIM / (ATTENTION_WARPS * WARP);

// Keys or values of a tile to shared memory, zeros where there are none: `[TILE_KEYS, head_dim + 1]`,
// so that a column of keys lies in different banks.
__device__ inline void stage(const AttentionArguments& args, const AttentionTile& tile,
                             const uint8_t* from, const float* scales, uint32_t kv_head,
                             uint32_t start, float* to) {
    const KvLayer& kv = args.kv;
    for (uint32_t i = threadIdx.x; i < TILE_KEYS * kv.head_dim; i += blockDim.x) {
        uint32_t key = i / kv.head_dim, col = i % kv.head_dim, position = start + key;
        float value = 0.0f;
        if (position >= tile.first_key && position < tile.end_key) {
            uint64_t slot = slot_of(args, tile, position);
            value = read_element(from, scales, kv, slot * kv.num_kv_heads + kv_head, col);
        }
        to[key * (kv.head_dim + 1) + col] = value;
    }
}

// The warp's rows against the lane's key: leaves in `weights` what values are multiplied with, and in
// `decays` what the sums so far are.
__device__ inline void softmax_rows(const AttentionArguments& args, const AttentionTile& tile,
                                    const HeadRange& heads, uint32_t key, const float* queries,
                                    const float* key_values, float* largest, float* sums,
                                    float (*weights)[TILE_KEYS], float* decays) {
    uint32_t first = threadIdx.x / WARP * ROWS_PER_WARP, lane = threadIdx.x % WARP;
    uint32_t head_dim = args.kv.head_dim;
    float scores[ROWS_PER_WARP] = {};
    for (uint32_t col = 0; col < head_dim; col++) {
        float value = key_values[col];
#pragma unroll
        for (uint32_t i = 0; i < ROWS_PER_WARP; i++) {
            scores[i] += queries[(first + i) * head_dim + col] * value;
        }
    }
#pragma unroll
    for (uint32_t i = 0; i < ROWS_PER_WARP; i++) {
        uint32_t position = tile.position + (first + i) / heads.count;
        bool seen = key < tile.end_key && sees(args, position, key);
        float score = seen ? score_of(args, scores[i]) : UNSEEN;
        float new_largest = fmaxf(largest[i], warp_max(score));
        float weight = seen ? exp2f(score - new_largest) : 0.0f;
        float decay = exp2f(largest[i] - new_largest);
        sums[i] = sums[i] * decay + warp_sum(weight);
        largest[i] = new_largest;
        weights[first + i][lane] = weight;
        if (lane == 0) {
            decays[first + i] = decay;
        }
    }
}

__device__ inline void store_rows(const AttentionArguments& args, const AttentionTile& tile,
                                  const HeadRange& heads, const float (*totals)[2],
                                  const float (*values)[COLS_PER_THREAD]) {
    uint32_t head_dim = args.kv.head_dim, num_rows = tile.num_tokens * heads.count;
#pragma unroll
    for (uint32_t row = 0; row < TILE_ROWS; row++) {
        if (row >= num_rows) {
            continue;
        }
        RowTarget to = row_target(args, tile, heads, row, totals[row][0], totals[row][1], threadIdx.x == 0);
#pragma unroll
        for (uint32_t i = 0; i < COLS_PER_THREAD; i++) {
            uint32_t col = threadIdx.x + i * ATTENTION_WARPS * WARP;
            if (col < head_dim) {
                store(to.values, to.first + col, values[row][i] * to.factor);
            }
        }
    }
}

// Sums of the warp's rows over a span, and over all spans before it.
struct WarpRows {
    float largest[ROWS_PER_WARP], sums[ROWS_PER_WARP];
    float all_largest[ROWS_PER_WARP], all_sums[ROWS_PER_WARP];
};

// A span becomes what it and those before it have found, whose values are `before`, `[TILE_ROWS, head_dim]`, if there are any.
__device__ inline void join_spans(WarpRows& rows, float (*values)[COLS_PER_THREAD], bool any,
                                  const float* before, uint32_t head_dim) {
    __shared__ Join joins[TILE_ROWS];
#pragma unroll
    for (uint32_t i = 0; i < ROWS_PER_WARP; i++) {
        Join join = join_span(rows.all_largest[i], rows.all_sums[i], rows.largest[i], rows.sums[i]);
        rows.largest[i] = rows.all_largest[i];
        rows.sums[i] = rows.all_sums[i];
        if (threadIdx.x % WARP == 0) {
            joins[threadIdx.x / WARP * ROWS_PER_WARP + i] = join;
        }
    }
    __syncthreads();
#pragma unroll
    for (uint32_t row = 0; row < TILE_ROWS; row++) {
        Join join = joins[row];
#pragma unroll
        for (uint32_t i = 0; i < COLS_PER_THREAD; i++) {
            uint32_t col = threadIdx.x + i * ATTENTION_WARPS * WARP;
            bool inside = any && col < head_dim;
            values[row][i] = join.of(inside ? before[row * head_dim + col] : 0.0f, values[row][i]);
        }
    }
}

// Leaves the joined values as `before`; the next span begins anew.
__device__ inline void begin_span(WarpRows& rows, float (*values)[COLS_PER_THREAD], float* before,
                                  uint32_t head_dim) {
#pragma unroll
    for (uint32_t i = 0; i < ROWS_PER_WARP; i++) {
        rows.largest[i] = UNSEEN;
        rows.sums[i] = 0.0f;
    }
#pragma unroll
    for (uint32_t row = 0; row < TILE_ROWS; row++) {
#pragma unroll
        for (uint32_t i = 0; i < COLS_PER_THREAD; i++) {
            uint32_t col = threadIdx.x + i * ATTENTION_WARPS * WARP;
            if (col < head_dim) {
                before[row * head_dim + col] = values[row][i];
            }
            values[row][i] = 0.0f;
        }
    }
}

// `decays * values + weights * staged`, `[TILE_ROWS]` rows of the thread's columns.
__device__ inline void add_values(const float (*weights)[TILE_KEYS], const float* decays,
                                  const float* staged, float (*values)[COLS_PER_THREAD],
                                  uint32_t head_dim) {
#pragma unroll
    for (uint32_t row = 0; row < TILE_ROWS; row++) {
        float decay = decays[row];
#pragma unroll
        for (uint32_t i = 0; i < COLS_PER_THREAD; i++) {
            uint32_t col = threadIdx.x + i * ATTENTION_WARPS * WARP;
            if (col < head_dim) {
                float sum = values[row][i] * decay;
                for (uint32_t key = 0; key < TILE_KEYS; key++) {
                    sum += weights[row][key] * staged[key * (head_dim + 1) + col];
                }
                values[row][i] = sum;
            }
        }
    }
}

// Largest scores and sums of all warps' rows, for every thread.
__device__ inline void show_totals(const WarpRows& rows, float (*totals)[2]) {
    uint32_t first = threadIdx.x / WARP * ROWS_PER_WARP;
#pragma unroll
    for (uint32_t i = 0; i < ROWS_PER_WARP; i++) {
        if (threadIdx.x % WARP == 0) {
            totals[first + i][0] = rows.largest[i];
            totals[first + i][1] = rows.sums[i];
        }
    }
    __syncthreads();
}

template <bool FIXED>
__device__ __forceinline__ void attend_plain(const AttentionArguments& args, unsigned char* memory) {
    __shared__ float weights[TILE_ROWS][TILE_KEYS];
    __shared__ float decays[TILE_ROWS];
    __shared__ float totals[TILE_ROWS][2];
    uint32_t head_dim = args.kv.head_dim;
    float* queries = reinterpret_cast<float*>(memory);  // [TILE_ROWS, head_dim]
    float* staged = queries + TILE_ROWS * head_dim;     // [TILE_KEYS, head_dim + 1]
    // [TILE_ROWS, head_dim] where sums are fixed
    float* before = staged + TILE_KEYS * (head_dim + 1);
    const AttentionTile tile = args.tiles[blockIdx.x];
    const HeadRange heads = head_range(args);
    uint32_t num_rows = tile.num_tokens * heads.count;
    for (uint32_t i = threadIdx.x; i < TILE_ROWS * head_dim; i += blockDim.x) {
        uint32_t row = i / head_dim;
        bool inside = row < num_rows;
        queries[i] = inside ? load(args.qkv, query(args, tile, heads, row) + i % head_dim) : 0.0f;
    }
    WarpRows rows;
#pragma unroll
    for (uint32_t i = 0; i < ROWS_PER_WARP; i++) {
        rows.largest[i] = rows.all_largest[i] = UNSEEN;
        rows.sums[i] = rows.all_sums[i] = 0.0f;
    }
    float values[TILE_ROWS][COLS_PER_THREAD] = {};
    bool any = false;
    // Keys are cut at absolute positions.
    for (uint32_t start = tile.first_key / TILE_KEYS * TILE_KEYS; start < tile.end_key;
         start += TILE_KEYS) {
        __syncthreads();
        stage(args, tile, args.kv.keys, args.kv.key_scales, heads.kv_head, start, staged);
        __syncthreads();
        softmax_rows(args, tile, heads, start + threadIdx.x % WARP, queries,
                     staged + threadIdx.x % WARP * (head_dim + 1), rows.largest, rows.sums, weights, decays);
        __syncthreads();
        stage(args, tile, args.kv.values, args.kv.value_scales, heads.kv_head, start, staged);
        __syncthreads();
        add_values(weights, decays, staged, values, head_dim);
        uint32_t next = start + TILE_KEYS;
        if (FIXED && next % FIXED_SPAN == 0 && next < tile.end_key) {
            join_spans(rows, values, any, before, head_dim);
            begin_span(rows, values, before, head_dim);
            any = true;
        }
    }
    if (FIXED && tile.num_partials == 0) {
        join_spans(rows, values, any, before, head_dim);
    }
    show_totals(rows, totals);
    store_rows(args, tile, heads, totals, values);
    merge_if_last<FIXED>(args, tile, heads);
}

KERNEL(attention_plain, AttentionArguments) {
    DYNAMIC_SHARED(memory);
    attend_plain<false>(args, memory);
}

KERNEL(attention_fixed_plain, AttentionArguments) {
    DYNAMIC_SHARED(memory);
    attend_plain<true>(args, memory);
}
