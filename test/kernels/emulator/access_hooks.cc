// The functions that GCC calls from kernels built with -fsanitize=thread and -fsanitize=bounds,..: instead of the
// sanitizers' libraries, the emulator's checks. Names and layouts are the compiler's.
#include <cstdint>

#include "test/kernels/emulator/machine.h"
#include "test/kernels/emulator/memory.h"

using air::emulator::check_access;
using air::emulator::Fault;
using air::emulator::Touch;

namespace {

struct SourceLocation {
  const char* file;
  uint32_t line;
  uint32_t column;
};

void check_aligned(const void* address, uint64_t bytes, Touch touch) {
  if (air::emulator::machine().current == nullptr) return;
  if (reinterpret_cast<uintptr_t>(address) % bytes != 0) {
    air::emulator::fail(Fault::kMisaligned, "access of " + std::to_string(bytes) + " bytes");
  }
  check_access(address, bytes, touch);
}

void undefined(const void* data, const char* what) {
  const auto* location = static_cast<const SourceLocation*>(data);
  if (air::emulator::machine().current == nullptr) return;
  air::emulator::fail(Fault::kUndefined,
                      std::string(what) + " at " +
                          air::emulator::describe({location->file, static_cast<int>(location->line)}));
}

}  // namespace

#define AIR_ACCESS_HOOKS(size)                                                                \
  void __tsan_read##size(void* p) { check_aligned(p, size, Touch::kRead); }                   \
  void __tsan_write##size(void* p) { check_aligned(p, size, Touch::kWrite); }                 \
  void __tsan_volatile_read##size(void* p) { check_aligned(p, size, Touch::kRead); }          \
  void __tsan_volatile_write##size(void* p) { check_aligned(p, size, Touch::kWrite); }        \
  void __tsan_unaligned_read##size(void* p) { check_access(p, size, Touch::kRead); }          \
  void __tsan_unaligned_write##size(void* p) { check_access(p, size, Touch::kWrite); }        \
  void __tsan_unaligned_volatile_read##size(void* p) { check_access(p, size, Touch::kRead); } \
  void __tsan_unaligned_volatile_write##size(void* p) { check_access(p, size, Touch::kWrite); }

extern "C" {

AIR_ACCESS_HOOKS(1)
AIR_ACCESS_HOOKS(2)
AIR_ACCESS_HOOKS(4)
AIR_ACCESS_HOOKS(8)
AIR_ACCESS_HOOKS(16)

void __tsan_read_range(void* p, uint64_t bytes) { check_access(p, bytes, Touch::kRead); }
void __tsan_write_range(void* p, uint64_t bytes) { check_access(p, bytes, Touch::kWrite); }
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}

void __ubsan_handle_out_of_bounds(void* data, void*) { undefined(data, "array index out of bounds"); }
void __ubsan_handle_shift_out_of_bounds(void* data, void*, void*) { undefined(data, "shift out of bounds"); }
void __ubsan_handle_divrem_overflow(void* data, void*, void*) { undefined(data, "division by zero"); }

}  // extern "C"
