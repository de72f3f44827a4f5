// Products of a few rows with weights in bfloat16, which cost what reading the weights costs.
#include "rows_bf16.cuh"

// Most tiles that a block takes, and most groups of rows in `few_rows_bf16`.
constexpr uint32_t MAX_TILES = 2, MAX_ROW_GROUPS = 2;
// Of `some_rows_bf16`, whatever the rows.
constexpr uint32_t SOME_ROW_GROUPS = 4;

// Sums of a block, by warp, tile and row group, as the fragments hold them.
template <uint32_t MAX_GROUPS>
using DepthSums = float[DEPTH_PARTS][MAX_TILES][MAX_GROUPS][TILE_FEATURES][ROW_GROUP];

// 16 elements of two rows, eight apart from the next two: what a thread takes of a tile in a step.
struct TileWords {
    uint4 near[2], far[2];  // rows g and g + 8; elements 8 t on, and 32 later
};

__device__ inline uint4 weight_words(const LinearArguments& args, uint32_t feature, uint32_t k) {
    bool inside = feature < args.out_features && k < args.in_features;
    return inside ? load_streamed(args.weight + feature * args.row_bytes + 2ull * k)
                  : uint4{0, 0, 0, 0};
}

// `feature` and `k` are the thread's own.
__device__ inline TileWords load_tile(const LinearArguments& args, uint32_t feature, uint32_t k) {
    TileWords words;
#pragma unroll
    for (uint32_t i = 0; i < 2; i++) {
        words.near[i] = weight_words(args, feature + 8 * i, k);
        words.far[i] = weight_words(args, feature + 8 * i, k + STEP_DEPTH / 2);
    }
    return words;
}

// 8 elements of a row of the input, rounded; zeros where there are none.
__device__ inline uint4 input_words(const LinearArguments& args, uint32_t row, uint32_t k) {
    if (row >= args.rows || k >= args.in_features) {
        return uint4{0, 0, 0, 0};
    }
    return load_eight(args.input, static_cast<uint64_t>(row) * args.in_features + k);
}

// The block's sums of rows from `first_row` on into `shared`.
template <uint32_t TILES, uint32_t ROW_GROUPS, uint32_t MAX_GROUPS>
__device__ inline void sum_depth(const RowsBf16Arguments& args, uint32_t first_row,
                                 DepthSums<MAX_GROUPS>& shared) {
    const LinearArguments& linear = args.linear;
    uint32_t warp = threadIdx.x / WARP, g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    // Neighbouring tiles are one block's, or else the two halves of a gated unit.
    uint32_t stride = args.gated.at ? TILE_FEATURES : TILES * TILE_FEATURES;
    uint32_t feature = blockIdx.x * stride + g;
    // As many loads are under way whatever the tiles.
    constexpr uint32_t AHEAD = MAX_TILES / TILES, STRIDE = DEPTH_PARTS * STEP_DEPTH;
    TileWords next[AHEAD][TILES];
    uint32_t start = warp * STEP_DEPTH;
#pragma unroll
    for (uint32_t turn = 0; turn < AHEAD; turn++) {
#pragma unroll
        for (uint32_t tile = 0; tile < TILES; tile++) {
            uint32_t k = start + turn * STRIDE + 8 * t;
            next[turn][tile] = load_tile(linear, feature + tile * args.distance, k);
        }
    }
    // Weights are on their way; the input may be what an earlier kernel still computes.
    wait_for_predecessors();
    float sums[TILES][ROW_GROUPS][4] = {};
    while (start < linear.in_features) {
#pragma unroll
        for (uint32_t turn = 0; turn < AHEAD; turn++) {
            TileWords words[TILES];
#pragma unroll
            for (uint32_t tile = 0; tile < TILES; tile++) {
                words[tile] = next[turn][tile];
                uint32_t k = start + AHEAD * STRIDE + 8 * t;
                next[turn][tile] = load_tile(linear, feature + tile * args.distance, k);
            }
#pragma unroll
            for (uint32_t group = 0; group < ROW_GROUPS; group++) {
                uint32_t row = first_row + group * ROW_GROUP + g;
                uint4 near = input_words(linear, row, start + 8 * t);
                uint4 far = input_words(linear, row, start + STEP_DEPTH / 2 + 8 * t);
#pragma unroll
                for (uint32_t tile = 0; tile < TILES; tile++) {
                    multiply_words(sums[tile][group], words[tile].near, near);
                    multiply_words(sums[tile][group], words[tile].far, far);
                }
            }
            start += STRIDE;
        }
    }
#pragma unroll
    for (uint32_t tile = 0; tile < TILES; tile++) {
#pragma unroll
        for (uint32_t group = 0; group < ROW_GROUPS; group++) {
            for (uint32_t i = 0; i < 4; i++) {
                shared[warp][tile][group][g + 8 * (i / 2)][2 * t + i % 2] = sums[tile][group][i];
            }
        }
    }
    __syncthreads();
}

// The product's element of a tile, with its bias; `row` is the block's.
template <uint32_t MAX_GROUPS>
__device__ inline float element(const LinearArguments& args, const DepthSums<MAX_GROUPS>& shared,
                                uint32_t tile, uint32_t row, uint32_t in_tile, uint32_t feature) {
    float sum = 0.0f;
#pragma unroll
    for (uint32_t warp = 0; warp < DEPTH_PARTS; warp++) {
        sum += shared[warp][tile][row / ROW_GROUP][in_tile][row % ROW_GROUP];
    }
    return sum + (args.bias ? args.bias[feature] : 0.0f);
}

// `rows` rows from `first_row` on.
template <uint32_t MAX_GROUPS>
__device__ inline void store_products(const RowsBf16Arguments& args, uint32_t first_row, uint32_t rows,
                                      const DepthSums<MAX_GROUPS>& shared) {
    const LinearArguments& linear = args.linear;
    uint32_t features = args.tiles * TILE_FEATURES;
    for (uint32_t i = threadIdx.x; i < rows * features; i += blockDim.x) {
        uint32_t row = i / features, tile = i % features / TILE_FEATURES, in_tile = i % TILE_FEATURES;
        uint32_t feature = blockIdx.x * features + i % features;
        if (feature < linear.out_features) {
            float value = element<MAX_GROUPS>(linear, shared, tile, row, in_tile, feature);
            store_product(args, first_row + row, feature, value);
        }
    }
}

template <uint32_t MAX_GROUPS>
__device__ inline void store_gated(const RowsBf16Arguments& args, uint32_t first_row, uint32_t rows,
                                   const DepthSums<MAX_GROUPS>& shared) {
    const LinearArguments& linear = args.linear;
    for (uint32_t i = threadIdx.x; i < rows * TILE_FEATURES; i += blockDim.x) {
        uint32_t row = i / TILE_FEATURES, in_tile = i % TILE_FEATURES;
        uint32_t feature = blockIdx.x * TILE_FEATURES + in_tile;
        if (feature < args.distance) {
            float gate = element<MAX_GROUPS>(linear, shared, 0, row, in_tile, feature);
            float up = element<MAX_GROUPS>(linear, shared, 1, row, in_tile, feature + args.distance);
            store_unit(args, first_row + row, feature, gate, up);
        }
    }
}

template <uint32_t MAX_GROUPS>
__device__ inline void store_sums(const RowsBf16Arguments& args, uint32_t first_row, uint32_t rows,
                                  const DepthSums<MAX_GROUPS>& shared) {
    args.gated.at ? store_gated<MAX_GROUPS>(args, first_row, rows, shared)
                  : store_products<MAX_GROUPS>(args, first_row, rows, shared);
}

// One to 16 rows; blocks along x take `tiles` tiles each. The depth is a multiple of CHUNK.
EARLY_KERNEL(few_rows_bf16, RowsBf16Arguments, __launch_bounds__(256, 2)) {
    constexpr uint32_t MAX = MAX_ROW_GROUPS;
    __shared__ DepthSums<MAX> shared;
    bool few = args.linear.rows <= ROW_GROUP;
    if (args.tiles == 1) {
        few ? sum_depth<1, 1, MAX>(args, 0, shared) : sum_depth<1, 2, MAX>(args, 0, shared);
    } else {
        few ? sum_depth<2, 1, MAX>(args, 0, shared) : sum_depth<2, 2, MAX>(args, 0, shared);
    }
    store_sums<MAX>(args, 0, args.linear.rows, shared);
}

// Any rows, 32 of them in a block along y; two tiles each. The sums are those of `few_rows_bf16`.
EARLY_KERNEL(some_rows_bf16, RowsBf16Arguments, __launch_bounds__(256, 2)) {
    constexpr uint32_t MAX = SOME_ROW_GROUPS, ROWS = MAX * ROW_GROUP;
    __shared__ DepthSums<MAX> shared;
    uint32_t first_row = blockIdx.y * ROWS;
    sum_depth<2, MAX, MAX>(args, first_row, shared);
    store_sums<MAX>(args, first_row, min(ROWS, args.linear.rows - first_row), shared);
}
