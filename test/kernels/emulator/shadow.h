// For every byte of memory: who wrote it last and who read it since, and when.
#ifndef AIR_TEST_KERNELS_EMULATOR_SHADOW_H_
#define AIR_TEST_KERNELS_EMULATOR_SHADOW_H_

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "test/kernels/emulator/emulator.h"
#include "test/kernels/emulator/memory.h"

namespace air::emulator {

struct Access {
  uint32_t interval;  // 0: never
  uint16_t thread;    // id, or kWarpOf + warp: several of its lanes, or kSeveralWarps
  uint16_t clock;     // the thread's WarpClock::now, the latest of several
};

// A lane's time within an interval. It passes when the lane meets others in a sync_warp().
struct WarpClock {
  uint32_t now = 0;
  uint32_t known[32] = {};  // accesses of lane l at a time below known[l] happened before the lane's next one
};

constexpr uint16_t kWarpOf = 0x4000;
constexpr uint16_t kSeveralWarps = 0x8000;

struct Shadow {
  Access write;
  Access read;
  bool in_flight;  // the destination of a cp.async
  bool atomic;     // the last write was one
};

// Zeroed, and without cost where untouched.
class ShadowBytes {
 public:
  void resize(uint64_t bytes) {
    data_.reset(static_cast<Shadow*>(std::calloc(bytes + 1, sizeof(Shadow))));
    if (data_ == nullptr) std::abort();
  }
  Shadow* at(uint64_t index) { return data_.get() + index; }

 private:
  struct Free {
    void operator()(Shadow* shadow) const { std::free(shadow); }
  };
  std::unique_ptr<Shadow, Free> data_;
};

struct Conflict {
  Fault fault = Fault::kNone;  // kRace, kCopyInFlight, kUninitialised (which the buffer may know better)
  std::string other;           // "thread 3 wrote"
};

// Checks one thread's access to one byte against the earlier ones, and notes it.
Conflict note_access(Shadow& shadow, Touch touch, uint32_t thread, const WarpClock& clock);
// Shared memory is another block's no more: forgets what was noted before the running block.
void forget_other_blocks(Shadow& shadow);

void start_launch_time();
void start_block_time();
void start_interval_time();
// The running thread's fence and atomic, which together order its block before the blocks whose atomics follow.
void note_fence(uint32_t thread);
void note_atomic(uint32_t thread);

}  // namespace air::emulator

#endif  // AIR_TEST_KERNELS_EMULATOR_SHADOW_H_
