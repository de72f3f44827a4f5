// What threads of the emulator can do beyond C++: CUDA's built-in functions, and those of `ptx.cuh`.
#pragma once

inline unsigned lane_index() { return threadIdx.x % emulator::LANES; }

inline void __syncwarp() { emulator::wait(emulator::device().warps[threadIdx.x / emulator::LANES]); }

template <typename T>
T __shfl_xor_sync(unsigned, T value, unsigned mask) {
    return emulator::show(value)[lane_index() ^ mask];
}

template <typename T>
T __shfl_sync(unsigned, T value, unsigned lane) {
    return emulator::show(value)[lane];
}

// Lanes without one so far below have their own.
template <typename T>
T __shfl_up_sync(unsigned, T value, unsigned distance) {
    unsigned lane = lane_index();
    return emulator::show(value)[lane >= distance ? lane - distance : lane];
}

// Blocks run one after the other, and see what was written before them.
inline void __threadfence() {}

template <typename T>
T atomicAdd(T* at, T value) {
    T before = *at;
    *at += value;
    return before;
}

inline float __uint_as_float(uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline uint32_t __float_as_uint(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned __int128>(a) * b >> 64;
}

// The emulator is compiled without contraction, so that these are what they say.
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }

#include "../e4m3.cuh"

inline uint32_t min(uint32_t a, uint32_t b) { return a < b ? a : b; }
inline uint32_t max(uint32_t a, uint32_t b) { return a > b ? a : b; }

inline void release_successors() {}
inline void wait_for_predecessors() {}

// A 16-bit IEEE float.
inline float half_to_float(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float magnitude = exponent == 0    ? std::ldexp(static_cast<float>(fraction), -24)
                      : exponent == 31 ? (fraction ? NAN : INFINITY)
                                       : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
    return bits >> 15 ? -magnitude : magnitude;
}

inline uint16_t float_to_bf16(float value);

inline uint32_t pack_bf16(float low, float high) {
    return float_to_bf16(low) | static_cast<uint32_t>(float_to_bf16(high)) << 16;
}

inline uint32_t pack_e4m3(float low, float high) {
    return float_to_e4m3(low) | float_to_e4m3(high) << 8;
}

inline uint32_t widen_e4m3(uint32_t pair) {
    return pack_bf16(e4m3_to_float(static_cast<uint8_t>(pair)),
                     e4m3_to_float(static_cast<uint8_t>(pair >> 8)));
}

inline uint4 load_streamed(const void* from) { return *static_cast<const uint4*>(from); }
inline float load_fresh(const float* from) { return *from; }

inline void multiply_bf16(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    struct Words {
        uint32_t a[4], b[2];
    };
    const Words* shown = emulator::show(Words{{a[0], a[1], a[2], a[3]}, {b0, b1}});
    auto half = [](uint32_t pair, unsigned k) {
        return __uint_as_float(k % 2 ? pair & 0xffff0000u : pair << 16);
    };
    unsigned g = lane_index() / 4, t = lane_index() % 4;
    for (unsigned i = 0; i < 4; i++) {
        unsigned row = g + 8 * (i / 2), col = 2 * t + i % 2;
        for (unsigned k = 0; k < 16; k++) {
            unsigned in_row = k % 8 / 2;
            float x = half(shown[row % 8 * 4 + in_row].a[k / 8 * 2 + row / 8], k);
            float y = half(shown[col * 4 + in_row].b[k / 8], k);
            sums[i] += x * y;
        }
    }
}

namespace emulator {

// The matrices whose rows begin where the lanes say: element `col` of row `row` of each.
inline void load_elements(uint32_t (&out)[4], const void* row, bool is_transposed) {
    const void* const* rows = show(row);
    unsigned g = lane_index() / 4, t = lane_index() % 4;
    for (unsigned m = 0; m < 4; m++) {
        out[m] = 0;
        for (unsigned i = 0; i < 2; i++) {
            unsigned of = is_transposed ? 2 * t + i : g, at = is_transposed ? g : 2 * t + i;
            if (reinterpret_cast<uintptr_t>(rows[8 * m + of]) % 16 != 0) {
                fail("a row of a matrix is not aligned");
            }
            uint32_t element = static_cast<const uint16_t*>(rows[8 * m + of])[at];
            out[m] |= element << (16 * i);
        }
    }
    // Nobody writes them again before all have read.
    wait(device().warps[threadIdx.x / LANES]);
}

inline void finish(const std::vector<Copy>& copies) {
    for (const Copy& copy : copies) {
        copy.from ? std::memcpy(copy.to, copy.from, 16) : std::memset(copy.to, 0, 16);
    }
}

}  // namespace emulator

inline void load_matrices(uint32_t (&out)[4], const void* row) {
    emulator::load_elements(out, row, false);
}

inline void load_transposed(uint32_t (&out)[4], const void* row) {
    emulator::load_elements(out, row, true);
}

inline void copy_async(void* to, const void* from, bool inside) {
    uintptr_t places = reinterpret_cast<uintptr_t>(to) | (inside ? reinterpret_cast<uintptr_t>(from) : 0);
    if (places % 16 != 0) {
        emulator::fail("a copy is not aligned");
    }
    emulator::Copy copy{to, inside ? from : nullptr};
    if (emulator::device().copies_at_once) {
        emulator::finish({copy});
    }
    emulator::device().current->copies.back().push_back(copy);
}

inline void commit_copies() { emulator::device().current->copies.push_back({}); }

template <int COUNT>
inline void wait_copies() {
    auto& groups = emulator::device().current->copies;
    while (groups.size() > COUNT + 1) {
        if (!emulator::device().copies_at_once) {
            emulator::finish(groups.front());
        }
        groups.erase(groups.begin());
    }
}
