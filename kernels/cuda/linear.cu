// Products with weights `[out_features, in_features]`, summed in f32.
#include "linear.cuh"

// Rows that one block takes in `linear_few_rows`.
constexpr uint32_t FEW_ROWS = 8;

template <Dtype DTYPE, uint32_t ROWS>
__device__ void few_rows(const LinearArguments& args, uint32_t first, uint32_t feature) {
    uint32_t lane = threadIdx.x % WARP, depth = args.in_features;
    const uint8_t* weight = args.weight + feature * args.row_bytes;
    const float* input = args.input + static_cast<uint64_t>(first) * depth;
    bool aligned = depth % 4 == 0;
    float sums[ROWS] = {};
    for (uint32_t k = lane * CHUNK; k < depth; k += WARP * CHUNK) {
        float w[CHUNK];
        read_chunk<DTYPE>(weight, k, w);
#pragma unroll
        for (uint32_t row = 0; row < ROWS; row++) {
            const float* x = input + static_cast<uint64_t>(row) * depth + k;
            if (aligned && k + CHUNK <= depth) {
                float4 a = reinterpret_cast<const float4*>(x)[0];
                float4 b = reinterpret_cast<const float4*>(x)[1];
                sums[row] += w[0] * a.x + w[1] * a.y + w[2] * a.z + w[3] * a.w;
                sums[row] += w[4] * b.x + w[5] * b.y + w[6] * b.z + w[7] * b.w;
            } else {
                for (uint32_t i = 0; i < CHUNK && k + i < depth; i++) {
                    sums[row] += w[i] * x[i];
                }
            }
        }
    }
#pragma unroll
    for (uint32_t row = 0; row < ROWS; row++) {
        float sum = warp_sum(sums[row]);
        if (lane == 0) {
            float bias = args.bias ? args.bias[feature] : 0.0f;
            args.out[static_cast<uint64_t>(first + row) * args.out_stride + feature] = sum + bias;
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
// which is what such products cost.
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
            inputs[i % TILE_DEPTH][i / TILE_DEPTH] = inside ? args.input[at] : 0.0f;
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
                args.out[static_cast<uint64_t>(row) * args.out_stride + feature] = sums[i][j] + bias;
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
