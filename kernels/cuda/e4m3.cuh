// 8-bit floats e4m3 (OCP 8-bit Floating Point Specification 1.0, 2023) in integers, for devices that
// have no instructions for them: a sign, 4 bits of exponent with bias 7, 3 bits of mantissa; no
// infinities, and what is no number is all ones.
#pragma once

#include <cstdint>

// To nearest even. Magnitudes above the largest, 448, infinities too, become that; what is no number
// becomes 0x7f, as by the instruction.
__device__ inline uint32_t float_to_e4m3(float value) {
    uint32_t bits = __float_as_uint(value), magnitude = bits & 0x7fffffffu;
    uint32_t sign = bits >> 24 & 0x80u;
    if (magnitude > 0x7f800000u) {
        return 0x7fu;
    }
    if (magnitude >= 0x43e00000u) {
        return sign | 0x7eu;
    }
    if (magnitude < 0x3c800000u) {
        // Below 2^-6 steps are 2^-9: those of f32 from 2^14 on.
        float shifted = __fadd_rn(__uint_as_float(magnitude), 16384.0f);
        return sign | (__float_as_uint(shifted) - 0x46800000u);
    }
    uint32_t rounded = magnitude + 0x7ffffu + (magnitude >> 20 & 1u);
    return sign | ((rounded >> 20) - (120u << 3));
}

// Exact.
__device__ inline float e4m3_to_float(uint8_t bits) {
    uint32_t magnitude = bits & 0x7fu, sign = static_cast<uint32_t>(bits & 0x80u) << 24;
    if (magnitude == 0x7fu) {
        return __uint_as_float(sign | 0x7fc00000u);
    }
    // With the exponent's bias of f32 it is 2^120 times too small.
    float value = __fmul_rn(__uint_as_float(magnitude << 20), 1.329227995784916e36f);
    return __uint_as_float(sign | __float_as_uint(value));
}
