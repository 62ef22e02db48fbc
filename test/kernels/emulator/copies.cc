// cp.async: the bytes arrive when the thread waits for them, and not before.
#include <cstring>

#include "test/kernels/emulator/machine.h"
#include "test/kernels/emulator/memory.h"
#include "test/kernels/emulator/shadow.h"

namespace air::emulator {

namespace {

void check_alignment(const void* address, uint32_t bytes, const char* what) {
  if (reinterpret_cast<uintptr_t>(address) % bytes == 0) return;
  fail(Fault::kMisaligned, std::string(what) + " is no multiple of " + std::to_string(bytes));
}

void land(const PendingCopy& copy) {
  mark_in_flight(copy.shared, copy.total_bytes, false);
  check_access(copy.shared, copy.total_bytes, Touch::kWrite);
  std::memcpy(copy.shared, copy.global, copy.read_bytes);
  std::memset(copy.shared + copy.read_bytes, 0, copy.total_bytes - copy.read_bytes);
}

}  // namespace

void copy_async(void* shared, const void* global, uint32_t read_bytes, uint32_t total_bytes) {
  check_alignment(shared, total_bytes, "destination of a cp.async");
  check_alignment(global, total_bytes, "source of a cp.async");
  if (!in_shared_memory(shared)) fail(Fault::kOutOfBounds, "cp.async to what is not shared memory");
  if (in_shared_memory(global)) fail(Fault::kOutOfBounds, "cp.async from shared memory");
  if (read_bytes > total_bytes) fail(Fault::kOutOfBounds, "cp.async reads more than it writes");
  if (read_bytes > 0) check_access(global, read_bytes, Touch::kRead);
  check_access(shared, total_bytes, Touch::kWrite);
  mark_in_flight(shared, total_bytes, true);
  machine().current->open_copies.push_back(
      {static_cast<uint8_t*>(shared), static_cast<const uint8_t*>(global), read_bytes, total_bytes});
}

void commit_copies() {
  Thread& thread = *machine().current;
  thread.copy_groups.push_back(std::move(thread.open_copies));
  thread.open_copies.clear();
}

void wait_for_copies(uint32_t pending) {
  Thread& thread = *machine().current;
  while (thread.copy_groups.size() > pending) {
    for (const PendingCopy& copy : thread.copy_groups.front()) land(copy);
    thread.copy_groups.pop_front();
  }
}

void load_vector(void* registers, const void* address, uint32_t bytes) {
  check_alignment(address, bytes, "address of a vector load");
  check_access(address, bytes, Touch::kRead);
  std::memcpy(registers, address, bytes);
}

void store_vector(void* address, const void* registers, uint32_t bytes) {
  check_alignment(address, bytes, "address of a vector store");
  check_access(address, bytes, Touch::kWrite);
  std::memcpy(address, registers, bytes);
}

void thread_fence() { note_fence(machine().current->id); }

uint32_t atomic_add(uint32_t* address, uint32_t value) {
  check_alignment(address, sizeof value, "address of an atomic");
  check_access(address, sizeof value, Touch::kAtomic);
  // One on shared memory orders nothing between blocks.
  if (!in_shared_memory(address)) note_atomic(machine().current->id);
  const uint32_t old = *address;
  *address = old + value;
  return old;
}

}  // namespace air::emulator
