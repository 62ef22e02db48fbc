// A pool of threads that works through a sequence of parallel loops. Nobody waits for a thread, only for work:
// a loop is over when its items are done, so a worker that the system has descheduled between two loops holds
// nobody up, and joins again wherever the others are by then.
#ifndef AIR_CORE_THREAD_POOL_H_
#define AIR_CORE_THREAD_POOL_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "native/core/status.h"
#include "native/core/thread_placement.h"

namespace air {

// What the threads of one run share. The cursor is (number of the loop << 32 | next item), so that taking items
// and noticing that a loop is over are one atomic step.
struct TeamState {
  alignas(64) std::atomic<uint64_t> cursor{0};
  alignas(64) std::atomic<int64_t> done{0};  // items of the loop
};

// One thread's view of a run. Every thread must make the same sequence of for_each calls, with the same totals:
// what decides them must not change during the run.
class Team {
 public:
  Team(TeamState& state, int thread, int threads) : state_(state), thread_(thread), threads_(threads) {}

  // Which of the threads() this is; 0 is the one that called run().
  int thread() const noexcept { return thread_; }
  int threads() const noexcept { return threads_; }

  // Calls body(begin, end) for pieces of [0, total), and returns when all of [0, total) is done, by whomever;
  // what was written there is visible then. Pieces shrink from an even share, but at most `largest`, to
  // `smallest` as the end comes near, so that all threads finish together. Which thread gets a piece varies:
  // work must not depend on it.
  template <typename Body>
  void for_each(int64_t total, int64_t smallest, int64_t largest, const Body& body) {
    if (total <= 0) return;
    int64_t begin = 0;
    int64_t end = 0;
    while (take(total, smallest, largest, &begin, &end)) {
      body(begin, end);
      finish(total, end - begin);
    }
    wait();
    ++loop_;
  }

  template <typename Body>
  void for_each(int64_t total, int64_t largest, const Body& body) {
    for_each(total, 1, largest, body);
  }

 private:
  bool take(int64_t total, int64_t smallest, int64_t largest, int64_t* begin, int64_t* end) noexcept;
  void finish(int64_t total, int64_t count) noexcept;
  void wait() noexcept;

  TeamState& state_;
  const int thread_;
  const int threads_;
  uint32_t loop_ = 0;  // this thread's next loop; the others may be further
};

class ThreadPool {
 public:
  ThreadPool() = default;
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Starts threads - 1 workers, placed as threads 1 and up; the caller of run() is thread 0, and is left where it
  // is. Once only.
  Status start(int threads, const ThreadPlacement& placement = {});

  int threads() const noexcept { return static_cast<int>(workers_.size()) + 1; }

  // From any thread: later runs are left to the first `threads` of them, the others sleep. At least one works.
  void limit(int threads) noexcept { limit_.store(threads, std::memory_order_relaxed); }

  // Runs body(team) on the calling thread, and on those workers that come while it runs; returns when all have
  // left it. One run at a time. The body must not throw: the others would wait for its items for ever.
  template <typename Body>
  void run(const Body& body) {
    run_erased([](const void* context, Team& team) noexcept { (*static_cast<const Body*>(context))(team); },
               &body);
  }

 private:
  using Entry = void (*)(const void* context, Team& team) noexcept;

  void run_erased(Entry entry, const void* context);
  void worker_loop(int thread);
  bool is_idle(int thread) const noexcept { return thread >= limit_.load(std::memory_order_relaxed); }
  uint32_t wait_for_work(int thread, uint32_t seen);
  bool enter() noexcept;

  std::vector<std::thread> workers_;
  TeamState state_;
  Entry entry_ = nullptr;
  const void* context_ = nullptr;
  std::atomic<uint32_t> gate_{0};  // kOpen while a run lasts, plus the number of workers in it

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<uint32_t> epoch_{0};  // counts runs, and the stop
  std::atomic<bool> stopping_{false};
  std::atomic<int> limit_{std::numeric_limits<int>::max()};
};

}  // namespace air

#endif  // AIR_CORE_THREAD_POOL_H_
