// All kernels: one module, so that the host loads one image.
#include "embed.cu"
#include "norm.cu"
#include "elementwise.cu"
#include "linear.cu"
#include "kv.cu"
#include "attention.cu"
#include "lora.cu"
