// Low-rank updates of products. Matrices are f32 as they were in the adapter, once converted.
#include "values.cuh"

struct LoraArguments {
    Values input;         // [_, in_stride]
    Values out;           // [_, out_stride]
    const float* matrix;  // [out_features, in_features]
    uint32_t first_row;
    uint32_t in_first;    // column of the first input feature
    uint32_t in_features;
    uint32_t in_stride;
    uint32_t out_features;
    uint32_t out_first;  // column of the first output feature
    uint32_t out_stride;
    uint32_t adds;       // whether the product is added to what is there
    float scale;
};

// One warp per output feature; rows along y.
KERNEL(lora_product, LoraArguments) {
    uint32_t feature = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (feature >= args.out_features) {
        return;
    }
    uint64_t row = args.first_row + blockIdx.y;
    uint64_t input = row * args.in_stride + args.in_first;
    const float* weight = args.matrix + static_cast<uint64_t>(feature) * args.in_features;
    float sum = 0.0f;
    for (uint32_t k = threadIdx.x % WARP; k < args.in_features; k += WARP) {
        sum += load(args.input, input + k) * weight[k];
    }
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) {
        uint64_t out = row * args.out_stride + args.out_first + feature;
        store(args.out, out, args.adds ? load(args.out, out) + args.scale * sum : sum);
    }
}
