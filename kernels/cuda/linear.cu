// Products with weights `[out_features, in_features]`, summed in f32.
#include "linear.cuh"

// Rows that one block takes in `linear_few_rows`.
constexpr uint32_t FEW_ROWS = 8;

// Not left to the compiler, which could fuse otherwise where there are more rows.
__device__ inline float add_four(float sum, const float* w, const float* x) {
    float products = __fmaf_rn(w[1], x[1], __fmul_rn(w[0], x[0]));
    return __fadd_rn(sum, __fmaf_rn(w[3], x[3], __fmaf_rn(w[2], x[2], products)));
}

template <Dtype DTYPE, uint32_t ROWS>
__device__ void few_rows(const LinearArguments& args, uint32_t first, uint32_t feature) {
    uint32_t lane = threadIdx.x % WARP, depth = args.in_features;
    const uint8_t* weight = args.weight + feature * args.row_bytes;
    bool aligned = depth % CHUNK == 0;
    float sums[ROWS] = {};
    for (uint32_t k = lane * CHUNK; k < depth; k += WARP * CHUNK) {
        float w[CHUNK];
        read_chunk<DTYPE>(weight, k, w);
#pragma unroll
        for (uint32_t row = 0; row < ROWS; row++) {
            uint64_t at = static_cast<uint64_t>(first + row) * depth + k;
            if (aligned) {
                float x[CHUNK];
                load_some<CHUNK>(args.input, at, x);
                sums[row] = add_four(add_four(sums[row], w, x), w + 4, x + 4);
            } else {
                for (uint32_t i = 0; i < CHUNK && k + i < depth; i++) {
                    sums[row] = __fmaf_rn(w[i], load(args.input, at + i), sums[row]);
                }
            }
        }
    }
#pragma unroll
    for (uint32_t row = 0; row < ROWS; row++) {
        float sum = warp_sum(sums[row]);
        if (lane == 0) {
            float bias = args.bias ? args.bias[feature] : 0.0f;
            store(args.out, static_cast<uint64_t>(first + row) * args.out_stride + feature, sum + bias);
        }
    }
}

template <Dtype DTYPE>
__device__ void few_rows_of(const LinearArguments& args, uint32_t feature) {
    uint32_t first = blockIdx.y * FEW_ROWS;
    switch (min(args.rows - first, FEW_ROWS)) {
        case 1: few_rows<DTYPE, 1>(args, first, feature); break;
        case 2: few_rows<DTYPE, 2>(args, first, feature); break;
        case 3: few_rows<DTYPE, 3>(args, first, feature); break;
        case 4: few_rows<DTYPE, 4>(args, first, feature); break;
        case 5: few_rows<DTYPE, 5>(args, first, feature); break;
        case 6: few_rows<DTYPE, 6>(args, first, feature); break;
        case 7: few_rows<DTYPE, 7>(args, first, feature); break;
        default: few_rows<DTYPE, 8>(args, first, feature); break;
    }
}

// One warp per output feature, and FEW_ROWS rows along y: weights are read once per block of rows,
// which is what such products cost. A row's sums are the same whatever the others.
KERNEL(linear_few_rows, LinearArguments) {
    uint32_t feature = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (feature >= args.out_features) {
        return;
    }
#define CALL(DTYPE) few_rows_of<DTYPE>(args, feature)
    WITH_DTYPE(args.dtype, CALL)
#undef CALL
}

// Rows and features of a block in `linear_tiles`, how deep its tiles are, and what a thread takes of
// both sides.
constexpr uint32_t TILE = 64, TILE_DEPTH = 16, PER_THREAD = 4;

// A row of a tile in shared memory, padded so that a column lies in different banks.
using TileRow = float[TILE + 4];

template <Dtype DTYPE>
__device__ void tile_of(const LinearArguments& args, TileRow* inputs, TileRow* weights) {
    uint32_t first_row = blockIdx.y * TILE, first_feature = blockIdx.x * TILE;
    uint32_t row_of = threadIdx.x / (TILE / PER_THREAD) * PER_THREAD;
    uint32_t feature_of = threadIdx.x % (TILE / PER_THREAD) * PER_THREAD;
    float sums[PER_THREAD][PER_THREAD] = {};
    for (uint32_t start = 0; start < args.in_features; start += TILE_DEPTH) {
        for (uint32_t i = threadIdx.x; i < TILE * TILE_DEPTH; i += blockDim.x) {
            uint32_t row = first_row + i / TILE_DEPTH, k = start + i % TILE_DEPTH;
            bool inside = row < args.rows && k < args.in_features;
            uint64_t at = static_cast<uint64_t>(row) * args.in_features + k;
            inputs[i % TILE_DEPTH][i / TILE_DEPTH] = inside ? load(args.input, at) : 0.0f;
        }
        constexpr uint32_t CHUNKS = TILE_DEPTH / CHUNK;
        for (uint32_t i = threadIdx.x; i < TILE * CHUNKS; i += blockDim.x) {
            uint32_t feature = first_feature + i / CHUNKS, k = start + i % CHUNKS * CHUNK;
            float values[CHUNK] = {};
            if (feature < args.out_features && k < args.in_features) {
                read_chunk<DTYPE>(args.weight + feature * args.row_bytes, k, values);
            }
            for (uint32_t j = 0; j < CHUNK; j++) {
                weights[i % CHUNKS * CHUNK + j][i / CHUNKS] = values[j];
            }
        }
        __syncthreads();
#pragma unroll
        for (uint32_t k = 0; k < TILE_DEPTH; k++) {
#pragma unroll
            for (uint32_t i = 0; i < PER_THREAD; i++) {
#pragma unroll
                for (uint32_t j = 0; j < PER_THREAD; j++) {
                    sums[i][j] += inputs[k][row_of + i] * weights[k][feature_of + j];
                }
            }
        }
        __syncthreads();
    }
    for (uint32_t i = 0; i < PER_THREAD; i++) {
        for (uint32_t j = 0; j < PER_THREAD; j++) {
            uint32_t row = first_row + row_of + i, feature = first_feature + feature_of + j;
            if (row < args.rows && feature < args.out_features) {
                float bias = args.bias ? args.bias[feature] : 0.0f;
                store(args.out, static_cast<uint64_t>(row) * args.out_stride + feature, sums[i][j] + bias);
            }
        }
    }
}

// Tiles of both sides in shared memory; for weights that the library does not multiply.
KERNEL(linear_tiles, LinearArguments) {
    __shared__ TileRow inputs[TILE_DEPTH];
    __shared__ TileRow weights[TILE_DEPTH];
#define CALL(DTYPE) tile_of<DTYPE>(args, inputs, weights)
    WITH_DTYPE(args.dtype, CALL)
#undef CALL
}
