// How keys and values lie in memory: `[slot, kv_head, head_dim]` of a layer.
#pragma once

#include "kernel.cuh"

enum KvDtype : uint32_t { KV_F32, KV_BF16, KV_INT8, KV_FP8 };

struct KvLayer {
    uint8_t* keys;
    uint8_t* values;
    float* key_scales;    // [slot, kv_head], of 8-bit integers
    float* value_scales;
    uint32_t dtype;
    uint32_t num_kv_heads;
    uint32_t head_dim;
    uint32_t block_size;
};

__device__ inline uint32_t element_bytes(uint32_t dtype) {
    return dtype == KV_F32 ? 4 : dtype == KV_BF16 ? 2 : 1;
}

// Element `i` of the head at `index` (slot * num_kv_heads + kv_head).
__device__ inline float read_element(const uint8_t* from, const float* scales, const KvLayer& kv,
                                     uint64_t index, uint32_t i) {
    uint64_t at = index * kv.head_dim + i;
    switch (kv.dtype) {
        case KV_F32:
            return reinterpret_cast<const float*>(from)[at];
        case KV_BF16:
            return bf16_to_float(reinterpret_cast<const uint16_t*>(from)[at]);
        case KV_FP8:
            return e4m3_to_float(from[at]);
        default:
            return reinterpret_cast<const int8_t*>(from)[at] * scales[index];
    }
}
