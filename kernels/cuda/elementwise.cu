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
    Values values;
    uint64_t count;
    uint32_t function;
    float alpha;  // gain of the clamped sigmoid
    float limit;  // of what is clamped; the cap
};

KERNEL(apply_function, FunctionArguments) {
    for (uint64_t i = thread_index(); i < args.count; i += thread_count()) {
        float value = load(args.values, i);
        store(args.values, i, evaluate(args.function, args.alpha, args.limit, value));
    }
}

struct GateArguments {
    Values gate_up;  // [_, 2 * cols]
    Values out;      // [_, cols]
    uint32_t first_row;
    uint32_t rows;
    uint32_t cols;
    uint32_t function;
    float alpha;
    float limit;
};

// N elements at once; rows are of such length.
template <uint32_t N>
__device__ inline void gate_rows(const GateArguments& args) {
    uint32_t pieces = args.cols / N;
    uint64_t count = static_cast<uint64_t>(args.rows) * pieces;
    for (uint64_t i = thread_index(); i < count; i += thread_count()) {
        uint64_t row = args.first_row + i / pieces, col = i % pieces * N;
        float gate[N], up[N];
        load_some<N>(args.gate_up, row * 2 * args.cols + col, gate);
        load_some<N>(args.gate_up, row * 2 * args.cols + args.cols + col, up);
        for (uint32_t j = 0; j < N; j++) {
            gate[j] = gated_value(args.function, args.alpha, args.limit, gate[j], up[j]);
        }
        store_some<N>(args.out, row * args.cols + col, gate);
    }
}

KERNEL(gate, GateArguments) {
    args.cols % 8 == 0 ? gate_rows<8>(args) : gate_rows<1>(args);
}

struct AddArguments {
    Values out;
    Values delta;
    uint64_t count;
    float scale;
};

KERNEL(add, AddArguments) {
    for (uint64_t i = thread_index(); i < args.count; i += thread_count()) {
        // Not fused: sums are those of f32, on every backend.
        float scaled = __fmul_rn(load(args.delta, i), args.scale);
        store(args.out, i, __fadd_rn(load(args.out, i), scaled));
    }
}

struct ClearArguments {
    Values values;
    uint64_t count;
};

KERNEL(clear, ClearArguments) {
    for (uint64_t i = thread_index(); i < args.count; i += thread_count()) {
        store(args.values, i, 0.0f);
    }
}

struct AddBiasArguments {
    Values out;         // [rows, stride], from the first column on
    const float* bias;  // [cols]
    uint32_t rows;
    uint32_t cols;
    uint32_t stride;
};

KERNEL(add_bias, AddBiasArguments) {
    uint64_t count = static_cast<uint64_t>(args.rows) * args.cols;
    for (uint64_t i = thread_index(); i < count; i += thread_count()) {
        uint64_t at = i / args.cols * args.stride + i % args.cols;
        store(args.out, at, load(args.out, at) + args.bias[i % args.cols]);
    }
}

struct RowsArguments {
    Values input;
    Values out;
    const uint32_t* rows;    // [gridDim.x]
    const float* factors;    // [gridDim.x]; unused when rows are gathered
    uint32_t cols;
};

KERNEL(gather_rows, RowsArguments) {
    uint64_t from = static_cast<uint64_t>(args.rows[blockIdx.x]) * args.cols;
    uint64_t to = static_cast<uint64_t>(blockIdx.x) * args.cols;
    for (uint32_t col = threadIdx.x; col < args.cols; col += blockDim.x) {
        store(args.out, to + col, load(args.input, from + col));
    }
}

// The rows are different ones, so that no two blocks write the same.
KERNEL(add_rows, RowsArguments) {
    uint64_t from = static_cast<uint64_t>(blockIdx.x) * args.cols;
    uint64_t to = static_cast<uint64_t>(args.rows[blockIdx.x]) * args.cols;
    float factor = args.factors[blockIdx.x];
    for (uint32_t col = threadIdx.x; col < args.cols; col += blockDim.x) {
        float scaled = __fmul_rn(factor, load(args.input, from + col));
        store(args.out, to + col, __fadd_rn(load(args.out, to + col), scaled));
    }
}

struct RoundArguments {
    Values input;   // [rows, cols]
    uint16_t* out;  // [rows, padded_cols] bfloat16
    uint32_t rows;
    uint32_t cols;
    uint32_t padded_cols;
};

// Activations as bfloat16, padded with zeros.
KERNEL(round_to_bf16, RoundArguments) {
    uint64_t count = static_cast<uint64_t>(args.rows) * args.padded_cols;
    for (uint64_t i = thread_index(); i < count; i += thread_count()) {
        uint64_t row = i / args.padded_cols, col = i % args.padded_cols;
        float value = col < args.cols ? load(args.input, row * args.cols + col) : 0.0f;
        args.out[i] = float_to_bf16(value);
    }
}
