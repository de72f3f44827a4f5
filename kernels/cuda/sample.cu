// The next token of each row of logits. One block per row.
//
// As the engine's own sampler does it: temperature, top-k, top-p (over what top-k left), min-p, then
// the token at the draw's place. With top-k or top-p tokens take their shares from the likeliest to
// the least likely one, otherwise in their own order.
#include "selection.cuh"

// Of a row, `draw.rs`.
struct Draw {
    uint32_t row;      // of the logits
    float scale;       // the inverse of the temperature; 0 takes the likeliest
    uint32_t top_k;    // 0 is all
    float top_p;
    float min_p;
    uint32_t place[2]; // in [0, 1), in units of 2^-64: the lower half first
    uint32_t num_top;  // 1 + how many of the likeliest log probabilities are wanted; 0 without any
};

struct Likely {
    uint32_t index;
    float logprob;
};

struct SampleArguments {
    const float* logits;  // [_, cols]
    const Draw* draws;    // [gridDim.x]
    uint32_t* tokens;     // [gridDim.x]
    float* logprobs;      // [gridDim.x], of the tokens
    Likely* top;          // [gridDim.x, max_top]
    uint32_t cols;
    uint32_t max_top;     // at most LIST_LENGTH
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

// In every thread.
__device__ inline Candidate block_largest(const float* logits, uint32_t cols) {
    __shared__ Candidate of_warps[SELECTION_WARPS];
    Candidate found = {-__uint_as_float(0x7f800000u), NO_INDEX};
#pragma unroll 4
    for (uint32_t i = threadIdx.x; i < cols; i += SELECTION_THREADS) {
        found = larger(found, {logits[i], i});
    }
    found = warp_largest(found);
    if (threadIdx.x % WARP == 0) {
        of_warps[threadIdx.x / WARP] = found;
    }
    __syncthreads();
    return warp_largest(of_warps[threadIdx.x % WARP]);
}

__device__ inline uint32_t draw_token(const Row& row, const Draw& draw, SelectionMemory& memory) {
    Share all = 0, likely = 0, numbers = 0;
    for (uint32_t i = threadIdx.x; i < row.cols; i += SELECTION_THREADS) {
        Share share = share_of(row, row.logits[i]);
        all += share;
        numbers += row.logits[i] == row.logits[i];
        likely += weight_of(row, row.logits[i]) >= draw.min_p ? share : 0;
    }
    all = block_total(memory, all);
    likely = block_total(memory, likely);
    Share place = static_cast<Share>(draw.place[1]) << 32 | draw.place[0];
    bool has_top_k = draw.top_k > 0 && draw.top_k < row.cols;
    if (!has_top_k && draw.top_p >= 1.0f) {
        return reach_in_order(row, memory, __umul64hi(likely, place) + 1, [&](uint32_t i) -> Share {
            bool is_likely = weight_of(row, row.logits[i]) >= draw.min_p;
            return is_likely ? share_of(row, row.logits[i]) : 0;
        });
    }
    Share kept = all;
    if (has_top_k) {
        numbers = block_total(memory, numbers);
        kept = reach(row, memory, true, min(draw.top_k, static_cast<uint32_t>(numbers))).shares;
    }
    if (draw.top_p < 1.0f) {
        double wanted = ceil(static_cast<double>(draw.top_p) * static_cast<double>(kept));
        Share target = wanted < 1.0 ? 1 : static_cast<Share>(wanted);
        kept = reach(row, memory, false, target < kept ? target : kept).shares;
    }
    kept = likely < kept ? likely : kept;
    return reach(row, memory, false, __umul64hi(kept, place) + 1).index;
}

// Log probabilities by the plain softmax of the row: of `token`, and of the likeliest.
__device__ inline void store_logprobs(const SampleArguments& args, Row row, const Draw& draw,
                                      uint32_t token, SelectionMemory& memory) {
    float sum = 0.0f;
    for (uint32_t i = threadIdx.x; i < row.cols; i += SELECTION_THREADS) {
        float weight = expf(row.logits[i] - row.largest);
        sum += weight > 0.0f ? weight : 0.0f;
    }
    float log_sum = logf(block_sum(sum));
    if (threadIdx.x == 0) {
        args.logprobs[blockIdx.x] = row.logits[token] - row.largest - log_sum;
    }
    uint32_t count = min(draw.num_top - 1, min(args.max_top, row.cols));
    if (count == 0) {
        return;
    }
    Share numbers = 0;
    for (uint32_t i = threadIdx.x; i < row.cols; i += SELECTION_THREADS) {
        numbers += row.logits[i] == row.logits[i];
    }
    numbers = block_total(memory, numbers);
    count = numbers < count ? static_cast<uint32_t>(numbers) : count;
    Reached last = reach(row, memory, true, count);
    sort_members(row, memory, [&](float logit, uint32_t index) {
        uint32_t key = key_of(logit);
        bool is_likelier = key > last.key || (key == last.key && index <= last.index);
        return logit == logit && is_likelier;
    });
    for (uint32_t i = threadIdx.x; i < args.max_top; i += SELECTION_THREADS) {
        Share entry = memory.list[i];
        float logit = logit_of(~static_cast<uint32_t>(entry >> 32));
        bool is_there = i < count;
        args.top[static_cast<uint64_t>(blockIdx.x) * args.max_top + i] = {
            is_there ? static_cast<uint32_t>(entry) : NO_INDEX,
            is_there ? logit - row.largest - log_sum : 0.0f,
        };
    }
}

// Leaves NO_INDEX where the largest logit is not finite.
EARLY_KERNEL(sample, SampleArguments, __launch_bounds__(SELECTION_THREADS)) {
    wait_for_predecessors();
    __shared__ SelectionMemory memory;
    const Draw draw = args.draws[blockIdx.x];
    const float* logits = args.logits + static_cast<uint64_t>(draw.row) * args.cols;
    Candidate likeliest = block_largest(logits, args.cols);
    const float infinity = __uint_as_float(0x7f800000u);
    bool is_finite = likeliest.value > -infinity && likeliest.value < infinity;
    uint32_t token = is_finite ? likeliest.index : NO_INDEX;
    Row row = {logits, args.cols, likeliest.value, draw.scale};
    if (is_finite && draw.scale > 0.0f) {
        token = draw_token(row, draw, memory);
    }
    if (threadIdx.x == 0) {
        args.tokens[blockIdx.x] = token;
    }
    if (is_finite && draw.num_top > 0) {
        store_logprobs(args, row, draw, token, memory);
    }
}
