// What the products with weights in bfloat16 share.
//
// Weights are the left factor of the tensor cores' products: a tile is 16 output features, and 8 rows
// of the input are the columns of the right factor. The order in which a sum runs over the depth is
// free as long as both factors agree, so that a thread takes 8 consecutive elements of a row as they
// lie in memory, where the fragments would ask for four pairs far apart.
//
// All of them sum in one order, so that a row has the same bits among any others: steps of 64 elements
// are dealt out to eight parts of the depth, a part adds up its own steps, and the parts are added in
// their order. A column of a fragment does not depend on the other columns, and a step without elements
// adds zeros.
#pragma once

#include "linear.cuh"

// Features of a tile, and rows of the input that share a fragment.
constexpr uint32_t TILE_FEATURES = 16, ROW_GROUP = 8;
// Parts of the depth.
constexpr uint32_t DEPTH_PARTS = 8;
// Elements of a row that are multiplied at once: 128 bytes.
constexpr uint32_t STEP_DEPTH = 64;

struct RowsBf16Arguments {
    LinearArguments linear;
    uint32_t tiles;     // tiles of a block, at most MAX_TILES; `many_rows_bf16` has its own
    uint32_t distance;  // features from a block's first tile to its second
    // The rest of a gated unit; `gated` is null without.
    Values gated;       // [rows, distance]: of the gate's features and those at `distance`
    uint32_t function;
    float alpha;
    float limit;
};

__device__ inline void multiply_words(float (&sums)[4], const uint4 (&weights)[2], const uint4& x) {
    uint32_t first[4] = {weights[0].x, weights[1].x, weights[0].y, weights[1].y};
    uint32_t second[4] = {weights[0].z, weights[1].z, weights[0].w, weights[1].w};
    multiply_bf16(sums, first, x.x, x.y);
    multiply_bf16(sums, second, x.z, x.w);
}

__device__ inline void store_product(const RowsBf16Arguments& args, uint32_t row, uint32_t feature,
                                     float value) {
    store(args.linear.out, static_cast<uint64_t>(row) * args.linear.out_stride + feature, value);
}

// Both halves of a gated unit, and the unit.
__device__ inline void store_unit(const RowsBf16Arguments& args, uint32_t row, uint32_t feature,
                                  float gate, float up) {
    store_product(args, row, feature, gate);
    store_product(args, row, feature + args.distance, up);
    float value = gated_value(args.function, args.alpha, args.limit, gate, up);
    store(args.gated, static_cast<uint64_t>(row) * args.distance + feature, value);
}
