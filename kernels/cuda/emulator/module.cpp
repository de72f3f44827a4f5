// The kernels as the emulator runs them.
#define PURSER_EMULATED
#include "../module.cu"

// Runs a kernel to its end; 0, or 1 when there is no such kernel, 2 when its arguments have another
// size, 3 when the launch is none that a device takes.
extern "C" int purser_emulate(const char* name, const unsigned* grid, unsigned threads,
                              unsigned shared_bytes, const void* arguments, size_t argument_bytes) {
    auto found = emulator::kernels().find(name);
    if (found == emulator::kernels().end()) {
        return 1;
    }
    if (found->second.argument_bytes != argument_bytes) {
        return 2;
    }
    bool is_empty = grid[0] == 0 || grid[1] == 0;
    if (is_empty || grid[1] > 65535 || threads == 0 || threads > emulator::MAX_THREADS ||
        threads % emulator::LANES != 0) {
        return 3;
    }
    emulator::Device& device = emulator::device();
    device.body = found->second.body;
    device.arguments = arguments;
    device.grid_size = {grid[0], grid[1], 1};
    device.block_size = {threads, 1, 1};
    device.shared.assign(shared_bytes, 0xff);
    for (unsigned y = 0; y < grid[1]; y++) {
        for (unsigned x = 0; x < grid[0]; x++) {
            device.block = {x, y, 0};
            device.is_reversed = (x + y) % 2 != 0;
            device.copies_at_once = (x / 2 + y) % 2 != 0;
            emulator::run_block(threads);
        }
    }
    return 0;
}
