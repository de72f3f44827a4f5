// Norms over rows. One block per row, or per group of heads of a row.
#include "kernel.cuh"

struct RmsNormArguments {
    const float* input;   // [rows, cols]; the residual, if there is a delta
    float* residual;      // is left with `input + scale * delta`; the same memory as `input`
    const float* delta;   // [rows, cols] or null
    const float* weight;  // [cols]
    float* out;           // [rows, cols]
    uint32_t cols;
    float scale;
    float eps;
};

KERNEL(rms_norm, RmsNormArguments) {
    uint64_t start = static_cast<uint64_t>(blockIdx.x) * args.cols;
    float squares = 0.0f;
    for (uint32_t col = threadIdx.x; col < args.cols; col += blockDim.x) {
        float value = args.input[start + col];
        if (args.delta) {
            // Not fused: sums are those of f32, on every backend.
            value = __fadd_rn(value, __fmul_rn(args.delta[start + col], args.scale));
            args.residual[start + col] = value;
        }
        squares += value * value;
    }
    float mean = block_sum(squares) / args.cols;
    float factor = 1.0f / sqrtf(mean + args.eps);
    const float* rows = args.delta ? args.residual : args.input;
    for (uint32_t col = threadIdx.x; col < args.cols; col += blockDim.x) {
        args.out[start + col] = rows[start + col] * factor * args.weight[col];
    }
}

struct LayerNormArguments {
    const float* input;   // [rows, cols]
    const float* weight;  // [cols]
    const float* bias;    // [cols]
    float* out;           // [rows, cols]
    uint32_t cols;
    float eps;
};

KERNEL(layer_norm, LayerNormArguments) {
    uint64_t start = static_cast<uint64_t>(blockIdx.x) * args.cols;
    float sum = 0.0f;
    for (uint32_t col = threadIdx.x; col < args.cols; col += blockDim.x) {
        sum += args.input[start + col];
    }
    float mean = block_sum(sum) / args.cols;
    float squares = 0.0f;
    for (uint32_t col = threadIdx.x; col < args.cols; col += blockDim.x) {
        float centred = args.input[start + col] - mean;
        squares += centred * centred;
    }
    float factor = 1.0f / sqrtf(block_sum(squares) / args.cols + args.eps);
    for (uint32_t col = threadIdx.x; col < args.cols; col += blockDim.x) {
        float centred = args.input[start + col] - mean;
        args.out[start + col] = centred * factor * args.weight[col] + args.bias[col];
    }
}

struct HeadNormArguments {
    float* qkv;             // [gridDim.x, row_size]
    const float* q_weight;  // [q_width]
    const float* k_weight;  // [k_width]
    uint32_t row_size;
    uint32_t q_size;
    uint32_t q_width;  // elements that are normalised together: a head's or all heads'
    uint32_t k_width;
    float eps;
};

// Blocks along y: the groups of the queries, then those of the keys.
KERNEL(head_norm, HeadNormArguments) {
    uint32_t q_groups = args.q_size / args.q_width;
    bool is_key = blockIdx.y >= q_groups;
    uint32_t width = is_key ? args.k_width : args.q_width;
    uint32_t start = is_key ? args.q_size + (blockIdx.y - q_groups) * width : blockIdx.y * width;
    const float* weight = is_key ? args.k_weight : args.q_weight;
    float* values = args.qkv + static_cast<uint64_t>(blockIdx.x) * args.row_size + start;
    float squares = 0.0f;
    for (uint32_t col = threadIdx.x; col < width; col += blockDim.x) {
        squares += values[col] * values[col];
    }
    float factor = 1.0f / sqrtf(block_sum(squares) / width + args.eps);
    for (uint32_t col = threadIdx.x; col < width; col += blockDim.x) {
        values[col] = values[col] * factor * weight[col];
    }
}
