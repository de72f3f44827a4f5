// Weights of matrix products as they lie in memory: floats, or GGUF's blocks of integers
// (`ggml-common.h` of llama.cpp describes them; `quantized/decode.rs` reads the same).
#pragma once

#include "kernel.cuh"

enum Dtype : uint32_t { F32, F16, BF16, Q4_0, Q5_0, Q8_0, Q4K, Q5K, Q6K };

// Elements that are read together.
constexpr uint32_t CHUNK = 8;

__device__ inline float half_at(const uint8_t* bytes) {
    return half_to_float(static_cast<uint16_t>(bytes[0] | bytes[1] << 8));
}

// The chunk's elements are `scale * quant - min`, rounded twice as on the host.
__device__ inline void scaled(const int* quants, float scale, float min, float* out) {
    for (uint32_t i = 0; i < CHUNK; i++) {
        out[i] = __fsub_rn(__fmul_rn(scale, static_cast<float>(quants[i])), min);
    }
}

template <Dtype DTYPE>
__device__ inline void read_block_of_32(const uint8_t* row, uint32_t k, float* out) {
    constexpr uint32_t BYTES = DTYPE == Q4_0 ? 18 : DTYPE == Q5_0 ? 22 : 34;
    const uint8_t* block = row + k / 32 * BYTES;
    uint32_t first = k % 32;
    int quants[CHUNK];
    for (uint32_t i = 0; i < CHUNK; i++) {
        uint32_t j = first + i;
        if (DTYPE == Q8_0) {
            quants[i] = static_cast<int8_t>(block[2 + j]);
        } else {
            const uint8_t* nibbles = block + (DTYPE == Q4_0 ? 2 : 6);
            int quant = nibbles[j % 16] >> (j / 16 * 4) & 15;
            if (DTYPE == Q5_0) {
                quant |= (block[2 + j / 8] >> (j % 8) & 1) << 4;
            }
            quants[i] = quant - (DTYPE == Q4_0 ? 8 : 16);
        }
    }
    scaled(quants, half_at(block), 0.0f, out);
}

template <Dtype DTYPE>
__device__ inline void read_block_of_256(const uint8_t* row, uint32_t k, float* out) {
    constexpr uint32_t BYTES = DTYPE == Q4K ? 144 : 176;
    const uint8_t* block = row + k / 256 * BYTES;
    uint32_t first = k % 256;
    uint32_t sub = first / 32;
    const uint8_t* packed = block + 4;
    int scale, min;
    if (sub < 4) {
        scale = packed[sub] & 63;
        min = packed[sub + 4] & 63;
    } else {
        int both = packed[sub + 4];
        scale = (both & 15) | packed[sub - 4] >> 6 << 4;
        min = both >> 4 | packed[sub] >> 6 << 4;
    }
    const uint8_t* nibbles = block + (DTYPE == Q4K ? 16 : 48) + sub / 2 * 32;
    int quants[CHUNK];
    for (uint32_t i = 0; i < CHUNK; i++) {
        uint32_t j = first % 32 + i;
        quants[i] = nibbles[j] >> (sub % 2 * 4) & 15;
        if (DTYPE == Q5K) {
            quants[i] |= (block[16 + j] >> sub & 1) << 4;
        }
    }
    float of_scale = __fmul_rn(half_at(block), static_cast<float>(scale));
    float of_min = __fmul_rn(half_at(block + 2), static_cast<float>(min));
    scaled(quants, of_scale, of_min, out);
}

__device__ inline void read_q6k(const uint8_t* row, uint32_t k, float* out) {
    const uint8_t* block = row + k / 256 * 210;
    uint32_t first = k % 256;
    uint32_t half = first / 128, quarter = first % 128 / 32;
    const uint8_t* low = block + half * 64 + quarter % 2 * 32;
    const uint8_t* high = block + 128 + half * 32;
    int quants[CHUNK];
    for (uint32_t i = 0; i < CHUNK; i++) {
        uint32_t j = first % 32 + i;
        int nibble = low[j] >> (quarter / 2 * 4) & 15;
        int two = high[j] >> (2 * quarter) & 3;
        quants[i] = (nibble | two << 4) - 32;
    }
    float scale = static_cast<float>(static_cast<int8_t>(block[192 + first / 16]));
    scaled(quants, __fmul_rn(half_at(block + 208), scale), 0.0f, out);
}

// Elements `k..k + CHUNK` of a row; `k` is a multiple of CHUNK, and rows are padded to whole chunks
// of 16 bytes' alignment.
template <Dtype DTYPE>
__device__ inline void read_chunk(const uint8_t* row, uint32_t k, float* out) {
    if (DTYPE == F32) {
        const float4* from = reinterpret_cast<const float4*>(row + 4ull * k);
        float4 a = from[0], b = from[1];
        out[0] = a.x, out[1] = a.y, out[2] = a.z, out[3] = a.w;
        out[4] = b.x, out[5] = b.y, out[6] = b.z, out[7] = b.w;
    } else if (DTYPE == F16 || DTYPE == BF16) {
        uint4 pairs = *reinterpret_cast<const uint4*>(row + 2ull * k);
        uint32_t words[4] = {pairs.x, pairs.y, pairs.z, pairs.w};
        for (uint32_t i = 0; i < CHUNK; i++) {
            uint16_t bits = static_cast<uint16_t>(words[i / 2] >> (i % 2 * 16));
            out[i] = DTYPE == F16 ? half_to_float(bits) : bf16_to_float(bits);
        }
    } else if (DTYPE == Q6K) {
        read_q6k(row, k, out);
    } else if (DTYPE == Q4K || DTYPE == Q5K) {
        read_block_of_256<DTYPE>(row, k, out);
    } else {
        read_block_of_32<DTYPE>(row, k, out);
    }
}

// Calls `call` with the type as a constant.
#define WITH_DTYPE(dtype, call)            \
    switch (dtype) {                       \
        case F32: call(F32); break;        \
        case F16: call(F16); break;        \
        case BF16: call(BF16); break;      \
        case Q4_0: call(Q4_0); break;      \
        case Q5_0: call(Q5_0); break;      \
        case Q8_0: call(Q8_0); break;      \
        case Q4K: call(Q4K); break;        \
        case Q5K: call(Q5K); break;        \
        case Q6K: call(Q6K); break;        \
    }
