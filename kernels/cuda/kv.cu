// The paged KV cache: norms and rotation of heads, writing, copies of blocks.
#include "kv.cuh"
#include "values.cuh"

struct WriteKvArguments {
    Values qkv;                 // [gridDim.x, row_size]
    KvLayer kv;
    const uint32_t* slots;      // [gridDim.x]
    const float* q_norm;        // [head_dim]; null without a norm
    const float* k_norm;        // [head_dim]
    const uint32_t* positions;  // [gridDim.x]; null without rotation
    const float* cos;           // [_, rotary_dim / 2]
    const float* sin;           // [_, rotary_dim / 2]
    uint32_t num_q_heads;
    uint32_t rotary_dim;
    float eps;
};

// The head into the warp's memory, normalised if there is a weight. N elements at once.
template <uint32_t N>
__device__ inline void load_head(const WriteKvArguments& args, uint64_t start, const float* weight,
                                 float* head) {
    uint32_t first = threadIdx.x % WARP * N;
    float squares = 0.0f;
    for (uint32_t i = first; i < args.kv.head_dim; i += WARP * N) {
        float values[N];
        load_some<N>(args.qkv, start + i, values);
        for (uint32_t j = 0; j < N; j++) {
            head[i + j] = values[j];
            squares += values[j] * values[j];
        }
    }
    if (weight) {
        float factor = 1.0f / sqrtf(warp_sum(squares) / args.kv.head_dim + args.eps);
        for (uint32_t i = first; i < args.kv.head_dim; i += WARP * N) {
            for (uint32_t j = 0; j < N; j++) {
                head[i + j] = head[i + j] * factor * weight[i + j];
            }
        }
    }
    __syncwarp();
}

// The head's first elements, halves against each other.
__device__ inline void rotate(const WriteKvArguments& args, float* head) {
    uint32_t half = args.rotary_dim / 2;
    uint64_t start = static_cast<uint64_t>(args.positions[blockIdx.x]) * half;
    for (uint32_t i = threadIdx.x % WARP; i < half; i += WARP) {
        float cos = args.cos[start + i], sin = args.sin[start + i];
        float a = head[i], b = head[i + half];
        head[i] = a * cos - b * sin;
        head[i + half] = b * cos + a * sin;
    }
    __syncwarp();
}

template <uint32_t N>
__device__ inline void store_head(const Values& to, uint64_t start, uint32_t head_dim,
                                  const float* head) {
    for (uint32_t i = threadIdx.x % WARP * N; i < head_dim; i += WARP * N) {
        float values[N];
        for (uint32_t j = 0; j < N; j++) {
            values[j] = head[i + j];
        }
        store_some<N>(to, start + i, values);
    }
}

// Leaves the scale at `scale`.
__device__ inline void store_int8(uint8_t* to, float* scale, uint32_t head_dim, const float* head) {
    uint32_t lane = threadIdx.x % WARP;
    float largest = 0.0f, finite = 1.0f;
    for (uint32_t i = lane; i < head_dim; i += WARP) {
        float magnitude = fabsf(head[i]);
        // What is no number fails the comparison, too.
        finite = magnitude <= 3.402823466e38f ? finite : 0.0f;
        largest = fmaxf(largest, magnitude);
    }
    bool is_finite = warp_max(1.0f - finite) == 0.0f;
    float step = is_finite ? warp_max(largest) / 127.0f : __uint_as_float(0x7fc00000u);
    float inverse = 1.0f / step;
    inverse = inverse > 3.402823466e38f ? 0.0f : inverse;
    for (uint32_t i = lane; i < head_dim; i += WARP) {
        // Where the scale is no number, any integer will do.
        float quant = inverse == inverse ? rintf(__fmul_rn(head[i], inverse)) : 0.0f;
        reinterpret_cast<int8_t*>(to)[i] = static_cast<int8_t>(quant);
    }
    if (lane == 0) {
        *scale = step;
    }
}

template <uint32_t N>
__device__ inline void store_fp8(uint8_t* to, uint32_t head_dim, const float* head) {
    for (uint32_t i = threadIdx.x % WARP * N; i < head_dim; i += WARP * N) {
        if (N == 1) {
            to[i] = static_cast<uint8_t>(pack_e4m3(head[i], 0.0f));
        } else {
            uint32_t words[2];
            for (uint32_t j = 0; j < 2; j++) {
                const float* four = head + i + 4 * j;
                words[j] = pack_e4m3(four[0], four[1]) | pack_e4m3(four[2], four[3]) << 16;
            }
            *reinterpret_cast<uint2*>(to + i) = uint2{words[0], words[1]};
        }
    }
}

// One warp's head: it goes back to its row if it has changed, and keys and values to the cache.
template <uint32_t N>
__device__ inline void take_head(const WriteKvArguments& args, uint32_t index, float* head) {
    const KvLayer& kv = args.kv;
    uint32_t num_heads = args.num_q_heads + 2 * kv.num_kv_heads;
    uint64_t start = (static_cast<uint64_t>(blockIdx.x) * num_heads + index) * kv.head_dim;
    bool is_query = index < args.num_q_heads;
    bool is_value = index >= args.num_q_heads + kv.num_kv_heads;
    const float* norm = is_value ? nullptr : is_query ? args.q_norm : args.k_norm;
    load_head<N>(args, start, norm, head);
    bool rotates = args.positions && !is_value;
    if (rotates) {
        rotate(args, head);
    }
    if (rotates || norm) {
        store_head<N>(args.qkv, start, kv.head_dim, head);
    }
    if (is_query) {
        return;
    }
    uint32_t kv_head = (index - args.num_q_heads) % kv.num_kv_heads;
    uint64_t at = static_cast<uint64_t>(args.slots[blockIdx.x]) * kv.num_kv_heads + kv_head;
    uint8_t* to = is_value ? kv.values : kv.keys;
    switch (kv.dtype) {
        case KV_F32:
            store_head<N>({to, ACTIVATION_F32}, at * kv.head_dim, kv.head_dim, head);
            break;
        case KV_BF16:
            store_head<N>({to, ACTIVATION_BF16}, at * kv.head_dim, kv.head_dim, head);
            break;
        case KV_FP8:
            store_fp8<N>(to + at * kv.head_dim, kv.head_dim, head);
            break;
        default:
            store_int8(to + at * kv.head_dim, (is_value ? kv.value_scales : kv.key_scales) + at,
                       kv.head_dim, head);
    }
}

// One warp per row and head, heads along y: queries, keys, values. Shared memory: a head for each
// warp.
KERNEL(write_kv, WriteKvArguments) {
    DYNAMIC_SHARED(memory);
    uint32_t warp = threadIdx.x / WARP, index = blockIdx.y * (blockDim.x / WARP) + warp;
    if (index < args.num_q_heads + 2 * args.kv.num_kv_heads) {
        float* head = reinterpret_cast<float*>(memory) + warp * args.kv.head_dim;
        args.kv.head_dim % 8 == 0 ? take_head<8>(args, index, head) : take_head<1>(args, index, head);
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
