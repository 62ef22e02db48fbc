#include "native/core/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <system_error>

namespace air {

namespace {

// Iterations of a pause instruction before a waiting thread gives its time slice away. A phase of a forward
// lasts microseconds; beyond this the other thread is probably not running.
constexpr int kSpinsBeforeYield = 4000;
// Yields before an idle worker parks on the condition variable, between forwards.
constexpr int kYieldsBeforePark = 50;

void cpu_relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

void Team::barrier() noexcept {
  if (threads_ == 1) {
    next_.store(0, std::memory_order_relaxed);
    return;
  }
  const uint32_t generation = generation_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads_ - 1) {
    arrived_.store(0, std::memory_order_relaxed);
    next_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; generation_.load(std::memory_order_acquire) == generation; ++spins) {
    if (spins < kSpinsBeforeYield) {
      cpu_relax();
    } else {
      sched_yield();
    }
  }
}

bool Team::next_chunk(int64_t total, int64_t largest, int64_t* begin, int64_t* end) noexcept {
  *begin = next_.load(std::memory_order_relaxed);
  do {
    if (*begin >= total) return false;
    // Guided self-scheduling (Polychronopoulos and Kuck, 1987), with half of an even share.
    const int64_t share = (total - *begin) / (2 * threads_);
    *end = *begin + std::clamp<int64_t>(share, 1, largest);
  } while (!next_.compare_exchange_weak(*begin, *end, std::memory_order_relaxed));
  return true;
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

Status ThreadPool::start(int threads) {
  team_ = std::make_unique<Team>(threads);
  workers_.reserve(static_cast<size_t>(threads - 1));
  for (int thread = 1; thread < threads; ++thread) {
    try {
      workers_.emplace_back([this, thread] { worker_loop(thread); });
    } catch (const std::system_error&) {
      return {StatusCode::kOutOfMemory, "expected the system to start " + std::to_string(threads) +
                                            " threads but it refused number " + std::to_string(thread + 1)};
    }
  }
  return {};
}

void ThreadPool::run_erased(Entry entry, const void* context) {
  entry_ = entry;
  context_ = context;
  if (!workers_.empty()) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      epoch_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
  }
  entry(context, *team_, 0);
  team_->barrier();  // the workers' writes are visible, and entry_ is free to change
}

uint32_t ThreadPool::wait_for_work(uint32_t seen) {
  for (int spins = 0; spins < kSpinsBeforeYield + kYieldsBeforePark; ++spins) {
    const uint32_t epoch = epoch_.load(std::memory_order_acquire);
    if (epoch != seen) return epoch;
    if (spins < kSpinsBeforeYield) {
      cpu_relax();
    } else {
      sched_yield();
    }
  }
  std::unique_lock<std::mutex> lock(mutex_);
  wake_.wait(lock, [this, seen] { return epoch_.load(std::memory_order_acquire) != seen; });
  return epoch_.load(std::memory_order_acquire);
}

void ThreadPool::worker_loop(int thread) {
  uint32_t seen = 0;
  for (;;) {
    seen = wait_for_work(seen);
    if (stopping_.load(std::memory_order_relaxed)) return;
    entry_(context_, *team_, thread);
    team_->barrier();
  }
}

int usable_cpus() {
  double cpus = std::thread::hardware_concurrency();
  cpu_set_t set;
  // Fails on machines of more than 1024 CPUs, where the count above is as good.
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cpus = CPU_COUNT(&set);
  // cgroup v2: "max 100000" or "<quota> <period>" in microseconds.
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0) {
    const double share = std::ceil(std::strtod(quota.c_str(), nullptr) / period);
    if (share > 0) cpus = std::min(cpus, share);
  }
  return std::max(static_cast<int>(cpus), 1);
}

}  // namespace air
