// Non-linear functions.
#pragma once

#include "values.cuh"

enum Function : uint32_t { SILU, GELU_TANH, CLAMPED_SWIGLU, SOFT_CAP };

// As `Activation` describes them. Nothing is fused that could be: several kernels compute them, and a
// row's bits may have to be the same in all.
__device__ inline float evaluate(uint32_t function, float alpha, float limit, float x) {
    switch (function) {
        case SILU:
            return x / __fadd_rn(1.0f, expf(-x));
        case GELU_TANH: {
            // sqrt(2 / pi); 1 + tanh(y) = 2 / (1 + e^-2y), which does not cancel.
            float inner = 0.7978845608028654f * __fadd_rn(x, __fmul_rn(0.044715f * x * x, x));
            return x / __fadd_rn(1.0f, expf(-2.0f * inner));
        }
        case CLAMPED_SWIGLU: {
            // A comparison, so that what is no number stays so.
            float gate = x > limit ? limit : x;
            return gate / __fadd_rn(1.0f, expf(-alpha * gate));
        }
        default:
            return limit * tanhf(x / limit);
    }
}

// A gated unit: the function of the gate, times the other half.
__device__ inline float gated_value(uint32_t function, float alpha, float limit, float gate, float up) {
    if (function == CLAMPED_SWIGLU) {
        up = up > limit ? limit : up < -limit ? -limit : up;
        up += 1.0f;
    }
    return evaluate(function, alpha, limit, gate) * up;
}
