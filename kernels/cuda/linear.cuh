// What the kernels of matrix products share.
#pragma once

#include "activation.cuh"
#include "weights.cuh"

struct LinearArguments {
    const float* input;     // [rows, in_features]
    const uint8_t* weight;  // [out_features, in_features] of `dtype`, rows of `row_bytes`
    const float* bias;      // [out_features] or null
    float* out;             // [rows, out_stride], from the first of these features on
    uint64_t row_bytes;
    uint32_t dtype;
    uint32_t rows;
    uint32_t in_features;
    uint32_t out_features;
    uint32_t out_stride;
};
