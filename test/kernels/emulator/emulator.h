// Runs kernels of kernels/cuda on the CPU: every thread of a block is a fiber, blocks run one after the other. A kernel
// that breaks a rule of the GPU is stopped, and the launch returns what it did wrong, where.
//
// Kernels are compiled with GCC's -fsanitize=thread, but linked without its library: the calls that the compiler puts
// before every load and store come here (access_hooks.cc), so that each access of each thread is checked against the
// registered buffers, the block's shared memory and the accesses of other threads.
#ifndef AIR_TEST_KERNELS_EMULATOR_EMULATOR_H_
#define AIR_TEST_KERNELS_EMULATOR_EMULATOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "kernels/cuda/launch/shape.h"

namespace air::emulator {

enum class Fault {
  kNone,
  kLaunch,            // a shape that no device takes
  kDeadlock,          // no thread can go on
  kDivergentBarrier,  // threads of a block at different barriers, or exited while others wait
  kDivergentWarp,     // lanes of a mask at different instructions, exited, or a lane outside of its own mask
  kOutOfBounds,       // neither in a registered buffer, nor in shared memory, nor on the thread's stack
  kMisaligned,        // an address that is no multiple of the access
  kUninitialised,     // a byte read that nobody wrote
  kRace,              // two threads, one of them writing, without a barrier between
  kCopyInFlight,      // bytes of a cp.async touched before its wait, or copies not waited for at the exit
  kEndless,           // a thread that reads and writes on and on without meeting the others
  kUndefined,         // an array index, a shift or a division that C++ does not define
};
const char* fault_name(Fault fault);

using Shape = cuda::LaunchShape;

// The order in which blocks, and the threads of a block between barriers, run. Right kernels do not notice.
enum class Order { kForward, kBackward, kShuffled };

struct Result {
  Fault fault = Fault::kNone;
  std::string message;  // "kernel K, block (x, y, z), thread t: .."
  uint32_t block_x = 0, block_y = 0, block_z = 0, thread = 0;
  bool ok() const { return fault == Fault::kNone; }
};

// Runs body, which calls the kernel, once per thread. Not reentrant.
Result launch(const char* kernel, const Shape& shape, const std::function<void()>& body,
              Order order = Order::kForward);

// Declares bytes that kernels may access until release(). With initialised == false, bytes must be written first.
void add_buffer(const char* name, void* begin, size_t bytes, bool initialised, bool writable);
void release_buffer(void* begin);

// Off: any address is good and races go unseen, for kernels that were built without instrumentation. Barriers, warp
// instructions and the arrival of copies stay as strict as they are. On at the start.
void set_memory_checks(bool on);

}  // namespace air::emulator

#endif  // AIR_TEST_KERNELS_EMULATOR_EMULATOR_H_
