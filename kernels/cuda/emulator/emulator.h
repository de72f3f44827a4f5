// CUDA C++ on a processor: the threads of a block are fibers that take turns at barriers, and blocks
// run one after the other. For tests of the kernels' indexing where there is no GPU.
//
// It is stricter than a device: every thread must reach every barrier, shared memory starts as what
// is no number, a kernel's arguments must be as large as the host thinks, and no copy is under way
// when a thread ends. Warps run as far ahead of each other as barriers let them, from block to block
// in the other order, and asynchronous copies are done at once or as late as they may be, so that a
// barrier or a wait that is missing shows.
#pragma once

#include <csetjmp>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <sys/mman.h>
#include <ucontext.h>

#define __device__
#define __forceinline__ inline
#define __shared__ static thread_local
#define __restrict__

struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) float2 {
    float x, y;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};

namespace emulator {

struct Index {
    unsigned x, y, z;
};

// Threads that wait for each other.
struct Barrier {
    unsigned size = 0, arrived = 0, generation = 0;
};

// 16 bytes on their way; zeros if there is no source.
struct Copy {
    void* to;
    const void* from;
};

struct Fiber {
    ucontext_t context;
    jmp_buf resume;
    void* stack = nullptr;
    bool started = false, finished = false;
    Index thread;
    Barrier* waits_for = nullptr;
    unsigned generation = 0;
    // Of the two rows of exchanged values, the one that comes next.
    unsigned parity = 0;
    // Groups of copies that have not been waited for; the last one is not committed yet.
    std::vector<std::vector<Copy>> copies;
};

constexpr size_t STACK_BYTES = 256 * 1024;
constexpr unsigned MAX_THREADS = 1024, LANES = 32;
// Of what a lane can show to the others at once.
constexpr size_t SHOWN_BYTES = 64;

// What one thread of the host emulates. A fiber never moves to another.
struct Device {
    std::vector<Fiber> fibers = std::vector<Fiber>(MAX_THREADS);
    ucontext_t scheduler_context;
    jmp_buf scheduler;
    Fiber* current = nullptr;
    Index block, grid_size, block_size;
    Barrier whole_block, warps[MAX_THREADS / LANES];
    alignas(8) unsigned char shown[MAX_THREADS / LANES][2][LANES * SHOWN_BYTES];
    // Varies from block to block.
    bool is_reversed = false, copies_at_once = false;
    std::vector<unsigned char> shared;
    void (*body)(const void*) = nullptr;
    const void* arguments = nullptr;

    ~Device() {
        for (Fiber& fiber : fibers) {
            if (fiber.stack) {
                munmap(fiber.stack, STACK_BYTES);
            }
        }
    }
};

inline Device& device() {
    static thread_local Device device;
    return device;
}

[[noreturn]] inline void fail(const char* why) {
    std::fprintf(stderr, "emulated kernel: %s\n", why);
    std::abort();
}

// Back to the scheduler, until it resumes this fiber.
inline void yield() {
    Device& d = device();
    if (_setjmp(d.current->resume) == 0) {
        _longjmp(d.scheduler, 1);
    }
}

inline void wait(Barrier& barrier) {
    if (++barrier.arrived == barrier.size) {
        barrier.arrived = 0;
        barrier.generation++;
        return;
    }
    Fiber& fiber = *device().current;
    fiber.waits_for = &barrier;
    fiber.generation = barrier.generation;
    yield();
    fiber.waits_for = nullptr;
}

// A fiber outlives its thread: it is the same thread of the next block.
inline void fiber_main() {
    for (;;) {
        Device& d = device();
        d.body(d.arguments);
        if (d.current->copies.size() != 1 || !d.current->copies[0].empty()) {
            fail("a thread ends with copies under way");
        }
        d.current->finished = true;
        yield();
    }
}

inline void resume(Fiber& fiber) {
    Device& d = device();
    d.current = &fiber;
    if (_setjmp(d.scheduler) != 0) {
        return;
    }
    if (fiber.started) {
        _longjmp(fiber.resume, 1);
    }
    fiber.started = true;
    fiber.stack = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fiber.stack == MAP_FAILED) {
        fail("no memory for a stack");
    }
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack;
    fiber.context.uc_stack.ss_size = STACK_BYTES;
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, fiber_main, 0);
    swapcontext(&d.scheduler_context, &fiber.context);
}

// Runs each thread of the warp that can go on up to its next barrier; how many there were.
inline unsigned run_warp(unsigned warp, unsigned& left) {
    Device& d = device();
    unsigned resumed = 0;
    for (unsigned nth = 0; nth < LANES; nth++) {
        Fiber& fiber = d.fibers[warp * LANES + (d.is_reversed ? LANES - 1 - nth : nth)];
        bool waits = fiber.waits_for && fiber.waits_for->generation == fiber.generation;
        if (fiber.finished || waits) {
            continue;
        }
        resume(fiber);
        resumed++;
        left -= fiber.finished;
    }
    return resumed;
}

inline void run_block(unsigned threads) {
    Device& d = device();
    d.whole_block = Barrier{threads};
    std::memset(d.shown, 0xff, sizeof d.shown);
    std::memset(d.shared.data(), 0xff, d.shared.size());
    for (unsigned i = 0; i < threads; i++) {
        d.warps[i / LANES] = Barrier{LANES};
        Fiber& fiber = d.fibers[i];
        fiber.thread = {i, 0, 0};
        fiber.finished = false;
        fiber.waits_for = nullptr;
        fiber.parity = 0;
        fiber.copies.assign(1, {});
    }
    for (unsigned left = threads; left > 0;) {
        unsigned ran = 0;
        // A warp goes on until all of its threads wait for other warps, which is as far apart as warps
        // can be.
        for (unsigned nth = 0; nth < threads / LANES; nth++) {
            unsigned warp = d.is_reversed ? threads / LANES - 1 - nth : nth;
            while (unsigned resumed = run_warp(warp, left)) {
                ran += resumed;
            }
        }
        if (ran == 0 && left > 0) {
            fail("threads wait at a barrier that others do not reach");
        }
    }
}

struct Kernel {
    void (*body)(const void*);
    size_t argument_bytes;
};

inline std::map<std::string, Kernel>& kernels() {
    static std::map<std::string, Kernel> kernels;
    return kernels;
}

struct Registration {
    Registration(const char* name, Kernel kernel) { kernels()[name] = kernel; }
};

// What each lane of the warp shows, in their order.
template <typename T>
const T* show(const T& value) {
    static_assert(sizeof(T) <= SHOWN_BYTES);
    Device& d = device();
    unsigned thread = d.current->thread.x, warp = thread / LANES;
    // Two rows by turns: nobody writes a row again before all have read it.
    unsigned parity = d.current->parity;
    d.current->parity = 1 - parity;
    T* all = reinterpret_cast<T*>(d.shown[warp][parity]);
    all[thread % LANES] = value;
    wait(d.warps[warp]);
    return all;
}

}  // namespace emulator

#define threadIdx (emulator::device().current->thread)
#define blockIdx (emulator::device().block)
#define blockDim (emulator::device().block_size)
#define gridDim (emulator::device().grid_size)

#define EARLY_KERNEL(name, Arguments, bounds)                                                \
    static void name##_body(const Arguments& args);                                          \
    static emulator::Registration name##_registration(                                       \
        #name, {[](const void* a) { name##_body(*static_cast<const Arguments*>(a)); },       \
                sizeof(Arguments)});                                                         \
    static void name##_body(const Arguments& args)
#define DYNAMIC_SHARED(name) unsigned char* name = emulator::device().shared.data()

inline void __syncthreads() { emulator::wait(emulator::device().whole_block); }

#include "instructions.h"
