#include "test/kernels/emulator/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>

#if !defined(__x86_64__) || defined(AIR_EMULATOR_UCONTEXT)
#include <ucontext.h>
#define AIR_FIBER_UCONTEXT
#endif

#ifndef AIR_FIBER_UCONTEXT
// Saves the callee-saved registers on the stack and its pointer in *save, then takes over the stack `to`.
extern "C" void air_fiber_switch(void** save, void* to);
asm(R"(
.text
.globl air_fiber_switch
.hidden air_fiber_switch
.type air_fiber_switch, @function
air_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size air_fiber_switch, . - air_fiber_switch
)");
#endif

namespace air::emulator {

namespace {

size_t guard_bytes() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

Fiber::~Fiber() {
  if (mapping_ != nullptr) munmap(mapping_, guard_bytes() + kStackBytes);
#ifdef AIR_FIBER_UCONTEXT
  delete static_cast<ucontext_t*>(inside_);
  delete static_cast<ucontext_t*>(outside_);
#endif
}

void Fiber::prepare(void (*entry)()) {
  if (mapping_ == nullptr) {
    void* mapped = mmap(nullptr, guard_bytes() + kStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) std::abort();
    mapping_ = static_cast<uint8_t*>(mapped);
    mprotect(mapping_, guard_bytes(), PROT_NONE);
    stack_begin_ = reinterpret_cast<uintptr_t>(mapping_) + guard_bytes();
  }
#ifdef AIR_FIBER_UCONTEXT
  if (inside_ == nullptr) inside_ = new ucontext_t;
  if (outside_ == nullptr) outside_ = new ucontext_t;
  auto* context = static_cast<ucontext_t*>(inside_);
  getcontext(context);
  context->uc_stack.ss_sp = reinterpret_cast<void*>(stack_begin_);
  context->uc_stack.ss_size = kStackBytes;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
#else
  // As if entry's first instruction had called the switch: six registers, the address to return to, and the stack
  // 8 bytes off a multiple of 16 after that return, as a call leaves it.
  auto* top = reinterpret_cast<void**>(stack_begin_ + kStackBytes) - 8;
  for (int i = 0; i < 6; ++i) top[i] = nullptr;
  top[6] = reinterpret_cast<void*>(entry);
  top[7] = nullptr;
  inside_ = top;
#endif
}

void Fiber::resume() {
#ifdef AIR_FIBER_UCONTEXT
  swapcontext(static_cast<ucontext_t*>(outside_), static_cast<ucontext_t*>(inside_));
#else
  air_fiber_switch(&outside_, inside_);
#endif
}

void Fiber::leave() {
#ifdef AIR_FIBER_UCONTEXT
  swapcontext(static_cast<ucontext_t*>(inside_), static_cast<ucontext_t*>(outside_));
#else
  air_fiber_switch(&inside_, outside_);
#endif
}

}  // namespace air::emulator
