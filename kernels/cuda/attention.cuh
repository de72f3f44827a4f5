// What the attention kernels share: tiles, which rows they are, and how the results of divided tiles
// are joined.
//
// A block takes a tile: rows of one sequence and KV head, a row being a token and a query head of the
// head's group, so that keys and values are read once for the whole group. Tiles of long contexts are
// divided into spans of keys, and the last block of a divided tile joins their partial results, always
// in the same order. Softmax is online (Milakov and Gimelshein, "Online normalizer calculation for
// softmax", 2018); scores are logarithms to base 2.
//
// Where a row's bits may not depend on the step, sums are fixed: keys are divided at multiples of
// FIXED_SPAN, a span's softmax begins anew, and spans are joined one by one in their order, by the block
// that takes them all or by the last of the blocks that take one each. What a row does not see adds
// zeros, which change nothing; so a row has the same bits in a tile of any rows.
#pragma once

#include "kv.cuh"
#include "values.cuh"

// The score of a key that is not seen: finite, so that a difference of two is a number.
constexpr float UNSEEN = -3.0e38f;
constexpr float LOG2_E = 1.4426950408889634f;
// Keys of a span of fixed sums.
constexpr uint32_t FIXED_SPAN = 512;

// What the host has planned, `attention.rs`.
struct AttentionTile {
    uint32_t first_row;      // of the step
    uint32_t num_tokens;
    uint32_t position;       // of the first token
    uint32_t block_table;    // where the sequence's blocks begin
    uint32_t first_key;
    uint32_t end_key;
    uint32_t partial;        // index of the span's partial result
    uint32_t first_partial;  // of the divided tile
    uint32_t num_partials;   // 0 if the tile is whole
    uint32_t counter;        // index of the divided tile
};

struct AttentionArguments {
    Values qkv;                   // [_, row_size]
    Values out;                   // [_, num_q_heads * head_dim]
    const AttentionTile* tiles;   // [gridDim.x]
    const uint32_t* block_tables;
    const float* sinks;           // [num_q_heads] or null
    float* partial_values;        // [_, gridDim.y, tile_rows, head_dim]
    float* partial_sums;          // [_, gridDim.y, tile_rows, 2]: largest score, sum of weights
    uint32_t* counters;           // [_, gridDim.y]: spans that are done; zero between launches
    KvLayer kv;
    uint32_t num_q_heads;
    uint32_t tile_rows;
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

// Where the query of the tile's row `row` begins.
__device__ inline uint64_t query(const AttentionArguments& args, const AttentionTile& tile,
                                 const HeadRange& heads, uint32_t row) {
    uint64_t row_size =
        static_cast<uint64_t>(args.num_q_heads + 2 * args.kv.num_kv_heads) * args.kv.head_dim;
    uint32_t head = heads.first + row % heads.count;
    return (tile.first_row + row / heads.count) * row_size + head * args.kv.head_dim;
}

// Where a key of the tile's sequence lies.
__device__ inline uint32_t slot_of(const AttentionArguments& args, const AttentionTile& tile,
                                   uint32_t key) {
    uint32_t block = args.block_tables[tile.block_table + key / args.kv.block_size];
    return block * args.kv.block_size + key % args.kv.block_size;
}

// The score of a product of a query and a key. Not fused with the difference that follows: a score is
// the same whatever else the kernel does with it.
__device__ inline float score_of(const AttentionArguments& args, float product) {
    float cap = args.soft_cap;
    return cap > 0.0f ? __fmul_rn(cap * tanhf(product * args.scale / cap), LOG2_E)
                      : __fmul_rn(product, args.scale * LOG2_E);
}

// Whether the row at `position` sees `key`.
__device__ inline bool sees(const AttentionArguments& args, uint32_t position, uint32_t key) {
    return key <= position && (args.window == 0 || key + args.window > position);
}

// What a row's values are multiplied with at last; a sink is a key without a value.
__device__ inline float row_factor(const AttentionArguments& args, uint32_t head, float largest,
                                   float sum) {
    if (args.sinks == nullptr) {
        return 1.0f / sum;
    }
    float sink = args.sinks[head] * LOG2_E;
    float new_largest = fmaxf(largest, sink);
    float decay = exp2f(largest - new_largest);
    return decay / (sum * decay + exp2f(sink - new_largest));
}

// Where a row of a tile leaves its values, and what they are multiplied with.
struct RowTarget {
    Values values;
    uint64_t first;
    float factor;
};

// Where the row's output begins.
__device__ inline uint64_t output(const AttentionArguments& args, const AttentionTile& tile,
                                  const HeadRange& heads, uint32_t row) {
    uint64_t token = tile.first_row + row / heads.count;
    uint32_t head = heads.first + row % heads.count;
    return (token * args.num_q_heads + head) * args.kv.head_dim;
}

// Index of a row of a partial result.
__device__ inline uint64_t partial_row(const AttentionArguments& args, uint32_t partial, uint32_t row) {
    return (static_cast<uint64_t>(partial) * gridDim.y + blockIdx.y) * args.tile_rows + row;
}

// The row's output, or its place in the span's partial result, whose sums `writes_sums` stores.
__device__ inline RowTarget row_target(const AttentionArguments& args, const AttentionTile& tile,
                                       const HeadRange& heads, uint32_t row, float largest, float sum,
                                       bool writes_sums) {
    if (tile.num_partials == 0) {
        float factor = row_factor(args, heads.first + row % heads.count, largest, sum);
        return {args.out, output(args, tile, heads, row), factor};
    }
    uint64_t at = partial_row(args, tile.partial, row);
    if (writes_sums) {
        args.partial_sums[2 * at] = largest;
        args.partial_sums[2 * at + 1] = sum;
    }
    Values partial = {reinterpret_cast<uint8_t*>(args.partial_values), ACTIVATION_F32};
    return {partial, at * args.kv.head_dim, 1.0f};
}

// One warp joins the partial results of a row.
__device__ inline void merge_row(const AttentionArguments& args, const AttentionTile& tile,
                                 const HeadRange& heads, uint32_t row) {
    uint32_t lane = threadIdx.x % WARP, head_dim = args.kv.head_dim;
    float largest = UNSEEN;
    for (uint32_t i = lane; i < tile.num_partials; i += WARP) {
        uint64_t at = partial_row(args, tile.first_partial + i, row);
        largest = fmaxf(largest, load_fresh(args.partial_sums + 2 * at));
    }
    largest = warp_max(largest);
    float sum = 0.0f;
    for (uint32_t i = lane; i < tile.num_partials; i += WARP) {
        const float* sums = args.partial_sums + 2 * partial_row(args, tile.first_partial + i, row);
        sum += load_fresh(sums + 1) * exp2f(load_fresh(sums) - largest);
    }
    sum = warp_sum(sum);
    float factor = row_factor(args, heads.first + row % heads.count, largest, sum);
    uint64_t out = output(args, tile, heads, row);
    // Four loads of each of four partial results are under way at once.
    constexpr uint32_t COLS = 4;
    for (uint32_t first = lane; first < head_dim; first += COLS * WARP) {
        float values[COLS] = {};
#pragma unroll 4
        for (uint32_t i = 0; i < tile.num_partials; i++) {
            uint64_t at = partial_row(args, tile.first_partial + i, row);
            float decay = exp2f(load_fresh(args.partial_sums + 2 * at) - largest);
#pragma unroll
            for (uint32_t c = 0; c < COLS; c++) {
                uint32_t col = first + c * WARP;
                float value = col < head_dim ? load_fresh(args.partial_values + at * head_dim + col) : 0.0f;
                values[c] += value * decay;
            }
        }
#pragma unroll
        for (uint32_t c = 0; c < COLS; c++) {
            if (first + c * WARP < head_dim) {
                store(args.out, out + first + c * WARP, values[c] * factor);
            }
        }
    }
}

// What two parts of a row's keys are multiplied with where they are joined.
struct Join {
    float first, second;

    // Not fused: the same on every way to a row.
    __device__ inline float of(float a, float b) const {
        return __fadd_rn(__fmul_rn(a, first), __fmul_rn(b, second));
    }
};

// Of the keys so far and the next span, whose score and sum become those of both. A span that the row
// does not see changes nothing, not a bit.
__device__ inline Join join_span(float& largest, float& sum, float of_span, float sum_of_span) {
    float both = fmaxf(largest, of_span);
    Join join = {exp2f(largest - both), exp2f(of_span - both)};
    largest = both;
    sum = join.of(sum, sum_of_span);
    return join;
}

// As `merge_row`, span by span.
__device__ inline void join_row(const AttentionArguments& args, const AttentionTile& tile,
                                const HeadRange& heads, uint32_t row) {
    uint32_t lane = threadIdx.x % WARP, head_dim = args.kv.head_dim;
    constexpr uint32_t COLS = 4;
    for (uint32_t first = lane; first < head_dim; first += COLS * WARP) {
        float largest = UNSEEN, sum = 0.0f, values[COLS] = {};
#pragma unroll 4
        for (uint32_t i = 0; i < tile.num_partials; i++) {
            uint64_t at = partial_row(args, tile.first_partial + i, row);
            const float* sums = args.partial_sums + 2 * at;
            Join join = join_span(largest, sum, load_fresh(sums), load_fresh(sums + 1));
#pragma unroll
            for (uint32_t c = 0; c < COLS; c++) {
                uint32_t col = first + c * WARP;
                float value = col < head_dim ? load_fresh(args.partial_values + at * head_dim + col) : 0.0f;
                values[c] = join.of(values[c], value);
            }
        }
        float factor = row_factor(args, heads.first + row % heads.count, largest, sum);
        uint64_t out = output(args, tile, heads, row);
#pragma unroll
        for (uint32_t c = 0; c < COLS; c++) {
            if (first + c * WARP < head_dim) {
                store(args.out, out + first + c * WARP, values[c] * factor);
            }
        }
    }
}

// After a span's partial result is stored: if it is the tile's last one, joins all of them.
template <bool FIXED>
__device__ inline void merge_if_last(const AttentionArguments& args, const AttentionTile& tile,
                                     const HeadRange& heads) {
    __shared__ uint32_t num_done;
    if (tile.num_partials == 0) {
        return;
    }
    uint32_t* counter = args.counters + static_cast<uint64_t>(tile.counter) * gridDim.y + blockIdx.y;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        num_done = atomicAdd(counter, 1u) + 1;
    }
    __syncthreads();
    if (num_done < tile.num_partials) {
        return;
    }
    __threadfence();
    if (threadIdx.x == 0) {
        *counter = 0;
    }
    uint32_t num_rows = tile.num_tokens * heads.count;
    for (uint32_t row = threadIdx.x / WARP; row < num_rows; row += blockDim.x / WARP) {
        FIXED ? join_row(args, tile, heads, row) : merge_row(args, tile, heads, row);
    }
}
