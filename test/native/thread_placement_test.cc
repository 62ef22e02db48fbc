#include "native/core/thread_placement.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "native/core/thread_pool.h"
#include "test/native/check.h"

namespace {

// Eight CPUs, of which 4 to 7 are big and 0 to 3 little.
air::CpuTopology big_little() {
  air::CpuTopology topology;
  topology.usable = {0, 1, 2, 3, 4, 5, 6, 7};
  topology.big = {4, 5, 6, 7};
  topology.big_cores = 4;
  return topology;
}

std::string message_of(const air::ThreadRequest& request, const air::CpuTopology& topology) {
  air::ThreadPlan plan;
  const air::Status status = air::plan_threads(request, topology, &plan);
  return status.code() == air::StatusCode::kArgument ? status.message() : "not AIR_ERR_ARGUMENT";
}

air::ThreadPlan plan_of(const air::ThreadRequest& request, const air::CpuTopology& topology) {
  air::ThreadPlan plan;
  CHECK(air::plan_threads(request, topology, &plan).ok());
  return plan;
}

std::vector<int> own_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof(set), &set);
  std::vector<int> cpus;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  return cpus;
}

int own_nice() { return getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid))); }

template <typename Body>
void on_another_thread(const Body& body) {
  std::thread(body).join();
}

}  // namespace

TEST(threads_keep_to_the_big_cores_while_those_suffice) {
  const air::ThreadPlan fallback = plan_of({}, big_little());
  CHECK_EQ(fallback.threads, 4);
  CHECK(fallback.placement.cpus == big_little().big);
  CHECK(!fallback.placement.is_pinned);
  CHECK(plan_of({3, {}, {}}, big_little()).placement.cpus == big_little().big);
  const air::ThreadPlan six = plan_of({6, {}, {}}, big_little());
  CHECK_EQ(six.threads, 6);
  CHECK(six.placement.cpus.empty());
  // Where all cores are alike, the system places the threads.
  air::CpuTopology alike = big_little();
  alike.big = alike.usable;
  CHECK(plan_of({}, alike).placement.cpus.empty());
}

TEST(a_cpu_list_pins_a_thread_for_each_of_its_cpus) {
  const air::ThreadPlan plan = plan_of({0, {5, 0, 2}, {}}, big_little());
  CHECK_EQ(plan.threads, 3);
  CHECK(plan.placement.is_pinned);
  CHECK((plan.placement.cpus == std::vector<int>{5, 0, 2}));
  CHECK_EQ(plan_of({2, {5, 0, 2}, {}}, big_little()).threads, 2);
}

TEST(a_cpu_list_that_cannot_be_used_is_refused) {
  CHECK_EQ(message_of({0, {0, 8}, {}}, big_little()),
           "expected CPUs that this process may use (0-7) for cpuList but received 8");
  CHECK_EQ(message_of({0, {1, 1}, {}}, big_little()),
           "expected each CPU once for cpuList but received 1 twice");
  CHECK_EQ(message_of({3, {0, 1}, {}}, big_little()),
           "expected at most as many threads as cpuList has CPUs (2) but received 3");
}

TEST(more_threads_than_the_quota_become_as_many_as_it_allows) {
  air::CpuTopology limited = big_little();
  limited.quota = 2;
  CHECK_EQ(plan_of({}, limited).threads, 2);
  CHECK_EQ(plan_of({7, {}, {}}, limited).threads, 2);
  CHECK_EQ(plan_of({1, {}, {}}, limited).threads, 1);
  CHECK_EQ(plan_of({0, {0, 1, 2}, {}}, limited).threads, 2);
  // Without a quota a caller may have more threads than CPUs.
  CHECK_EQ(plan_of({20, {}, {}}, big_little()).threads, 20);
}

TEST(a_placed_thread_runs_on_its_cpu_alone) {
  const std::vector<int> cpus = own_cpus();
  for (size_t i = 0; i < cpus.size(); ++i) {
    on_another_thread([&cpus, i] {
      CHECK(air::place_this_thread({cpus, true, {}}, static_cast<int>(i)).ok());
      CHECK(own_cpus() == std::vector<int>{cpus[i]});
    });
  }
  on_another_thread([&cpus] {
    CHECK(air::place_this_thread({cpus, false, {}}, 0).ok());
    CHECK(own_cpus() == cpus);
  });
  CHECK(own_cpus() == cpus);
}

TEST(a_low_priority_is_that_of_the_thread_alone) {
  const int before = own_nice();
  on_another_thread([before] {
    CHECK(air::place_this_thread({{}, false, air::ThreadPriority::kLow}, 0).ok());
    CHECK_EQ(own_nice(), std::max(before, 10));
  });
  CHECK_EQ(own_nice(), before);
}

TEST(a_high_priority_without_the_privilege_is_refused) {
  rlimit limit{};
  getrlimit(RLIMIT_NICE, &limit);
  if (limit.rlim_cur >= 30) return;  // anyone may set it here
  on_another_thread([] {
    // The bare call changes this thread's user alone; root's privileges go with it.
    constexpr long kNobody = 65534;
    syscall(SYS_setresuid, kNobody, kNobody, kNobody);
    const air::Status status = air::place_this_thread({{}, false, air::ThreadPriority::kHigh}, 0);
    CHECK(status.code() == air::StatusCode::kArgument);
    CHECK_MSG(status.message().find("CAP_SYS_NICE") != std::string::npos, status.message());
  });
}

TEST(a_pool_places_its_workers_and_leaves_its_caller) {
  const std::vector<int> before = own_cpus();
  const int nice = own_nice();
  const int cpu = before.back();
  air::ThreadPool pool;
  // The caller would be the first of the list.
  CHECK(pool.start(2, {{before.front(), cpu}, true, air::ThreadPriority::kLow}).ok());
  std::atomic<int> worker_nice{-100};
  pool.run([&](air::Team& team) {
    if (team.thread() == 0) {
      while (worker_nice == -100) std::this_thread::yield();
    } else {
      CHECK(own_cpus() == std::vector<int>{cpu});
      worker_nice = own_nice();
    }
  });
  CHECK_EQ(worker_nice.load(), std::max(nice, 10));
  CHECK(own_cpus() == before);
  CHECK_EQ(own_nice(), nice);
}

TEST(a_pool_says_why_its_workers_cannot_be_placed) {
  air::ThreadPool pool;
  const air::Status status = pool.start(2, {{0, CPU_SETSIZE + 1}, true, {}});
  CHECK(status.code() == air::StatusCode::kArgument);
}
