#include "native/core/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <string>
#include <system_error>

namespace air {

namespace {

// Iterations of a pause instruction before a waiting thread gives its time slice away. A loop of a forward
// lasts microseconds; beyond this the other thread is probably not running.
constexpr int kSpinsBeforeYield = 4000;
// How long an idle worker stays awake between forwards: what a token takes outside of them, with some room. It
// yields all the while, because with as many threads as CPUs it sits where the JS thread has to run.
constexpr std::chrono::microseconds kAwakeBetweenRuns(250);

constexpr uint32_t kOpen = uint32_t{1} << 31;
constexpr uint64_t kItemMask = 0xffffffff;

uint32_t loop_of(uint64_t cursor) { return static_cast<uint32_t>(cursor >> 32); }

void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The n-th turn of a loop that waits.
void relax(int n) noexcept {
  if (n < kSpinsBeforeYield) {
    cpu_relax();
  } else {
    sched_yield();
  }
}

}  // namespace

bool Team::take(int64_t total, int64_t smallest, int64_t largest, int64_t* begin, int64_t* end) noexcept {
  uint64_t cursor = state_.cursor.load(std::memory_order_acquire);
  do {
    *begin = static_cast<int64_t>(cursor & kItemMask);
    if (loop_of(cursor) != loop_ || *begin >= total) return false;
    // Guided self-scheduling (Polychronopoulos and Kuck, 1987): an even share of what is left.
    const int64_t share = (total - *begin) / threads_;
    *end = std::min(*begin + std::clamp(share, smallest, largest), total);
  } while (!state_.cursor.compare_exchange_weak(cursor, (uint64_t{loop_} << 32) | static_cast<uint64_t>(*end),
                                                std::memory_order_acquire));
  return true;
}

void Team::finish(int64_t total, int64_t count) noexcept {
  // Acquire and release: whoever finishes the loop has seen all of it, and hands that on with the cursor.
  if (state_.done.fetch_add(count, std::memory_order_acq_rel) + count < total) return;
  state_.done.store(0, std::memory_order_relaxed);
  state_.cursor.store(uint64_t{loop_ + 1} << 32, std::memory_order_release);
}

void Team::wait() noexcept {
  for (int n = 0; loop_of(state_.cursor.load(std::memory_order_acquire)) == loop_; ++n) relax(n);
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_.store(true, std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_release);
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

Status ThreadPool::start(int threads, const ThreadPlacement& placement) {
  workers_.reserve(static_cast<size_t>(threads - 1));
  for (int thread = 1; thread < threads; ++thread) {
    std::promise<Status> placed;
    std::future<Status> result = placed.get_future();
    try {
      workers_.emplace_back([this, thread, &placement, placed = std::move(placed)]() mutable {
        placed.set_value(place_this_thread(placement, thread));
        worker_loop(thread);
      });
    } catch (const std::system_error&) {
      return {StatusCode::kOutOfMemory, "expected the system to start " + std::to_string(threads) +
                                            " threads but it refused number " + std::to_string(thread + 1)};
    }
    AIR_RETURN_IF_ERROR(result.get());
  }
  return {};
}

void ThreadPool::run_erased(Entry entry, const void* context) {
  entry_ = entry;
  context_ = context;
  state_.cursor.store(0, std::memory_order_relaxed);
  gate_.store(kOpen, std::memory_order_release);
  if (!workers_.empty()) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      epoch_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
  }
  Team team(state_, 0, threads());
  entry(context, team);
  gate_.fetch_and(~kOpen, std::memory_order_relaxed);
  for (int n = 0; gate_.load(std::memory_order_acquire) != 0; ++n) relax(n);
}

// True when a run is on; it lasts at least until this worker has left it.
bool ThreadPool::enter() noexcept {
  uint32_t gate = gate_.load(std::memory_order_relaxed);
  do {
    if ((gate & kOpen) == 0) return false;
  } while (!gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire));
  return true;
}

uint32_t ThreadPool::wait_for_work(int thread, uint32_t seen) {
  const auto park_at = std::chrono::steady_clock::now() + kAwakeBetweenRuns;
  do {
    const uint32_t epoch = epoch_.load(std::memory_order_acquire);
    if (epoch != seen) return epoch;
    sched_yield();
  } while (!is_idle(thread) && std::chrono::steady_clock::now() < park_at);
  std::unique_lock<std::mutex> lock(mutex_);
  wake_.wait(lock, [this, seen] { return epoch_.load(std::memory_order_acquire) != seen; });
  return epoch_.load(std::memory_order_acquire);
}

void ThreadPool::worker_loop(int thread) {
  uint32_t seen = 0;
  for (;;) {
    seen = wait_for_work(thread, seen);
    if (stopping_.load(std::memory_order_relaxed)) return;
    if (is_idle(thread) || !enter()) continue;
    Team team(state_, thread, threads());
    entry_(context_, team);
    gate_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace air
