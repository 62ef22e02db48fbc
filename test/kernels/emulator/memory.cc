#include "test/kernels/emulator/memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include "test/kernels/emulator/machine.h"
#include "test/kernels/emulator/shadow.h"

// The program's own bytes, among them the constant tables of kernels.
extern "C" const char __executable_start;
extern "C" const char end;

namespace air::emulator {

namespace {

constexpr uint64_t kEndlessAccesses = uint64_t{1} << 26;

struct Buffer {
  std::string name;
  uintptr_t begin = 0;
  uint64_t bytes = 0;
  bool initialised = false;
  bool writable = true;
  ShadowBytes shadow;
};

struct Memory {
  std::map<uintptr_t, Buffer> buffers;  // by begin
  Buffer shared;                        // of the running block
  std::vector<uint8_t> shared_bytes;
  Buffer* latest = nullptr;  // the buffer of the latest access
  bool checks = true;
  bool is_spoilt = false;  // what is noted of shared memory is not right any more
};

Memory& memory() {
  static Memory instance;
  return instance;
}

Buffer* find_buffer(uintptr_t address) {
  Memory& m = memory();
  if (m.latest != nullptr && address - m.latest->begin < m.latest->bytes) return m.latest;
  auto after = m.buffers.upper_bound(address);
  if (after == m.buffers.begin()) return nullptr;
  Buffer& buffer = std::prev(after)->second;
  if (address - buffer.begin >= buffer.bytes) return nullptr;
  m.latest = &buffer;
  return &buffer;
}

const char* verb(Touch touch) {
  return touch == Touch::kRead ? "reads" : touch == Touch::kWrite ? "writes" : "changes atomically";
}

std::string place(const Buffer& buffer, uintptr_t address) {
  return buffer.name + " + " + std::to_string(address - buffer.begin) + " (of " +
         std::to_string(buffer.bytes) + " bytes)";
}

[[noreturn]] void fail_out_of_bounds(uintptr_t address, uint64_t bytes, Touch touch) {
  const std::string what = std::string(verb(touch)) + " " + std::to_string(bytes) + " bytes at ";
  Memory& m = memory();
  const Buffer* nearest = &m.shared;
  const auto distance = [address](const Buffer& b) {
    return address < b.begin ? b.begin - address : address - b.begin - std::min(b.bytes, address - b.begin);
  };
  for (const auto& [begin, buffer] : m.buffers)
    if (distance(buffer) < distance(*nearest)) nearest = &buffer;
  if (address < nearest->begin) {
    fail(Fault::kOutOfBounds, what + nearest->name + " - " + std::to_string(nearest->begin - address));
  }
  fail(Fault::kOutOfBounds, what + place(*nearest, address));
}

void check_bytes(Buffer& buffer, uintptr_t address, uint64_t bytes, Touch touch, const Thread& thread) {
  if (touch != Touch::kRead && !buffer.writable) {
    fail(Fault::kOutOfBounds, std::string(verb(touch)) + " read-only " + place(buffer, address));
  }
  Shadow* shadow = buffer.shadow.at(address - buffer.begin);
  const bool is_shared = &buffer == &memory().shared;
  for (uint64_t i = 0; i < bytes; ++i) {
    if (is_shared) forget_other_blocks(shadow[i]);
    const Conflict conflict = note_access(shadow[i], touch, thread.id, thread.warp_clock);
    if (conflict.fault == Fault::kNone) continue;
    if (conflict.fault == Fault::kUninitialised) {
      if (buffer.initialised) continue;
      fail(Fault::kUninitialised, "reads " + place(buffer, address + i) + ", which nobody has written");
    }
    if (conflict.fault == Fault::kCopyInFlight) {
      fail(Fault::kCopyInFlight, std::string(verb(touch)) + " " + place(buffer, address + i) +
                                     " while a cp.async of thread " + conflict.other + " is filling it");
    }
    fail(Fault::kRace, std::string(verb(touch)) + " " + place(buffer, address + i) + ", which " +
                           conflict.other + " with no barrier between");
  }
}

}  // namespace

void add_buffer(const char* name, void* begin, size_t bytes, bool initialised, bool writable) {
  Buffer buffer;
  buffer.name = name;
  buffer.begin = reinterpret_cast<uintptr_t>(begin);
  buffer.bytes = bytes;
  buffer.initialised = initialised;
  buffer.writable = writable;
  buffer.shadow.resize(bytes);
  memory().buffers[buffer.begin] = std::move(buffer);
}

void release_buffer(void* begin) {
  memory().latest = nullptr;
  memory().buffers.erase(reinterpret_cast<uintptr_t>(begin));
}

void set_memory_checks(bool on) {
  memory().checks = on;
  memory().is_spoilt = true;  // shared memory was not watched meanwhile
}

void begin_launch_memory(uint32_t shared_bytes) {
  Memory& m = memory();
  start_launch_time();
  // A line of its own at each end, so that no neighbour is met by going over it.
  const size_t room = shared_bytes + 512;
  if (m.checks && (room > m.shared_bytes.size() || m.is_spoilt))
    m.shared.shadow.resize(std::max(room, m.shared_bytes.size()));
  m.is_spoilt = false;
  m.shared_bytes.resize(std::max(room, m.shared_bytes.size()));
  m.shared.name = "shared memory";
  m.shared.begin = (reinterpret_cast<uintptr_t>(m.shared_bytes.data()) + 255) / 128 * 128;
  m.shared.bytes = shared_bytes;
}

void begin_block_memory() {
  Memory& m = memory();
  start_block_time();
  std::memset(reinterpret_cast<void*>(m.shared.begin), 0xff, m.shared.bytes);
}

void begin_interval() { start_interval_time(); }

void end_launch_memory(bool was_stopped) {
  memory().shared.bytes = 0;
  if (was_stopped) memory().is_spoilt = true;  // copies may have been in flight
}

uint8_t* shared_memory() { return reinterpret_cast<uint8_t*>(memory().shared.begin); }

bool in_shared_memory(const void* address) {
  const Memory& m = memory();
  return reinterpret_cast<uintptr_t>(address) - m.shared.begin < m.shared.bytes;
}

void check_access(const void* pointer, uint64_t bytes, Touch touch) {
  Thread* thread = machine().current;
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  if (thread == nullptr || !memory().checks || thread->fiber.on_stack(address)) return;
  if (++thread->accesses > kEndlessAccesses) {
    fail(Fault::kEndless, std::string(verb(touch)) + " memory for ever without meeting other threads");
  }
  Memory& m = memory();
  Buffer* buffer = address - m.shared.begin < m.shared.bytes ? &m.shared : find_buffer(address);
  if (buffer == nullptr) {
    const bool is_constant = address >= reinterpret_cast<uintptr_t>(&__executable_start) &&
                             address < reinterpret_cast<uintptr_t>(&end);
    if (is_constant && touch == Touch::kRead) return;
    fail_out_of_bounds(address, bytes, touch);
  }
  if (bytes > buffer->bytes - (address - buffer->begin)) fail_out_of_bounds(address, bytes, touch);
  check_bytes(*buffer, address, bytes, touch, *thread);
}

void check_shared_row(int lane, const void* address, const Site& site) {
  Machine& m = machine();
  Thread* self = m.current;
  // The fault, if any, is that lane's.
  Thread& other = m.thread(self->id - self->id % 32 + static_cast<uint32_t>(lane));
  const auto value = reinterpret_cast<uintptr_t>(address);
  if (value % 16 != 0) {
    fail(Fault::kMisaligned, "row of lane " + std::to_string(lane) + " at " + describe(site));
  }
  if (!in_shared_memory(address)) {
    fail(Fault::kOutOfBounds,
         "row of lane " + std::to_string(lane) + " at " + describe(site) + " is not in shared memory");
  }
  if (memory().shared.bytes - (value - memory().shared.begin) < 16)
    fail_out_of_bounds(value, 16, Touch::kRead);
  if (memory().checks) check_bytes(memory().shared, value, 16, Touch::kRead, other);
}

void mark_in_flight(const void* shared, uint32_t bytes, bool in_flight) {
  if (!memory().checks) return;
  Buffer& buffer = memory().shared;
  Shadow* shadow = buffer.shadow.at(reinterpret_cast<uintptr_t>(shared) - buffer.begin);
  for (uint32_t i = 0; i < bytes; ++i) shadow[i].in_flight = in_flight;
}

}  // namespace air::emulator
