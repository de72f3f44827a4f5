// Products of a few rows with weights in bfloat16, which cost what reading the weights costs.
//
// Weights are the left factor of the tensor cores' products: a tile is 16 output features, and 8 rows
// of the input are the columns of the right factor. The order in which a sum runs over the depth is
// free as long as both factors agree, so that a thread takes 8 consecutive elements of a row as they
// lie in memory, where the fragments would ask for four pairs far apart.
#include "linear.cuh"

// Features of a tile, and rows of the input that share a fragment.
constexpr uint32_t TILE_FEATURES = 16, ROW_GROUP = 8;
// Most of both that a block takes.
constexpr uint32_t MAX_TILES = 2, MAX_ROW_GROUPS = 2;
// Warps of a block, each with its part of the depth.
constexpr uint32_t DEPTH_WARPS = 8;
// Elements of a row that a warp takes at once: 128 bytes.
constexpr uint32_t STEP_DEPTH = 64;

struct FewRowsBf16Arguments {
    LinearArguments linear;
    uint32_t tiles;     // tiles of a block, at most MAX_TILES
    uint32_t distance;  // features from a block's first tile to its second
    // The rest of a gated unit; `gate` is null without.
    float* gated;       // [rows, distance]: of the gate's features and those at `distance`
    uint32_t function;
    float alpha;
    float limit;
};

// Sums of a block, by warp, tile and row group, as the fragments hold them.
using DepthSums = float[DEPTH_WARPS][MAX_TILES][MAX_ROW_GROUPS][TILE_FEATURES][ROW_GROUP];

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
    uint64_t at = static_cast<uint64_t>(row) * args.in_features + k;
    const float4* from = reinterpret_cast<const float4*>(args.input + at);
    float4 a = from[0], b = from[1];
    return uint4{pack_bf16(a.x, a.y), pack_bf16(a.z, a.w), pack_bf16(b.x, b.y), pack_bf16(b.z, b.w)};
}

__device__ inline void multiply_words(float (&sums)[4], const uint4 (&weights)[2], const uint4& x) {
    uint32_t first[4] = {weights[0].x, weights[1].x, weights[0].y, weights[1].y};
    uint32_t second[4] = {weights[0].z, weights[1].z, weights[0].w, weights[1].w};
    multiply_bf16(sums, first, x.x, x.y);
    multiply_bf16(sums, second, x.z, x.w);
}

// The block's sums into `shared`.
template <uint32_t TILES, uint32_t ROW_GROUPS>
__device__ inline void sum_depth(const FewRowsBf16Arguments& args, DepthSums& shared) {
    const LinearArguments& linear = args.linear;
    uint32_t warp = threadIdx.x / WARP, g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;
    // Neighbouring tiles are one block's, or else the two halves of a gated unit.
    uint32_t stride = args.gated ? TILE_FEATURES : TILES * TILE_FEATURES;
    uint32_t feature = blockIdx.x * stride + g;
    // As many loads are under way whatever the tiles.
    constexpr uint32_t AHEAD = MAX_TILES / TILES, STRIDE = DEPTH_WARPS * STEP_DEPTH;
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
                uint32_t row = group * ROW_GROUP + g;
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

// The product's element of a tile, with its bias.
__device__ inline float element(const LinearArguments& args, const DepthSums& shared, uint32_t tile,
                                uint32_t row, uint32_t in_tile, uint32_t feature) {
    float sum = 0.0f;
#pragma unroll
    for (uint32_t warp = 0; warp < DEPTH_WARPS; warp++) {
        sum += shared[warp][tile][row / ROW_GROUP][in_tile][row % ROW_GROUP];
    }
    return sum + (args.bias ? args.bias[feature] : 0.0f);
}

__device__ inline void store_products(const FewRowsBf16Arguments& args, const DepthSums& shared) {
    const LinearArguments& linear = args.linear;
    uint32_t features = args.tiles * TILE_FEATURES;
    for (uint32_t i = threadIdx.x; i < linear.rows * features; i += blockDim.x) {
        uint32_t row = i / features, tile = i % features / TILE_FEATURES, in_tile = i % TILE_FEATURES;
        uint32_t feature = blockIdx.x * features + i % features;
        if (feature < linear.out_features) {
            float value = element(linear, shared, tile, row, in_tile, feature);
            linear.out[static_cast<uint64_t>(row) * linear.out_stride + feature] = value;
        }
    }
}

__device__ inline void store_gated(const FewRowsBf16Arguments& args, const DepthSums& shared) {
    const LinearArguments& linear = args.linear;
    for (uint32_t i = threadIdx.x; i < linear.rows * TILE_FEATURES; i += blockDim.x) {
        uint32_t row = i / TILE_FEATURES, in_tile = i % TILE_FEATURES;
        uint32_t feature = blockIdx.x * TILE_FEATURES + in_tile;
        if (feature < args.distance) {
            float gate = element(linear, shared, 0, row, in_tile, feature);
            float up = element(linear, shared, 1, row, in_tile, feature + args.distance);
            float* out = linear.out + static_cast<uint64_t>(row) * linear.out_stride + feature;
            out[0] = gate;
            out[args.distance] = up;
            float value = gated_value(args.function, args.alpha, args.limit, gate, up);
            args.gated[static_cast<uint64_t>(row) * args.distance + feature] = value;
        }
    }
}

// One to 16 rows; blocks along x take `tiles` tiles each. The depth is a multiple of CHUNK.
EARLY_KERNEL(few_rows_bf16, FewRowsBf16Arguments, __launch_bounds__(256, 3)) {
    __shared__ DepthSums shared;
    bool few = args.linear.rows <= ROW_GROUP;
    if (args.tiles == 1) {
        few ? sum_depth<1, 1>(args, shared) : sum_depth<1, 2>(args, shared);
    } else {
        few ? sum_depth<2, 1>(args, shared) : sum_depth<2, 2>(args, shared);
    }
    args.gated ? store_gated(args, shared) : store_products(args, shared);
}
