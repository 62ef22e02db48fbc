// A team of threads that runs one function together (single program, multiple data), with a barrier that
// costs well under a microsecond while everybody is running.
#ifndef AIR_CORE_THREAD_POOL_H_
#define AIR_CORE_THREAD_POOL_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "native/core/status.h"

namespace air {

// What the body of ThreadPool::run sees of its team. Every thread must make the same sequence of calls.
class Team {
 public:
  explicit Team(int threads) : threads_(threads) {}

  int threads() const noexcept { return threads_; }

  // Returns once all threads have arrived; what they wrote before is visible after. Rearms next_chunk.
  void barrier() noexcept;

  // Hands out [*begin, *end) of [0, total), first come first served; false when none is left. Pieces shrink
  // from at most `largest` to 1 as the end comes near, so that all threads finish together. Which thread gets
  // a piece varies from run to run: work must not depend on it.
  bool next_chunk(int64_t total, int64_t largest, int64_t* begin, int64_t* end) noexcept;

 private:
  const int threads_;
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> generation_{0};
};

class ThreadPool {
 public:
  ThreadPool() = default;
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Starts threads - 1 workers; the caller of run() is the other one. Once only.
  Status start(int threads);

  int threads() const noexcept { return static_cast<int>(workers_.size()) + 1; }

  // Runs body(team, thread) on every thread and returns when all have left it. One run at a time. The body must
  // not throw: the others would wait for the thread at the next barrier for ever.
  template <typename Body>
  void run(const Body& body) {
    run_erased([](const void* context, Team& team,
                  int thread) noexcept { (*static_cast<const Body*>(context))(team, thread); },
               &body);
  }

 private:
  using Entry = void (*)(const void* context, Team& team, int thread) noexcept;

  void run_erased(Entry entry, const void* context);
  void worker_loop(int thread);
  uint32_t wait_for_work(uint32_t seen);

  std::vector<std::thread> workers_;
  std::unique_ptr<Team> team_;
  Entry entry_ = nullptr;
  const void* context_ = nullptr;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint32_t> epoch_{0};  // counts runs, and the stop
  std::atomic<bool> stopping_{false};
};

// Logical CPUs that this process may use: affinity mask and cgroup quota, at least 1.
int usable_cpus();

}  // namespace air

#endif  // AIR_CORE_THREAD_POOL_H_
