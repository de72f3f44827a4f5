// What every kernel is written with: its declaration, sums over warps and blocks, element types.
//
// A kernel takes one argument, a struct of pointers and sizes that `arguments.rs` repeats; the host
// owns the launch geometry. Blocks are one-dimensional and whole warps.
#pragma once

#ifdef PURSER_EMULATED
#include "emulator/emulator.h"
#else
#include <cstdint>

// A kernel that waits for what runs before it when it likes to: nothing that kernels write may be
// touched before `wait_for_predecessors`, which every path calls.
//
// `bounds` are launch bounds or nothing.
#define EARLY_KERNEL(name, Arguments, bounds)                                                \
    __device__ __forceinline__ void name##_body(const Arguments& args);                      \
    extern "C" __global__ void bounds name(const __grid_constant__ Arguments args) {         \
        release_successors();                                                                \
        name##_body(args);                                                                   \
    }                                                                                        \
    __device__ __forceinline__ void name##_body(const Arguments& args)
// Shared memory whose size the launch gives.
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]

#include "ptx.cuh"
#endif

constexpr int WARP = 32;

// A kernel that begins when those before it have ended.
#define KERNEL(name, Arguments)                                                              \
    __device__ __forceinline__ void name##_waited(const Arguments& args);                    \
    EARLY_KERNEL(name, Arguments, ) {                                                        \
        wait_for_predecessors();                                                             \
        name##_waited(args);                                                                 \
    }                                                                                        \
    __device__ __forceinline__ void name##_waited(const Arguments& args)

__device__ inline float bf16_to_float(uint16_t bits) {
    return __uint_as_float(static_cast<uint32_t>(bits) << 16);
}

// Rounds to nearest even; what is no number stays so.
__device__ inline uint16_t float_to_bf16(float value) {
    uint32_t bits = __float_as_uint(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return static_cast<uint16_t>((bits >> 16) | 0x40u);
    }
    return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

__device__ inline float warp_sum(float value) {
    for (int mask = WARP / 2; mask > 0; mask /= 2) {
        value += __shfl_xor_sync(0xffffffffu, value, mask);
    }
    return value;
}

__device__ inline float warp_max(float value) {
    for (int mask = WARP / 2; mask > 0; mask /= 2) {
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, mask));
    }
    return value;
}

// The sum over the block, in every thread.
__device__ inline float block_sum(float value) {
    __shared__ float sums[WARP];
    value = warp_sum(value);
    if (threadIdx.x % WARP == 0) {
        sums[threadIdx.x / WARP] = value;
    }
    __syncthreads();
    float sum = 0.0f;
    for (unsigned warp = 0; warp < blockDim.x / WARP; warp++) {
        sum += sums[warp];
    }
    // The next call may write what a slow thread still reads.
    __syncthreads();
    return sum;
}
