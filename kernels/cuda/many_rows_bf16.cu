// Products of many rows with weights in bfloat16, whose sums are those of `few_rows_bf16`.
//
// A block takes 128 features and 128 rows and goes through the depth part by part, where the kernels of
// fewer rows have a warp for each part. Three steps of both factors lie in shared memory, two of them on
// their way.
#include "rows_bf16.cuh"

// Rows of a block, and its features, which are rows of the weights.
constexpr uint32_t MANY_ROWS = 128;
// Warps along the features and along the rows; what a warp takes of both.
constexpr uint32_t FEATURE_WARPS = 2, ROW_WARPS = 4;
constexpr uint32_t WARP_TILES = MANY_ROWS / FEATURE_WARPS / TILE_FEATURES;
constexpr uint32_t WARP_GROUPS = MANY_ROWS / ROW_WARPS / ROW_GROUP;
constexpr uint32_t STAGES = 3;
// 16 bytes each, of a row of a step.
constexpr uint32_t STEP_PIECES = STEP_DEPTH / 8;

// Where a piece of a row of a stage lies: those of a row and its neighbour that threads read at once are
// in different banks.
__device__ inline uint32_t piece_at(uint32_t row, uint32_t piece) {
    return row * STEP_PIECES + (piece ^ row % 2 * (STEP_PIECES / 2));
}

// The feature of row `row` of the block's weights: of a gated unit one half of the block is the gate's.
__device__ inline uint32_t feature_of(const RowsBf16Arguments& args, uint32_t row) {
    constexpr uint32_t HALF = MANY_ROWS / 2;
    if (args.gated.at == nullptr) {
        return blockIdx.x * MANY_ROWS + row;
    }
    uint32_t in_half = blockIdx.x * HALF + row % HALF;
    // Beyond the gate's features there are none of this block.
    return in_half < args.distance ? in_half + row / HALF * args.distance : args.linear.out_features;
}

// Row of the block's weights where the warp's tile begins: half of the tiles are a gate's, the others
// those that belong to them.
__device__ inline uint32_t tile_row(uint32_t warp, uint32_t tile) {
    constexpr uint32_t HALF_TILES = WARP_TILES / 2;
    uint32_t in_half = warp * HALF_TILES + tile % HALF_TILES;
    return tile / HALF_TILES * (MANY_ROWS / 2) + in_half * TILE_FEATURES;
}

// Begins to copy the elements from `k` on: the weights' rows, then the input's.
__device__ inline void copy_step(const RowsBf16Arguments& args, uint32_t k, uint4* stage) {
    const LinearArguments& linear = args.linear;
    for (uint32_t i = threadIdx.x; i < 2 * MANY_ROWS * STEP_PIECES; i += blockDim.x) {
        uint32_t row = i / STEP_PIECES, piece = i % STEP_PIECES, at = k + 8 * piece;
        bool is_weight = row < MANY_ROWS;
        uint32_t of = is_weight ? feature_of(args, row) : blockIdx.y * MANY_ROWS + row - MANY_ROWS;
        bool inside = at < linear.in_features && of < (is_weight ? linear.out_features : linear.rows);
        uint64_t stride = is_weight ? linear.row_bytes : 2ull * linear.in_features;
        const uint8_t* from = is_weight ? linear.weight : linear.input.at;
        copy_async(stage + piece_at(row, piece), from + (inside ? of * stride + 2ull * at : 0), inside);
    }
}

// Adds the products of a step.
__device__ inline void multiply_step(const uint4* stage, float (&sums)[WARP_TILES][WARP_GROUPS][4]) {
    uint32_t warp = threadIdx.x / WARP, g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    const uint4* input = stage + MANY_ROWS * STEP_PIECES;
    uint32_t first_row = warp / FEATURE_WARPS * WARP_GROUPS * ROW_GROUP;
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        uint32_t piece = half * (STEP_PIECES / 2) + t;
        uint4 x[WARP_GROUPS];
#pragma unroll
        for (uint32_t group = 0; group < WARP_GROUPS; group++) {
            x[group] = input[piece_at(first_row + group * ROW_GROUP + g, piece)];
        }
#pragma unroll
        for (uint32_t tile = 0; tile < WARP_TILES; tile++) {
            uint32_t row = tile_row(warp % FEATURE_WARPS, tile) + g;
            uint4 weights[2] = {stage[piece_at(row, piece)], stage[piece_at(row + 8, piece)]};
#pragma unroll
            for (uint32_t group = 0; group < WARP_GROUPS; group++) {
                multiply_words(sums[tile][group], weights, x[group]);
            }
        }
    }
}

// Adds a part of the depth to those before it, and begins the next.
__device__ inline void add_part(float (&sums)[WARP_TILES][WARP_GROUPS][4],
                                float (&totals)[WARP_TILES][WARP_GROUPS][4]) {
#pragma unroll
    for (uint32_t tile = 0; tile < WARP_TILES; tile++) {
#pragma unroll
        for (uint32_t group = 0; group < WARP_GROUPS; group++) {
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) {
                totals[tile][group][i] += sums[tile][group][i];
                sums[tile][group][i] = 0.0f;
            }
        }
    }
}

// Element `i` of a fragment, with its bias; the feature is one.
__device__ inline float with_bias(const LinearArguments& args, float total, uint32_t feature) {
    return total + (args.bias ? args.bias[feature] : 0.0f);
}

__device__ inline void store_totals(const RowsBf16Arguments& args,
                                    const float (&totals)[WARP_TILES][WARP_GROUPS][4]) {
    constexpr uint32_t HALF_TILES = WARP_TILES / 2;
    const LinearArguments& linear = args.linear;
    uint32_t warp = threadIdx.x / WARP, g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    uint32_t first_row = blockIdx.y * MANY_ROWS + warp / FEATURE_WARPS * WARP_GROUPS * ROW_GROUP;
#pragma unroll
    for (uint32_t tile = 0; tile < HALF_TILES; tile++) {
#pragma unroll
        for (uint32_t group = 0; group < WARP_GROUPS; group++) {
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) {
                uint32_t row = first_row + group * ROW_GROUP + 2 * t + i % 2;
                uint32_t in_block = tile_row(warp % FEATURE_WARPS, tile) + g + 8 * (i / 2);
                uint32_t feature = feature_of(args, in_block);
                uint32_t other = feature_of(args, in_block + MANY_ROWS / 2);
                if (row >= linear.rows || feature >= linear.out_features) {
                    continue;
                }
                float first = with_bias(linear, totals[tile][group][i], feature);
                float second = totals[tile + HALF_TILES][group][i];
                if (args.gated.at) {
                    store_unit(args, row, feature, first, with_bias(linear, second, other));
                    continue;
                }
                store_product(args, row, feature, first);
                if (other < linear.out_features) {
                    store_product(args, row, other, with_bias(linear, second, other));
                }
            }
        }
    }
}

// Any rows, 128 of them in a block along y; the input is in bfloat16. The depth is a multiple of CHUNK.
// Shared memory: `[STAGES, 2 * MANY_ROWS, STEP_DEPTH]` of 16 bits.
KERNEL(many_rows_bf16, RowsBf16Arguments) {
    DYNAMIC_SHARED(memory);
    constexpr uint32_t STAGE = 2 * MANY_ROWS * STEP_PIECES;
    uint4* stages = reinterpret_cast<uint4*>(memory);
    uint32_t steps = (args.linear.in_features + STEP_DEPTH - 1) / STEP_DEPTH;
    // The step after one, part by part.
    auto next = [&](uint32_t step) {
        return step + DEPTH_PARTS < steps ? step + DEPTH_PARTS : step % DEPTH_PARTS + 1;
    };
    float sums[WARP_TILES][WARP_GROUPS][4] = {}, totals[WARP_TILES][WARP_GROUPS][4] = {};
    uint32_t copied = 0, computed = 0;
    for (uint32_t i = 0; i < STAGES - 1; i++) {
        if (i < steps) {
            copy_step(args, copied * STEP_DEPTH, stages + i * STAGE);
            copied = next(copied);
        }
        commit_copies();
    }
    for (uint32_t i = 0; i < steps; i++) {
        wait_copies<STAGES - 2>();
        // The step before is no longer read, and its stage is free.
        __syncthreads();
        if (i + STAGES - 1 < steps) {
            copy_step(args, copied * STEP_DEPTH, stages + (i + STAGES - 1) % STAGES * STAGE);
            copied = next(copied);
        }
        commit_copies();
        multiply_step(stages + i % STAGES * STAGE, sums);
        uint32_t after = next(computed);
        if (after % DEPTH_PARTS != computed % DEPTH_PARTS) {
            add_part(sums, totals);
        }
        computed = after;
    }
    wait_copies<0>();
    store_totals(args, totals);
}
