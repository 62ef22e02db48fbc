// The state of the running launch. One block at a time, in one thread of the process.
#ifndef AIR_TEST_KERNELS_EMULATOR_MACHINE_H_
#define AIR_TEST_KERNELS_EMULATOR_MACHINE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "test/kernels/emulator/device_calls.h"
#include "test/kernels/emulator/emulator.h"
#include "test/kernels/emulator/fiber.h"
#include "test/kernels/emulator/shadow.h"

namespace air::emulator {

enum class State { kReady, kAtBarrier, kAtWarpStep, kDone };

// One cp.async that was issued and not yet waited for.
struct PendingCopy {
  uint8_t* shared;
  const uint8_t* global;
  uint32_t read_bytes;   // from global
  uint32_t total_bytes;  // the rest is zero
};

struct Thread {
  Fiber fiber;
  uint32_t id = 0;
  State state = State::kReady;
  Site site = {};            // where it waits
  WarpStep* step = nullptr;  // what it waits in, kAtWarpStep
  WarpClock warp_clock;
  uint64_t accesses = 0;  // since it last waited
  std::vector<PendingCopy> open_copies;
  std::deque<std::vector<PendingCopy>> copy_groups;
};

// The barrier at which threads of the block wait.
struct Barrier {
  Site site;
  uint32_t first;  // thread that came first
};

struct Machine {
  const char* kernel = "";
  Shape shape;
  const std::function<void()>* body = nullptr;
  Order order = Order::kForward;
  uint32_t block_x = 0, block_y = 0, block_z = 0;
  std::vector<std::unique_ptr<Thread>> threads;  // the first shape.threads are in use
  Thread* current = nullptr;                     // the thread that runs; null outside of fibers
  uint32_t waiting = 0;                          // threads at the barrier
  Barrier barrier = {};
  uint32_t done = 0;
  Result result;

  Thread& thread(uint32_t id) { return *threads[id]; }
};

Machine& machine();

// Ends the launch with a fault of the given thread, or of the running one. Does not return within a fiber.
[[noreturn]] void fail(Fault fault, const std::string& what);
void record_fault(Fault fault, const Thread* thread, const std::string& what);

bool same_site(const Site& a, const Site& b);
// "file.cu:12"
std::string describe(const Site& site);

// Gives the processor to the other threads of the block until somebody makes this one ready.
void wait_for_others(State state, const Site& site);

}  // namespace air::emulator

#endif  // AIR_TEST_KERNELS_EMULATOR_MACHINE_H_
