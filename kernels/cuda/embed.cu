// Rows of a table by token id. One block per row.
#include "values.cuh"
#include "weights.cuh"

struct EmbedArguments {
    const uint8_t* table;       // rows `first..first + rows` of the table
    const uint32_t* token_ids;  // [gridDim.x]
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
    // Wraps around below `first`, so that one comparison does.
    uint32_t index = args.token_ids[blockIdx.x] - args.first;
    if (index >= args.rows) {
        return;
    }
#define CALL(DTYPE) embed_row<DTYPE>(args, index)
    WITH_DTYPE(args.dtype, CALL)
#undef CALL
}
