#include "test/kernels/emulator/shadow.h"

#include <algorithm>
#include <vector>

namespace air::emulator {

namespace {

constexpr uint32_t kWarp = 32;

// The intervals of one block of the running launch.
struct BlockTime {
  uint32_t first;
  uint32_t released_until = 0;  // accesses of the block up to here are visible after its atomic
  // So are those of this thread in this interval, where it fenced and executed the atomic itself.
  uint32_t releasing_thread = 0;
  uint32_t released_interval = 0;
};

struct Time {
  uint32_t now = 0;
  uint32_t launch_start = 0;
  std::vector<BlockTime> blocks;
  uint32_t fenced = 0;            // interval of the block's latest thread_fence()
  uint32_t fencing_thread = 0;    // which executed it
  uint32_t acquired = 0;          // interval of the block's first atomic, 0: none yet
  uint32_t acquiring_thread = 0;  // which executed it
};

Time& time() {
  static Time instance;
  return instance;
}

// An access of another block of this launch, against the running thread's next one.
bool is_released(const Access& access, bool atomic, uint32_t thread) {
  const Time& t = time();
  if (t.acquired == 0) return false;
  if (t.acquired == t.now && thread != t.acquiring_thread) return false;
  if (atomic) return true;
  const auto after =
      std::upper_bound(t.blocks.begin(), t.blocks.end(), access.interval,
                       [](uint32_t interval, const BlockTime& block) { return interval < block.first; });
  const BlockTime& block = *std::prev(after);
  if (access.interval == block.released_interval && access.thread == block.releasing_thread) return true;
  return access.interval <= block.released_until;
}

// True when the access happened before the thread's next one on every schedule.
bool is_ordered(const Access& access, bool atomic, uint32_t thread, const WarpClock& clock) {
  const Time& t = time();
  if (access.interval < t.launch_start) return true;
  if (access.interval < t.blocks.back().first) return is_released(access, atomic, thread);
  if (access.interval < t.now) return true;
  if (access.thread == thread) return true;
  if (access.thread >= kSeveralWarps) return false;
  const uint32_t warp = access.thread >= kWarpOf ? access.thread - kWarpOf : access.thread / kWarp;
  if (warp != thread / kWarp) return false;
  // Of several lanes only the latest time is kept: with partial masks a race with one of them can stay unseen.
  if (access.thread >= kWarpOf) return access.clock < clock.now;
  return access.clock < clock.known[access.thread % kWarp];
}

std::string name_of(const Access& access, const char* did) {
  std::string who;
  if (access.interval < time().blocks.back().first) who = "another block's ";
  if (access.thread >= kSeveralWarps) return who + "threads of several warps " + did;
  if (access.thread >= kWarpOf) return who + "warp " + std::to_string(access.thread - kWarpOf) + " " + did;
  return who + "thread " + std::to_string(access.thread) + " " + did;
}

void note_read(Access& read, uint32_t thread, const WarpClock& clock) {
  const uint32_t now = time().now;
  const auto time_of_lane = static_cast<uint16_t>(std::min(clock.now, 0xffffu));
  const Access self = {now, static_cast<uint16_t>(thread), time_of_lane};
  if (read.interval != now || read.thread == thread) {
    read = self;
    return;
  }
  if (read.thread >= kSeveralWarps) return;
  const uint32_t warp = read.thread >= kWarpOf ? read.thread - kWarpOf : read.thread / kWarp;
  if (warp != thread / kWarp) {
    read.thread = kSeveralWarps;
  } else if (read.clock < time_of_lane) {
    read = self;  // the warp has met since the earlier reads
  } else {
    read.thread = static_cast<uint16_t>(kWarpOf + warp);
  }
}

}  // namespace

void start_launch_time() {
  Time& t = time();
  t.launch_start = ++t.now;
  t.blocks.clear();
}

void start_block_time() {
  Time& t = time();
  t.blocks.push_back({++t.now});
  t.fenced = t.acquired = 0;
}

void start_interval_time() { ++time().now; }

void note_fence(uint32_t thread) {
  time().fenced = time().now;
  time().fencing_thread = thread;
}

void note_atomic(uint32_t thread) {
  Time& t = time();
  // What the block did before the interval of its fence, and, where all its threads fence before a barrier, in it.
  if (t.fenced != 0) {
    const uint32_t until = t.fenced < t.now ? t.fenced : t.now - 1;
    BlockTime& block = t.blocks.back();
    block.released_until = std::max(block.released_until, until);
    if (t.fenced == t.now && t.fencing_thread == thread) {
      block.released_interval = t.now;
      block.releasing_thread = thread;
    }
  }
  if (t.acquired != 0) return;
  t.acquired = t.now;
  t.acquiring_thread = thread;
}

void forget_other_blocks(Shadow& shadow) {
  const uint32_t first = time().blocks.back().first;
  if (shadow.write.interval < first) shadow.write.interval = 0;
  if (shadow.read.interval < first) shadow.read.interval = 0;
}

Conflict note_access(Shadow& shadow, Touch touch, uint32_t thread, const WarpClock& clock) {
  if (shadow.in_flight) return {Fault::kCopyInFlight, std::to_string(shadow.write.thread)};
  const bool both_atomic = touch == Touch::kAtomic && shadow.atomic;
  if (!both_atomic && shadow.write.interval != 0 && !is_ordered(shadow.write, shadow.atomic, thread, clock)) {
    return {Fault::kRace, name_of(shadow.write, "wrote")};
  }
  Conflict result;
  if (touch != Touch::kWrite && shadow.write.interval == 0) result.fault = Fault::kUninitialised;
  if (touch == Touch::kRead) {
    note_read(shadow.read, thread, clock);
    return result;
  }
  if (shadow.read.interval != 0 && !is_ordered(shadow.read, false, thread, clock)) {
    return {Fault::kRace, name_of(shadow.read, "read")};
  }
  shadow.write = {time().now, static_cast<uint16_t>(thread),
                  static_cast<uint16_t>(std::min(clock.now, 0xffffu))};
  shadow.atomic = touch == Touch::kAtomic;
  return result;
}

}  // namespace air::emulator
