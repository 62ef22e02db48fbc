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
    pool.run([&hits](air::Team& team, int) {
      int64_t begin = 0;
      int64_t end = 0;
      while (team.next_chunk(1003, 10, &begin, &end)) {
        for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
      }
    });
    CHECK_EQ(std::accumulate(hits.begin(), hits.end(), 0), 1003);
    CHECK_EQ(*std::max_element(hits.begin(), hits.end()), 1);
  }
}

TEST(a_barrier_shows_what_others_wrote_and_rearms_the_chunks) {
  constexpr int kThreads = 3;
  constexpr int kPhases = 500;
  air::ThreadPool pool;
  CHECK(pool.start(kThreads).ok());
  int slots[kThreads] = {};  // plain memory: the barrier alone orders it
  std::atomic<int> wrong{0};
  pool.run([&](air::Team& team, int thread) {
    for (int phase = 1; phase <= kPhases; ++phase) {
      slots[thread] = phase;
      team.barrier();
      for (const int slot : slots) wrong += slot != phase;
      int64_t begin = 0;
      int64_t end = 0;
      while (team.next_chunk(7, 1, &begin, &end)) {
      }
      team.barrier();
    }
  });
  CHECK_EQ(wrong.load(), 0);
}

TEST(a_pool_runs_again_after_its_workers_parked) {
  air::ThreadPool pool;
  CHECK(pool.start(2).ok());
  int total = 0;
  for (int round = 0; round < 20; ++round) {
    if (round % 5 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int> seen{0};
    pool.run([&seen](air::Team&, int) { ++seen; });
    total += seen;
  }
  CHECK_EQ(total, 40);
}

TEST(usable_cpus_is_at_least_one) { CHECK(air::usable_cpus() >= 1); }
