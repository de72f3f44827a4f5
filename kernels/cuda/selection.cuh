// Where the tokens of a row of logits reach a share of the whole, from the likeliest one on or in
// their own order.
//
// Nothing here sorts the vocabulary: tokens are counted in buckets of similar logits, and what is in
// the one bucket that matters is sorted in shared memory. A token's share is an integer, so that sums
// do not depend on who adds first.
#pragma once

#include "kernel.cuh"

// Threads of a block, which takes a row.
constexpr uint32_t SELECTION_THREADS = 1024;
constexpr uint32_t SELECTION_WARPS = SELECTION_THREADS / WARP;
// Two for each thread.
constexpr uint32_t NUM_BUCKETS = 2 * SELECTION_THREADS, LIST_LENGTH = 2 * SELECTION_THREADS;
// Of the first buckets, per unit of a logit: the last of them has all that is beyond.
constexpr float BUCKETS_PER_LOGIT = 64.0f;
// The share of the likeliest token.
constexpr float WHOLE_SHARE = 1099511627776.0f;  // 2^40
constexpr float LOG_2_E = 1.4426950408889634f;

using Share = unsigned long long;

struct Row {
    const float* logits;  // [cols]
    uint32_t cols;
    float largest;        // finite
    float scale;          // of logits, before they are exponents: the inverse of the temperature
};

// A token, and what all tokens up to it have.
struct Reached {
    uint32_t key;    // of its logit
    uint32_t index;
    Share shares;
};

struct SelectionMemory {
    Share shares[NUM_BUCKETS];
    uint32_t counts[NUM_BUCKETS];
    Share list[LIST_LENGTH];  // larger logits first, of equal ones the lower index: `~key`, index
    Share sums[SELECTION_WARPS];
    uint32_t keys[2][SELECTION_WARPS];
    uint32_t list_length;
    // What one thread has found for all.
    uint32_t bucket, bucket_count;
    Share count_before, shares_before;
    Reached reached;
};

// Ascending with the logit; both zeros are one.
__device__ inline uint32_t key_of(float logit) {
    uint32_t bits = __float_as_uint(logit + 0.0f);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ inline float logit_of(uint32_t key) {
    return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

// Relative to the likeliest token, which has weight 1.
__device__ inline float weight_of(const Row& row, float logit) {
    return exp2f((logit - row.largest) * row.scale * LOG_2_E);
}

// What is no number has none.
__device__ inline Share share_of(const Row& row, float logit) {
    float weight = weight_of(row, logit);
    return weight > 0.0f ? static_cast<Share>(weight * WHOLE_SHARE) : 0;
}

__device__ inline uint32_t bucket_of(const Row& row, float logit) {
    float distance = (row.largest - logit) * BUCKETS_PER_LOGIT;
    return distance < NUM_BUCKETS - 1 ? static_cast<uint32_t>(distance) : NUM_BUCKETS - 1;
}

// The sum over the warp's lanes up to this one.
__device__ inline Share warp_scan(Share value) {
    uint32_t lane = threadIdx.x % WARP;
    for (uint32_t distance = 1; distance < WARP; distance *= 2) {
        Share other = __shfl_up_sync(0xffffffffu, value, distance);
        value += lane >= distance ? other : 0;
    }
    return value;
}

// The sum over the block's threads before this one, and over all.
__device__ inline Share block_scan(SelectionMemory& memory, Share value, Share& total) {
    uint32_t warp = threadIdx.x / WARP;
    Share sum = warp_scan(value);
    // The last call's sums have been read.
    __syncthreads();
    if (threadIdx.x % WARP == WARP - 1) {
        memory.sums[warp] = sum;
    }
    __syncthreads();
    Share before = 0;
    total = 0;
    for (uint32_t i = 0; i < SELECTION_WARPS; i++) {
        before += i < warp ? memory.sums[i] : 0;
        total += memory.sums[i];
    }
    return before + sum - value;
}

__device__ inline Share block_total(SelectionMemory& memory, Share value) {
    Share total;
    block_scan(memory, value, total);
    return total;
}

// The first token, in their own order, up to which `measure` adds up to `target`: 1 to the sum of all.
template <typename Measure>
__device__ inline uint32_t reach_in_order(const Row& row, SelectionMemory& memory, Share target,
                                          Measure measure) {
    uint32_t warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    uint32_t part = (row.cols + SELECTION_THREADS - 1) / SELECTION_THREADS * WARP;
    uint32_t start = min(warp * part, row.cols), end = min(start + part, row.cols);
    Share sum = 0;
    for (uint32_t i = start + lane; i < end; i += WARP) {
        sum += measure(i);
    }
    sum = warp_scan(sum);
    __syncthreads();
    if (lane == WARP - 1) {
        memory.sums[warp] = sum;
    }
    __syncthreads();
    Share before = 0;
    uint32_t taker = 0;
    while (before + memory.sums[taker] < target) {
        before += memory.sums[taker++];
    }
    for (uint32_t first = start; warp == taker && first < end; first += WARP) {
        Share own = first + lane < end ? measure(first + lane) : 0;
        Share up_to = before + warp_scan(own);
        if (up_to >= target && up_to - own < target) {
            memory.reached.index = first + lane;
        }
        before = __shfl_sync(0xffffffffu, up_to, WARP - 1);
        if (before >= target) {
            break;
        }
    }
    __syncthreads();
    return memory.reached.index;
}

// Finds the bucket in which `target` is reached, of buckets that `bucket` gives the row's tokens;
// `NUM_BUCKETS` and more are none. What is before it is added to `memory.count_before` and
// `shares_before`.
template <typename Bucket>
__device__ inline void find_bucket(const Row& row, SelectionMemory& memory, bool by_count,
                                   Share target, Bucket bucket) {
    uint32_t thread = threadIdx.x;
    for (uint32_t i = 0; i < 2; i++) {
        memory.counts[2 * thread + i] = 0;
        memory.shares[2 * thread + i] = 0;
    }
    __syncthreads();
    for (uint32_t i = thread; i < row.cols; i += SELECTION_THREADS) {
        float logit = row.logits[i];
        uint32_t of = bucket(logit);
        if (of < NUM_BUCKETS) {
            atomicAdd(&memory.counts[of], 1u);
            Share share = share_of(row, logit);
            if (share > 0) {
                atomicAdd(&memory.shares[of], share);
            }
        }
    }
    __syncthreads();
    const uint32_t* counts = memory.counts + 2 * thread;
    const Share* shares = memory.shares + 2 * thread;
    // All have read what was before when the first scan is done.
    Share total, count = memory.count_before, share = memory.shares_before;
    count += block_scan(memory, counts[0] + counts[1], total);
    share += block_scan(memory, shares[0] + shares[1], total);
    for (uint32_t i = 0; i < 2; i++) {
        Share before = by_count ? count : share, own = by_count ? counts[i] : shares[i];
        if (before < target && before + own >= target) {
            memory.bucket = 2 * thread + i;
            memory.bucket_count = counts[i];
            memory.count_before = count;
            memory.shares_before = share;
        }
        count += counts[i];
        share += shares[i];
    }
    __syncthreads();
}

// The smallest and the largest key of the row's members.
template <typename Member>
__device__ inline void key_range(const Row& row, SelectionMemory& memory, Member member,
                                 uint32_t& low, uint32_t& high) {
    low = 0xffffffffu;
    high = 0;
    for (uint32_t i = threadIdx.x; i < row.cols; i += SELECTION_THREADS) {
        if (member(row.logits[i])) {
            uint32_t key = key_of(row.logits[i]);
            low = min(low, key);
            high = max(high, key);
        }
    }
    for (int mask = WARP / 2; mask > 0; mask /= 2) {
        low = min(low, __shfl_xor_sync(0xffffffffu, low, mask));
        high = max(high, __shfl_xor_sync(0xffffffffu, high, mask));
    }
    if (threadIdx.x % WARP == 0) {
        memory.keys[0][threadIdx.x / WARP] = low;
        memory.keys[1][threadIdx.x / WARP] = high;
    }
    __syncthreads();
    for (uint32_t i = 0; i < SELECTION_WARPS; i++) {
        low = min(low, memory.keys[0][i]);
        high = max(high, memory.keys[1][i]);
    }
    __syncthreads();
}

// Collects the row's members, no more than the list is long, and sorts them (Batcher, "Sorting
// networks and their applications", 1968); behind them are entries that are larger than any.
template <typename Member>
__device__ inline void sort_members(const Row& row, SelectionMemory& memory, Member member) {
    uint32_t thread = threadIdx.x;
    memory.list[thread] = ~0ull;
    memory.list[thread + SELECTION_THREADS] = ~0ull;
    if (thread == 0) {
        memory.list_length = 0;
    }
    __syncthreads();
    for (uint32_t i = thread; i < row.cols; i += SELECTION_THREADS) {
        float logit = row.logits[i];
        if (member(logit, i)) {
            uint32_t at = atomicAdd(&memory.list_length, 1u);
            memory.list[at] = static_cast<Share>(~key_of(logit)) << 32 | i;
        }
    }
    __syncthreads();
    uint32_t length = 2;
    while (length < memory.list_length) {
        length *= 2;
    }
    for (uint32_t run = 2; run <= length; run *= 2) {
        for (uint32_t distance = run / 2; distance > 0; distance /= 2) {
            // The thread's pair, whose first index has no bit at `distance`.
            uint32_t first = 2 * thread - thread % distance, second = first + distance;
            if (second < length) {
                Share a = memory.list[first], b = memory.list[second];
                bool is_ascending = (first & run) == 0;
                if ((a > b) == is_ascending) {
                    memory.list[first] = b;
                    memory.list[second] = a;
                }
            }
            __syncthreads();
        }
    }
}

// The first token, from the likeliest one on and of equal ones in their own order, up to which the
// tokens' number or shares reach `target`: 1 to that of all tokens.
__device__ inline Reached reach(const Row& row, SelectionMemory& memory, bool by_count, Share target) {
    if (threadIdx.x == 0) {
        memory.count_before = 0;
        memory.shares_before = 0;
    }
    // `find_bucket` waits for this before it is read.
    find_bucket(row, memory, by_count, target, [&](float logit) {
        return logit == logit ? bucket_of(row, logit) : NUM_BUCKETS;
    });
    uint32_t bucket = memory.bucket, low = 0, high = 0xffffffffu;
    auto is_member = [&](float logit) {
        uint32_t key = key_of(logit);
        return logit == logit && bucket_of(row, logit) == bucket && key >= low && key <= high;
    };
    while (memory.bucket_count > LIST_LENGTH) {
        uint32_t least, most;
        key_range(row, memory, is_member, least, most);
        low = least;
        high = most;
        if (low == high) {
            // Equal tokens have equal shares.
            Share own = share_of(row, logit_of(low));
            Share left = target - (by_count ? memory.count_before : memory.shares_before);
            Share nth = by_count ? left : (left + own - 1) / own;
            Share shares = memory.shares_before + nth * own;
            uint32_t index = reach_in_order(row, memory, nth, [&](uint32_t i) -> Share {
                return is_member(row.logits[i]) ? 1 : 0;
            });
            return {low, index, shares};
        }
        uint32_t shift = 0;
        while ((high - low) >> shift >= NUM_BUCKETS) {
            shift++;
        }
        find_bucket(row, memory, by_count, target, [&](float logit) {
            return is_member(logit) ? (high - key_of(logit)) >> shift : NUM_BUCKETS;
        });
        uint32_t below = memory.bucket << shift;
        high -= below;
        low = max(low, high - min(high, (1u << shift) - 1));
    }
    sort_members(row, memory, [&](float logit, uint32_t) { return is_member(logit); });
    uint32_t first = 2 * threadIdx.x, length = memory.list_length;
    Share own[2];
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t key = ~static_cast<uint32_t>(memory.list[first + i] >> 32);
        own[i] = first + i < length ? share_of(row, logit_of(key)) : 0;
    }
    Share total, shares = memory.shares_before + block_scan(memory, own[0] + own[1], total);
    for (uint32_t i = 0; i < 2; i++) {
        Share before = by_count ? memory.count_before + first + i : shares;
        shares += own[i];
        Share up_to = by_count ? before + 1 : shares;
        if (first + i < length && before < target && up_to >= target) {
            Share entry = memory.list[first + i];
            memory.reached = {~static_cast<uint32_t>(entry >> 32), static_cast<uint32_t>(entry), shares};
        }
    }
    __syncthreads();
    Reached reached = memory.reached;
    // The next call may write what a slow thread still reads.
    __syncthreads();
    return reached;
}
