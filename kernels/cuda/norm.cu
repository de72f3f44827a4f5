// Norms over rows. One block per row, or two where queries and keys have one each.
#include "values.cuh"

struct RmsNormArguments {
    Values input;         // [rows, cols]; the residual, if there is a delta
    Values residual;      // is left with `input + scale * delta`; the same memory as `input`
    Values delta;         // [rows, cols] or null
    Values out;           // [rows, cols]
    const float* weight;  // [cols]
    uint32_t cols;
    float scale;
    float eps;
};

// N elements at once; rows are of such length.
template <uint32_t N>
__device__ inline void norm_row(const RmsNormArguments& args) {
    uint64_t start = static_cast<uint64_t>(blockIdx.x) * args.cols;
    float squares = 0.0f;
    for (uint32_t col = threadIdx.x * N; col < args.cols; col += blockDim.x * N) {
        float values[N];
        load_some<N>(args.input, start + col, values);
        if (args.delta.at) {
            float delta[N];
            load_some<N>(args.delta, start + col, delta);
            for (uint32_t i = 0; i < N; i++) {
                // Not fused: sums are those of f32, on every backend.
                values[i] = __fadd_rn(values[i], __fmul_rn(delta[i], args.scale));
            }
            store_some<N>(args.residual, start + col, values);
        }
        for (uint32_t i = 0; i < N; i++) {
            squares += values[i] * values[i];
        }
    }
    float mean = block_sum(squares) / args.cols;
    float factor = 1.0f / sqrtf(mean + args.eps);
    for (uint32_t col = threadIdx.x * N; col < args.cols; col += blockDim.x * N) {
        float values[N];
        load_some<N>(args.input, start + col, values);
        for (uint32_t i = 0; i < N; i++) {
            values[i] = values[i] * factor * args.weight[col + i];
        }
        store_some<N>(args.out, start + col, values);
    }
}

KERNEL(rms_norm, RmsNormArguments) {
    args.cols % 8 == 0 ? norm_row<8>(args) : norm_row<1>(args);
}

struct LayerNormArguments {
    Values input;         // [rows, cols]
    Values out;           // [rows, cols]
    const float* weight;  // [cols]
    const float* bias;    // [cols]
    uint32_t cols;
    float eps;
};

KERNEL(layer_norm, LayerNormArguments) {
    uint64_t start = static_cast<uint64_t>(blockIdx.x) * args.cols;
    float sum = 0.0f;
    for (uint32_t col = threadIdx.x; col < args.cols; col += blockDim.x) {
        sum += load(args.input, start + col);
    }
    float mean = block_sum(sum) / args.cols;
    float squares = 0.0f;
    for (uint32_t col = threadIdx.x; col < args.cols; col += blockDim.x) {
        float centred = load(args.input, start + col) - mean;
        squares += centred * centred;
    }
    float factor = 1.0f / sqrtf(block_sum(squares) / args.cols + args.eps);
    for (uint32_t col = threadIdx.x; col < args.cols; col += blockDim.x) {
        float centred = load(args.input, start + col) - mean;
        store(args.out, start + col, centred * factor * args.weight[col] + args.bias[col]);
    }
}

struct AllHeadsNormArguments {
    Values qkv;             // [gridDim.x, row_size]
    const float* q_weight;  // [q_size]
    const float* k_weight;  // [kv_size]
    uint32_t row_size;
    uint32_t q_size;
    uint32_t kv_size;
    float eps;
};

// Norms of all query heads together, and of all key heads: blocks along y.
KERNEL(all_heads_norm, AllHeadsNormArguments) {
    bool is_key = blockIdx.y == 1;
    uint32_t width = is_key ? args.kv_size : args.q_size;
    const float* weight = is_key ? args.k_weight : args.q_weight;
    uint64_t first = static_cast<uint64_t>(blockIdx.x) * args.row_size + (is_key ? args.q_size : 0);
    float squares = 0.0f;
    for (uint32_t col = threadIdx.x; col < width; col += blockDim.x) {
        float value = load(args.qkv, first + col);
        squares += value * value;
    }
    float factor = 1.0f / sqrtf(block_sum(squares) / width + args.eps);
    for (uint32_t col = threadIdx.x; col < width; col += blockDim.x) {
        store(args.qkv, first + col, load(args.qkv, first + col) * factor * weight[col]);
    }
}
