#include "native/core/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

#include "test/native/check.h"

TEST(every_chunk_is_handed_out_once) {
  for (const int threads : {1, 2, 5}) {
    air::ThreadPool pool;
    CHECK(pool.start(threads).ok());
    std::vector<int> hits(1003, 0);
    pool.run([&hits](air::Team& team) {
      team.for_each(1003, 10, [&hits](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
      });
    });
    CHECK_EQ(std::accumulate(hits.begin(), hits.end(), 0), 1003);
    CHECK_EQ(*std::max_element(hits.begin(), hits.end()), 1);
  }
}

TEST(a_loop_sees_all_that_the_loop_before_wrote) {
  constexpr int64_t kItems = 64;
  constexpr int kLoops = 500;
  air::ThreadPool pool;
  CHECK(pool.start(3).ok());
  std::vector<int> now(kItems, 0);  // plain memory: the loops alone order it
  std::vector<int> next(kItems, 0);
  pool.run([&](air::Team& team) {
    for (int loop = 0; loop < kLoops; ++loop) {
      // Each item sums two of the loop before, as a matrix product reads what other threads normed.
      team.for_each(kItems, 4, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          next[static_cast<size_t>(i)] =
              (now[static_cast<size_t>(i)] + now[static_cast<size_t>((i + 1) % kItems)] + 1) % 997;
        }
      });
      team.for_each(1, 1, [&](int64_t, int64_t) { std::swap(now, next); });
      team.for_each(0, 1, [&](int64_t, int64_t) { now.clear(); });
    }
  });
  int expected = 0;  // all items stay equal
  for (int loop = 0; loop < kLoops; ++loop) expected = (2 * expected + 1) % 997;
  CHECK(std::all_of(now.begin(), now.end(), [&](int value) { return value == expected; }));
}

TEST(nobody_waits_for_a_worker_without_work) {
  air::ThreadPool pool;
  CHECK(pool.start(2).ok());
  std::atomic<bool> release{false};
  std::atomic<int> loops_done{0};
  // The worker is held up between two loops, as if descheduled; the caller goes through all of them meanwhile.
  pool.run([&](air::Team& team) {
    if (team.thread() == 1) {
      while (!release) std::this_thread::yield();
    }
    for (int loop = 0; loop < 100; ++loop) {
      team.for_each(10, 1, [](int64_t, int64_t) {});
      if (team.thread() == 0) ++loops_done;
    }
    if (team.thread() == 0) release = true;
  });
  CHECK_EQ(loops_done.load(), 100);
}

TEST(a_pool_runs_again_after_its_workers_parked) {
  air::ThreadPool pool;
  CHECK(pool.start(2).ok());
  std::atomic<int64_t> total{0};
  for (int round = 0; round < 20; ++round) {
    if (round % 5 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    pool.run([&total](air::Team& team) {
      team.for_each(100, 1, [&total](int64_t begin, int64_t) { total += begin; });
    });
  }
  CHECK_EQ(total.load(), 20 * 4950);
}
