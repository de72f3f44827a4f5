// Activations in memory: f32, or bfloat16 where the model's weights are. Arithmetic is f32.
#pragma once

#include "kernel.cuh"

enum ActivationDtype : uint32_t { ACTIVATION_F32, ACTIVATION_BF16 };

struct Values {
    uint8_t* at;
    uint32_t dtype;
};

__device__ inline float load(const Values& values, uint64_t i) {
    return values.dtype == ACTIVATION_F32
               ? reinterpret_cast<const float*>(values.at)[i]
               : bf16_to_float(reinterpret_cast<const uint16_t*>(values.at)[i]);
}

__device__ inline void store(const Values& values, uint64_t i, float value) {
    if (values.dtype == ACTIVATION_F32) {
        reinterpret_cast<float*>(values.at)[i] = value;
    } else {
        reinterpret_cast<uint16_t*>(values.at)[i] = float_to_bf16(value);
    }
}

// Elements `i` and the next as bfloat16; `i` is even and rows are of even length.
__device__ inline uint32_t load_pair(const Values& values, uint64_t i) {
    if (values.dtype == ACTIVATION_F32) {
        float2 pair = *reinterpret_cast<const float2*>(values.at + 4 * i);
        return pack_bf16(pair.x, pair.y);
    }
    return *reinterpret_cast<const uint32_t*>(values.at + 2 * i);
}

__device__ inline void store_pair(const Values& values, uint64_t i, float first, float second) {
    if (values.dtype == ACTIVATION_F32) {
        *reinterpret_cast<float2*>(values.at + 4 * i) = float2{first, second};
    } else {
        *reinterpret_cast<uint32_t*>(values.at + 2 * i) = pack_bf16(first, second);
    }
}

// Elements `i` and the next 7 as bfloat16; `i` is a multiple of 8 and rows are of such length.
__device__ inline uint4 load_eight(const Values& values, uint64_t i) {
    if (values.dtype == ACTIVATION_BF16) {
        return *reinterpret_cast<const uint4*>(values.at + 2 * i);
    }
    const float4* from = reinterpret_cast<const float4*>(values.at + 4 * i);
    float4 a = from[0], b = from[1];
    return uint4{pack_bf16(a.x, a.y), pack_bf16(a.z, a.w), pack_bf16(b.x, b.y), pack_bf16(b.z, b.w)};
}

// N elements at once, 8 or 1, from a multiple of N on.
template <uint32_t N>
__device__ inline void load_some(const Values& values, uint64_t i, float (&out)[N]) {
    if (N == 1) {
        out[0] = load(values, i);
    } else if (values.dtype == ACTIVATION_F32) {
        const float4* from = reinterpret_cast<const float4*>(values.at + 4 * i);
        float4 a = from[0], b = from[1];
        float all[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
        for (uint32_t j = 0; j < N; j++) {
            out[j] = all[j];
        }
    } else {
        uint4 pairs = *reinterpret_cast<const uint4*>(values.at + 2 * i);
        uint32_t words[4] = {pairs.x, pairs.y, pairs.z, pairs.w};
        for (uint32_t j = 0; j < N; j++) {
            out[j] = bf16_to_float(static_cast<uint16_t>(words[j / 2] >> (j % 2 * 16)));
        }
    }
}

template <uint32_t N>
__device__ inline void store_some(const Values& values, uint64_t i, const float (&from)[N]) {
    if (N == 1) {
        store(values, i, from[0]);
    } else if (values.dtype == ACTIVATION_F32) {
        float4* to = reinterpret_cast<float4*>(values.at + 4 * i);
        to[0] = float4{from[0], from[1 % N], from[2 % N], from[3 % N]};
        to[1] = float4{from[4 % N], from[5 % N], from[6 % N], from[7 % N]};
    } else {
        *reinterpret_cast<uint4*>(values.at + 2 * i) =
            uint4{pack_bf16(from[0], from[1 % N]), pack_bf16(from[2 % N], from[3 % N]),
                  pack_bf16(from[4 % N], from[5 % N]), pack_bf16(from[6 % N], from[7 % N])};
    }
}
