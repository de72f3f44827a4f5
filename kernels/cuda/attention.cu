// Causal attention through the block table, with an online softmax (Milakov and Gimelshein, "Online
// normalizer calculation for softmax", 2018).
//
// A block takes a tile: up to TILE_ROWS rows of one sequence and KV head, a row being a token and a
// query head of the head's group, so that keys and values are read once for the whole group. Long
// contexts of few tokens are divided into spans of keys, whose partial results `merge_spans` joins.
#include "kv.cuh"

constexpr uint32_t TILE_ROWS = 16;
// Keys that are staged together: one per lane.
constexpr uint32_t TILE_KEYS = WARP;
constexpr uint32_t ATTENTION_WARPS = 4;
constexpr uint32_t ROWS_PER_WARP = TILE_ROWS / ATTENTION_WARPS;
// Elements of the largest head, and what of it a thread accumulates.
constexpr uint32_t MAX_HEAD_DIM = 512;
constexpr uint32_t COLS_PER_THREAD = MAX_HEAD_DIM / (ATTENTION_WARPS * WARP);
// The score of a key that is not seen: finite, so that a difference of two is a number.
constexpr float UNSEEN = -3.0e38f;

// What the host has planned, `attention.rs`.
struct AttentionTile {
    uint32_t first_row;    // of the step
    uint32_t num_tokens;
    uint32_t position;     // of the first token
    uint32_t block_table;  // where the sequence's blocks begin
    uint32_t first_key;
    uint32_t end_key;
    uint32_t partial;      // index of the tile's partial result, or NO_PARTIAL
};
constexpr uint32_t NO_PARTIAL = 0xffffffffu;

struct AttentionArguments {
    const float* qkv;             // [_, row_size]
    const AttentionTile* tiles;   // [gridDim.x]
    const uint32_t* block_tables;
    const float* sinks;           // [num_q_heads] or null
    float* out;                   // [_, num_q_heads * head_dim]
    float* partial_values;        // [_, gridDim.y, TILE_ROWS, head_dim]
    float* partial_sums;          // [_, gridDim.y, TILE_ROWS, 2]: largest score, sum of weights
    KvLayer kv;
    uint32_t num_q_heads;
    uint32_t heads_per_tile;      // query heads of one group that share a tile
    uint32_t window;              // 0 sees all
    float scale;
    float soft_cap;               // 0 has none
};

// Which query heads a block along y takes.
struct HeadRange {
    uint32_t kv_head, first, count;
};

__device__ inline HeadRange head_range(const AttentionArguments& args) {
    uint32_t group = args.num_q_heads / args.kv.num_kv_heads;
    uint32_t parts = (group + args.heads_per_tile - 1) / args.heads_per_tile;
    uint32_t kv_head = blockIdx.y / parts, part = blockIdx.y % parts;
    uint32_t first = part * args.heads_per_tile;
    return {kv_head, kv_head * group + first, min(args.heads_per_tile, group - first)};
}

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
            uint32_t block = args.block_tables[tile.block_table + position / kv.block_size];
            uint64_t slot = static_cast<uint64_t>(block) * kv.block_size + position % kv.block_size;
            value = read_element(from, scales, kv, slot * kv.num_kv_heads + kv_head, col);
        }
        to[key * (kv.head_dim + 1) + col] = value;
    }
}

// The query row of the tile's row `row`.
__device__ inline const float* query(const AttentionArguments& args, const AttentionTile& tile,
                                     const HeadRange& heads, uint32_t row) {
    uint64_t row_size =
        static_cast<uint64_t>(args.num_q_heads + 2 * args.kv.num_kv_heads) * args.kv.head_dim;
    uint32_t head = heads.first + row % heads.count;
    return args.qkv + (tile.first_row + row / heads.count) * row_size + head * args.kv.head_dim;
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
        bool seen = key <= position && key < tile.end_key;
        seen = seen && (args.window == 0 || key + args.window > position);
        float score = scores[i] * args.scale;
        if (args.soft_cap > 0.0f) {
            score = args.soft_cap * tanhf(score / args.soft_cap);
        }
        score = seen ? score : UNSEEN;
        float new_largest = fmaxf(largest[i], warp_max(score));
        float weight = seen ? expf(score - new_largest) : 0.0f;
        float decay = expf(largest[i] - new_largest);
        sums[i] = sums[i] * decay + warp_sum(weight);
        largest[i] = new_largest;
        weights[first + i][lane] = weight;
        if (lane == 0) {
            decays[first + i] = decay;
        }
    }
}

// Where a row's result goes; a sink is a key without a value.
__device__ inline float row_factor(const AttentionArguments& args, uint32_t head, float largest,
                                   float sum) {
    if (args.sinks == nullptr) {
        return 1.0f / sum;
    }
    float sink = args.sinks[head];
    float new_largest = fmaxf(largest, sink);
    float decay = expf(largest - new_largest);
    return decay / (sum * decay + expf(sink - new_largest));
}

__device__ inline void store_rows(const AttentionArguments& args, const AttentionTile& tile,
                                  const HeadRange& heads, const float (*totals)[2],
                                  const float (*values)[COLS_PER_THREAD]) {
    uint32_t head_dim = args.kv.head_dim, num_rows = tile.num_tokens * heads.count;
    uint64_t partial = (static_cast<uint64_t>(tile.partial) * gridDim.y + blockIdx.y) * TILE_ROWS;
    for (uint32_t row = 0; row < TILE_ROWS; row++) {
        if (row >= num_rows) {
            break;
        }
        uint32_t head = heads.first + row % heads.count;
        uint64_t token = tile.first_row + row / heads.count;
        bool is_partial = tile.partial != NO_PARTIAL;
        float factor = is_partial ? 1.0f : row_factor(args, head, totals[row][0], totals[row][1]);
        float* to = is_partial ? args.partial_values + (partial + row) * head_dim
                               : args.out + (token * args.num_q_heads + head) * head_dim;
#pragma unroll
        for (uint32_t i = 0; i < COLS_PER_THREAD; i++) {
            uint32_t col = threadIdx.x + i * ATTENTION_WARPS * WARP;
            if (col < head_dim) {
                to[col] = values[row][i] * factor;
            }
        }
        if (is_partial && threadIdx.x < 2) {
            args.partial_sums[(partial + row) * 2 + threadIdx.x] = totals[row][threadIdx.x];
        }
    }
}

KERNEL(attention, AttentionArguments) {
    DYNAMIC_SHARED(memory);
    __shared__ float weights[TILE_ROWS][TILE_KEYS];
    __shared__ float decays[TILE_ROWS];
    __shared__ float totals[TILE_ROWS][2];
    uint32_t head_dim = args.kv.head_dim;
    float* queries = reinterpret_cast<float*>(memory);  // [TILE_ROWS, head_dim]
    float* staged = queries + TILE_ROWS * head_dim;     // [TILE_KEYS, head_dim + 1]
    const AttentionTile tile = args.tiles[blockIdx.x];
    const HeadRange heads = head_range(args);
    uint32_t num_rows = tile.num_tokens * heads.count;
    for (uint32_t i = threadIdx.x; i < TILE_ROWS * head_dim; i += blockDim.x) {
        uint32_t row = i / head_dim;
        queries[i] = row < num_rows ? query(args, tile, heads, row)[i % head_dim] : 0.0f;
    }
    float largest[ROWS_PER_WARP], sums[ROWS_PER_WARP] = {};
    for (uint32_t i = 0; i < ROWS_PER_WARP; i++) {
        largest[i] = UNSEEN;
    }
    float values[TILE_ROWS][COLS_PER_THREAD] = {};
    uint32_t lane = threadIdx.x % WARP;
    // Keys are cut at absolute positions.
    for (uint32_t start = tile.first_key / TILE_KEYS * TILE_KEYS; start < tile.end_key;
         start += TILE_KEYS) {
        __syncthreads();
        stage(args, tile, args.kv.keys, args.kv.key_scales, heads.kv_head, start, staged);
        __syncthreads();
        softmax_rows(args, tile, heads, start + lane, queries, staged + lane * (head_dim + 1),
                     largest, sums, weights, decays);
        __syncthreads();
        stage(args, tile, args.kv.values, args.kv.value_scales, heads.kv_head, start, staged);
        __syncthreads();
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
    if (lane < ROWS_PER_WARP) {
        uint32_t first = threadIdx.x / WARP * ROWS_PER_WARP;
#pragma unroll
        for (uint32_t i = 0; i < ROWS_PER_WARP; i++) {
            if (i == lane) {
                totals[first + i][0] = largest[i];
                totals[first + i][1] = sums[i];
            }
        }
    }
    __syncthreads();
    store_rows(args, tile, heads, totals, values);
}

struct MergeArguments {
    AttentionArguments attention;
    const uint32_t* spans;  // [gridDim.x, 4]: first row, tokens, first partial result, how many
};

// Joins the partial results of one tile's spans, in ascending order. One block per tile, and per part
// of a group along y.
KERNEL(merge_spans, MergeArguments) {
    const AttentionArguments& attention = args.attention;
    const uint32_t* span = args.spans + blockIdx.x * 4;
    uint32_t first_row = span[0], num_tokens = span[1], partial = span[2], count = span[3];
    HeadRange heads = head_range(attention);
    uint32_t head_dim = attention.kv.head_dim;
    for (uint32_t row = 0; row < num_tokens * heads.count; row++) {
        float largest = UNSEEN;
        for (uint32_t i = 0; i < count; i++) {
            uint64_t at = (static_cast<uint64_t>(partial + i) * gridDim.y + blockIdx.y) * TILE_ROWS + row;
            largest = fmaxf(largest, attention.partial_sums[at * 2]);
        }
        uint32_t head = heads.first + row % heads.count;
        uint64_t token = first_row + row / heads.count;
        float* out = attention.out + (token * attention.num_q_heads + head) * head_dim;
        for (uint32_t col = threadIdx.x; col < head_dim; col += blockDim.x) {
            float sum = 0.0f, value = 0.0f;
            for (uint32_t i = 0; i < count; i++) {
                uint64_t at = (static_cast<uint64_t>(partial + i) * gridDim.y + blockIdx.y) * TILE_ROWS + row;
                float factor = expf(attention.partial_sums[at * 2] - largest);
                sum += attention.partial_sums[at * 2 + 1] * factor;
                value += attention.partial_values[at * head_dim + col] * factor;
            }
            out[col] = value * row_factor(attention, head, largest, sum);
        }
    }
}
