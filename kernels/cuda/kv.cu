// The paged KV cache: rotation, writing, copies of blocks.
#include "kv.cuh"
#include "values.cuh"

struct WriteKvArguments {
    Values qkv;                 // [gridDim.x, row_size]
    KvLayer kv;
    const uint32_t* slots;      // [gridDim.x]
    const uint32_t* positions;  // [gridDim.x]; null without rotation
    const float* cos;           // [_, rotary_dim / 2]
    const float* sin;           // [_, rotary_dim / 2]
    uint32_t num_q_heads;
    uint32_t rotary_dim;
};

// The first elements of the warp's head, in place, halves against each other.
__device__ inline void rotate(const WriteKvArguments& args, uint64_t head) {
    uint32_t half = args.rotary_dim / 2;
    uint64_t start = static_cast<uint64_t>(args.positions[blockIdx.x]) * half;
    for (uint32_t i = threadIdx.x % WARP; i < half; i += WARP) {
        float cos = args.cos[start + i], sin = args.sin[start + i];
        float a = load(args.qkv, head + i), b = load(args.qkv, head + i + half);
        store(args.qkv, head + i, a * cos - b * sin);
        store(args.qkv, head + i + half, b * cos + a * sin);
    }
    __syncwarp();
}

// What a head of 8-bit integers is multiplied with: the scale that is stored, and its inverse.
__device__ inline void int8_scale(const WriteKvArguments& args, uint64_t head, float& scale,
                                  float& inverse) {
    float largest = 0.0f, finite = 1.0f;
    for (uint32_t i = threadIdx.x % WARP; i < args.kv.head_dim; i += WARP) {
        float magnitude = fabsf(load(args.qkv, head + i));
        // What is no number fails the comparison, too.
        finite = magnitude <= 3.402823466e38f ? finite : 0.0f;
        largest = fmaxf(largest, magnitude);
    }
    bool is_finite = warp_max(1.0f - finite) == 0.0f;
    largest = warp_max(largest);
    scale = is_finite ? largest / 127.0f : __uint_as_float(0x7fc00000u);
    inverse = 1.0f / scale;
    inverse = inverse > 3.402823466e38f ? 0.0f : inverse;
}

// One warp per row and head, heads along y: queries, keys, values.
KERNEL(write_kv, WriteKvArguments) {
    const KvLayer& kv = args.kv;
    uint32_t num_heads = args.num_q_heads + 2 * kv.num_kv_heads, lane = threadIdx.x % WARP;
    uint32_t index = blockIdx.y * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (index >= num_heads) {
        return;
    }
    uint64_t head = (static_cast<uint64_t>(blockIdx.x) * num_heads + index) * kv.head_dim;
    bool is_value = index >= args.num_q_heads + kv.num_kv_heads;
    if (args.positions && !is_value) {
        rotate(args, head);
    }
    if (index < args.num_q_heads) {
        return;
    }
    uint32_t kv_head = (index - args.num_q_heads) % kv.num_kv_heads;
    uint64_t at = static_cast<uint64_t>(args.slots[blockIdx.x]) * kv.num_kv_heads + kv_head;
    uint8_t* to = (is_value ? kv.values : kv.keys) + at * kv.head_dim * element_bytes(kv.dtype);
    float scale = 0.0f, inverse = 0.0f;
    if (kv.dtype == KV_INT8) {
        int8_scale(args, head, scale, inverse);
        if (lane == 0) {
            (is_value ? kv.value_scales : kv.key_scales)[at] = scale;
        }
    }
    for (uint32_t i = lane; i < kv.head_dim; i += WARP) {
        float value = load(args.qkv, head + i);
        switch (kv.dtype) {
            case KV_F32:
                reinterpret_cast<float*>(to)[i] = value;
                break;
            case KV_BF16:
                reinterpret_cast<uint16_t*>(to)[i] = float_to_bf16(value);
                break;
            default: {
                // Where the scale is no number, any integer will do.
                float quant = inverse == inverse ? rintf(__fmul_rn(value, inverse)) : 0.0f;
                reinterpret_cast<int8_t*>(to)[i] = static_cast<int8_t>(quant);
            }
        }
    }
}

struct CopyArguments {
    uint8_t* memory;
    uint64_t layer_bytes;  // from one layer's to the next one's; layers along y
    uint64_t src;
    uint64_t dst;
    uint64_t bytes;        // a multiple of 1, of one copy
};

// The same bytes of every layer, from one place to another.
KERNEL(copy_layers, CopyArguments) {
    uint8_t* layer = args.memory + blockIdx.y * args.layer_bytes;
    uint64_t stride = static_cast<uint64_t>(gridDim.x) * blockDim.x;
    uint64_t first = static_cast<uint64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    for (uint64_t i = first; i < args.bytes; i += stride) {
        layer[args.dst + i] = layer[args.src + i];
    }
}
