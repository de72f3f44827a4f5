// Which element of a row is the largest. One block per row.
#include "kernel.cuh"

struct LargestArguments {
    const float* values;  // [gridDim.x, cols]
    uint32_t* out;        // [gridDim.x]
    uint32_t cols;
};

constexpr uint32_t NO_INDEX = 0xffffffffu;

struct Candidate {
    float value;
    uint32_t index;
};

// Of equal ones the first. What is no number is larger than nothing.
__device__ inline Candidate larger(Candidate a, Candidate b) {
    bool takes_b = b.value > a.value || (b.value == a.value && b.index < a.index);
    return takes_b ? b : a;
}

__device__ inline Candidate warp_largest(Candidate candidate) {
    for (int mask = WARP / 2; mask > 0; mask /= 2) {
        Candidate other = {__shfl_xor_sync(0xffffffffu, candidate.value, mask),
                           __shfl_xor_sync(0xffffffffu, candidate.index, mask)};
        candidate = larger(candidate, other);
    }
    return candidate;
}

// Leaves NO_INDEX where the largest is not finite.
KERNEL(largest, LargestArguments) {
    __shared__ Candidate of_warps[WARP];
    const float infinity = __uint_as_float(0x7f800000u);
    const float* row = args.values + static_cast<uint64_t>(blockIdx.x) * args.cols;
    Candidate found = {-infinity, NO_INDEX};
#pragma unroll 4
    for (uint32_t i = threadIdx.x; i < args.cols; i += blockDim.x) {
        found = larger(found, {row[i], i});
    }
    found = warp_largest(found);
    if (threadIdx.x % WARP == 0) {
        of_warps[threadIdx.x / WARP] = found;
    }
    __syncthreads();
    if (threadIdx.x < WARP) {
        bool is_there = threadIdx.x < blockDim.x / WARP;
        found = is_there ? of_warps[threadIdx.x] : Candidate{-infinity, NO_INDEX};
        found = warp_largest(found);
        if (threadIdx.x == 0) {
            bool is_finite = found.value > -infinity && found.value < infinity;
            args.out[blockIdx.x] = is_finite ? found.index : NO_INDEX;
        }
    }
}
