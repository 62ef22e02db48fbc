// What threads may touch, and in which order they touched it.
//
// Time is counted in intervals: one passes at every barrier of a block and at every start of a block. Two accesses of
// one interval by different threads are concurrent, unless a sync_warp() of their warp lies between (WarpClock).
// Accesses of different blocks of a launch are concurrent, unless the first block's thread_fence() and atomic and an
// atomic of the second lie between. What is concurrent and not read-only is a race, whatever order the emulator
// happened to run it in.
#ifndef AIR_TEST_KERNELS_EMULATOR_MEMORY_H_
#define AIR_TEST_KERNELS_EMULATOR_MEMORY_H_

#include <cstdint>

#include "test/kernels/emulator/device_calls.h"

namespace air::emulator {

enum class Touch { kRead, kWrite, kAtomic };

void begin_launch_memory(uint32_t shared_bytes);
void begin_block_memory();
void begin_interval();
void end_launch_memory(bool was_stopped);

// Fails unless the running thread may touch these bytes now; then notes that it did.
void check_access(const void* address, uint64_t bytes, Touch touch);

// A row of ldmatrix: 16 aligned bytes of shared memory, read by the lane'th lane of the running thread's warp.
void check_shared_row(int lane, const void* address, const Site& site);

bool in_shared_memory(const void* address);
// From the issue of a cp.async until it lands, nobody may touch its destination.
void mark_in_flight(const void* shared, uint32_t bytes, bool in_flight);

}  // namespace air::emulator

#endif  // AIR_TEST_KERNELS_EMULATOR_MEMORY_H_
