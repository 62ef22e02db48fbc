// One thread of a block: a stack of its own, entered and left by a switch of registers.
#ifndef AIR_TEST_KERNELS_EMULATOR_FIBER_H_
#define AIR_TEST_KERNELS_EMULATOR_FIBER_H_

#include <cstddef>
#include <cstdint>

namespace air::emulator {

class Fiber {
 public:
  static constexpr size_t kStackBytes = 256 * 1024;

  Fiber() = default;
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Makes the next resume() call entry, on an emptied stack. entry must end by leave() and never be resumed again.
  void prepare(void (*entry)());
  // Runs the fiber until it calls leave(). Called from outside of fibers.
  void resume();
  // Back to who called resume(). Called from within the running fiber.
  void leave();

  bool on_stack(uintptr_t address) const { return address - stack_begin_ < kStackBytes; }

 private:
  uint8_t* mapping_ = nullptr;  // a page without access below the stack, then the stack
  uintptr_t stack_begin_ = 0;
  void* inside_ = nullptr;   // saved context of the fiber
  void* outside_ = nullptr;  // saved context of the caller of resume()
};

}  // namespace air::emulator

#endif  // AIR_TEST_KERNELS_EMULATOR_FIBER_H_
