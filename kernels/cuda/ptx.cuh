// Instructions that CUDA C++ has no words for. `emulator/instructions.h` has the same functions.
//
// Shapes and fragments are those of the PTX ISA 9.0, "Warp-level matrix instructions": in a warp,
// `g = lane / 4` and `t = lane % 4`.
#pragma once

#include <cstdint>

#include "e4m3.cuh"

// Lets the next kernel of the stream be placed once every block of this one has come so far; what it
// does before `wait_for_predecessors` then overlaps. Launches say whether they take part.
__device__ __forceinline__ void release_successors() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

// Waits until all earlier kernels have ended and what they wrote is seen.
__device__ __forceinline__ void wait_for_predecessors() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ inline float half_to_float(uint16_t bits) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
    return value;
}

// Two floats as bfloat16, the first in the low half; to nearest even.
__device__ inline uint32_t pack_bf16(float low, float high) {
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

// Two floats as e4m3, the first in the low byte; rounded as `float_to_e4m3` does.
__device__ inline uint32_t pack_e4m3(float low, float high) {
#if __CUDA_ARCH__ >= 890
    uint16_t pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
    return pair;
#else
    return float_to_e4m3(low) | float_to_e4m3(high) << 8;
#endif
}

// The two e4m3 of the low 16 bits as bfloat16, which is exact.
__device__ inline uint32_t widen_e4m3(uint32_t pair) {
#if __CUDA_ARCH__ >= 890
    uint32_t halves;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(static_cast<uint16_t>(pair)));
    return pack_bf16(half_to_float(static_cast<uint16_t>(halves)),
                     half_to_float(static_cast<uint16_t>(halves >> 16)));
#else
    return pack_bf16(e4m3_to_float(static_cast<uint8_t>(pair)),
                     e4m3_to_float(static_cast<uint8_t>(pair >> 8)));
#endif
}

// 16 bytes that no kernel writes and nobody reads again soon: they pass the first cache by.
__device__ inline uint4 load_streamed(const void* from) {
    uint4 value;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
                 : "l"(from));
    return value;
}

// What another block of this launch has written before its `__threadfence`.
__device__ inline float load_fresh(const float* from) { return __ldcg(from); }

// `sums += a * b` of 16 x 8 sums in f32, where `a` is 16 x 16 and `b` is 16 x 8 in bfloat16.
//
// a[i]: row g + 8 * (i % 2), columns 2 t + 8 * (i / 2) and the next.
// b[i]: rows 2 t + 8 i and the next, column g.
// sums[i]: row g + 8 * (i / 2), column 2 t + i % 2.
__device__ inline void multiply_bf16(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0,
                                     uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four matrices of 8 x 8 from shared memory: lane `i` says where row `i % 8` of matrix `i / 8` begins.
// out[m]: of matrix m row g, columns 2 t and the next.
__device__ inline void load_matrices(uint32_t (&out)[4], const void* row) {
    uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(at)
                 : "memory");
}

// The same of the transposed matrices: rows 2 t and the next, column g.
__device__ inline void load_transposed(uint32_t (&out)[4], const void* row) {
    uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
                 : "r"(at)
                 : "memory");
}

// Begins to copy 16 bytes to shared memory, or zeros if they are not `inside`.
__device__ inline void copy_async(void* to, const void* from, bool inside) {
    uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(to));
    uint32_t bytes = inside ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(bytes)
                 : "memory");
}

// What the thread has begun to copy since the last call is a group.
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until all of the thread's groups but the latest COUNT have arrived.
template <int COUNT>
__device__ inline void wait_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(COUNT) : "memory");
}
