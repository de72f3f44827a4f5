// Element by element: sums, caps, activations, rows taken and added.
#include "activation.cuh"

// Index of the thread in the launch, and the number of threads.
__device__ inline uint64_t thread_index() {
    return static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ inline uint64_t thread_count() {
    return static_cast<uint64_t>(gridDim.x) * blockDim.x;
}

struct FunctionArguments {
    float* values;
    uint64_t count;
    uint32_t function;
    float alpha;  // gain of the clamped sigmoid
    float limit;  // of what is clamped; the cap
};

KERNEL(apply_function, FunctionArguments) {
    for (uint64_t i = thread_index(); i < args.count; i += thread_count()) {
        args.values[i] = evaluate(args.function, args.alpha, args.limit, args.values[i]);
    }
}

struct GateArguments {
    const float* gate_up;  // [_, 2 * cols]
    float* out;            // [_, cols]
    uint32_t first_row;
    uint32_t rows;
    uint32_t cols;
    uint32_t function;
    float alpha;
    float limit;
};

KERNEL(gate, GateArguments) {
    uint64_t count = static_cast<uint64_t>(args.rows) * args.cols;
    for (uint64_t i = thread_index(); i < count; i += thread_count()) {
        uint64_t row = args.first_row + i / args.cols, col = i % args.cols;
        const float* pair = args.gate_up + row * 2 * args.cols;
        float value = gated_value(args.function, args.alpha, args.limit, pair[col], pair[args.cols + col]);
        args.out[row * args.cols + col] = value;
    }
}

struct AddArguments {
    float* out;
    const float* delta;
    uint64_t count;
    float scale;
};

KERNEL(add, AddArguments) {
    for (uint64_t i = thread_index(); i < args.count; i += thread_count()) {
        // Not fused: sums are those of f32, on every backend.
        args.out[i] = __fadd_rn(args.out[i], __fmul_rn(args.delta[i], args.scale));
    }
}

struct ClearArguments {
    float* values;
    uint64_t count;
};

KERNEL(clear, ClearArguments) {
    for (uint64_t i = thread_index(); i < args.count; i += thread_count()) {
        args.values[i] = 0.0f;
    }
}

struct AddBiasArguments {
    float* out;         // [rows, stride], from the first column on
    const float* bias;  // [cols]
    uint32_t rows;
    uint32_t cols;
    uint32_t stride;
};

KERNEL(add_bias, AddBiasArguments) {
    uint64_t count = static_cast<uint64_t>(args.rows) * args.cols;
    for (uint64_t i = thread_index(); i < count; i += thread_count()) {
        args.out[i / args.cols * args.stride + i % args.cols] += args.bias[i % args.cols];
    }
}

struct RowsArguments {
    const float* input;
    const uint32_t* rows;    // [gridDim.x]
    const float* factors;    // [gridDim.x]; unused when rows are gathered
    float* out;
    uint32_t cols;
};

KERNEL(gather_rows, RowsArguments) {
    const float* from = args.input + static_cast<uint64_t>(args.rows[blockIdx.x]) * args.cols;
    float* to = args.out + static_cast<uint64_t>(blockIdx.x) * args.cols;
    for (uint32_t col = threadIdx.x; col < args.cols; col += blockDim.x) {
        to[col] = from[col];
    }
}

// The rows are different ones, so that no two blocks write the same.
KERNEL(add_rows, RowsArguments) {
    const float* from = args.input + static_cast<uint64_t>(blockIdx.x) * args.cols;
    float* to = args.out + static_cast<uint64_t>(args.rows[blockIdx.x]) * args.cols;
    float factor = args.factors[blockIdx.x];
    for (uint32_t col = threadIdx.x; col < args.cols; col += blockDim.x) {
        to[col] = __fadd_rn(to[col], __fmul_rn(factor, from[col]));
    }
}

struct RoundArguments {
    const float* input;  // [rows, cols]
    uint16_t* out;       // [rows, padded_cols] bfloat16
    uint32_t rows;
    uint32_t cols;
    uint32_t padded_cols;
};

// Activations as bfloat16, padded with zeros.
KERNEL(round_to_bf16, RoundArguments) {
    uint64_t count = static_cast<uint64_t>(args.rows) * args.padded_cols;
    for (uint64_t i = thread_index(); i < count; i += thread_count()) {
        uint64_t row = i / args.padded_cols, col = i % args.padded_cols;
        float value = col < args.cols ? args.input[row * args.cols + col] : 0.0f;
        args.out[i] = float_to_bf16(value);
    }
}
