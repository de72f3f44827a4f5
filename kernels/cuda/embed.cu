// Rows of a table by token id. One block per row.
#include "values.cuh"
#include "weights.cuh"

// `kernels::DRAWN_BEFORE`
constexpr uint32_t DRAWN_BEFORE = 1u << 31;

struct EmbedArguments {
    const uint8_t* table;       // rows `first..first + rows` of the table
    const uint32_t* token_ids;  // [gridDim.x]
    const uint32_t* drawn;      // of the step before, `NO_TOKEN` where there is none
    Values out;                 // [gridDim.x, cols]
    uint64_t row_bytes;
    uint32_t dtype;
    uint32_t first;
    uint32_t rows;
    uint32_t cols;
    float scale;
};

template <Dtype DTYPE>
__device__ void embed_row(const EmbedArguments& args, uint32_t index) {
    const uint8_t* row = args.table + index * args.row_bytes;
    uint64_t out = static_cast<uint64_t>(blockIdx.x) * args.cols;
    for (uint32_t k = threadIdx.x * CHUNK; k < args.cols; k += blockDim.x * CHUNK) {
        float values[CHUNK];
        read_chunk<DTYPE>(row, k, values);
        for (uint32_t i = 0; i < CHUNK && k + i < args.cols; i++) {
            store(args.out, out + k + i, args.scale * values[i]);
        }
    }
}

KERNEL(embed, EmbedArguments) {
    uint32_t token = args.token_ids[blockIdx.x];
    if (token & DRAWN_BEFORE) {
        token = args.drawn[token & ~DRAWN_BEFORE];
    }
    // Wraps around below `first`, so that one comparison does; `NO_TOKEN` is behind every table.
    uint32_t index = token - args.first;
    if (index >= args.rows) {
        return;
    }
#define CALL(DTYPE) embed_row<DTYPE>(args, index)
    WITH_DTYPE(args.dtype, CALL)
#undef CALL
}
