#include "native/core/thread_placement.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

namespace air {

namespace {

constexpr int kLowNice = 10;
constexpr int kHighNice = -10;

bool contains(const std::vector<int>& cpus, int cpu) {
  return std::find(cpus.begin(), cpus.end(), cpu) != cpus.end();
}

Status check_cpu_list(const ThreadRequest& request, const CpuTopology& topology) {
  const std::vector<int>& list = request.cpu_list;
  for (const int cpu : list) {
    if (!contains(topology.usable, cpu)) {
      return {StatusCode::kArgument, "expected CPUs that this process may use (" +
                                         format_cpu_list(topology.usable) + ") for cpuList but received " +
                                         std::to_string(cpu)};
    }
    if (std::count(list.begin(), list.end(), cpu) > 1) {
      return {StatusCode::kArgument,
              "expected each CPU once for cpuList but received " + std::to_string(cpu) + " twice"};
    }
  }
  if (!list.empty() && request.threads > static_cast<int>(list.size())) {
    return {StatusCode::kArgument, "expected at most as many threads as cpuList has CPUs (" +
                                       std::to_string(list.size()) + ") but received " +
                                       std::to_string(request.threads)};
  }
  return {};
}

Status set_affinity(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int cpu : cpus)
    if (cpu < CPU_SETSIZE) CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof(set), &set) == 0) return {};
  return {StatusCode::kArgument, "expected CPUs that a thread may be pinned to but the system refused " +
                                     format_cpu_list(cpus) + ": " + std::strerror(errno)};
}

// On Linux a nice value belongs to a thread.
Status set_priority(ThreadPriority priority) {
  if (priority == ThreadPriority::kNormal) return {};
  const auto thread = static_cast<id_t>(syscall(SYS_gettid));
  const int now = getpriority(PRIO_PROCESS, thread);
  // A process that is nicer than that already stays so, for which no privilege is needed.
  const int nice = priority == ThreadPriority::kLow ? std::max(now, kLowNice) : std::min(now, kHighNice);
  if (nice == now || setpriority(PRIO_PROCESS, thread, nice) == 0) return {};
  return {
      StatusCode::kArgument,
      "expected a priority that this process may set (\"high\" takes CAP_SYS_NICE or an RLIMIT_NICE of 30) "
      "but the system refused nice " +
          std::to_string(nice) + ": " + std::strerror(errno)};
}

}  // namespace

Status plan_threads(const ThreadRequest& request, const CpuTopology& topology, ThreadPlan* plan) {
  AIR_RETURN_IF_ERROR(check_cpu_list(request, topology));
  const bool is_pinned = !request.cpu_list.empty();
  const int fallback = is_pinned ? static_cast<int>(request.cpu_list.size()) : topology.big_cores;
  plan->threads = topology.within_quota(request.threads > 0 ? request.threads : fallback);
  plan->placement = {request.cpu_list, is_pinned, request.priority};
  const auto big = topology.big.size();
  if (!is_pinned && big < topology.usable.size() && static_cast<size_t>(plan->threads) <= big) {
    plan->placement.cpus = topology.big;
  }
  return {};
}

Status place_this_thread(const ThreadPlacement& placement, int thread) {
  if (!placement.cpus.empty()) {
    AIR_RETURN_IF_ERROR(set_affinity(placement.is_pinned
                                         ? std::vector<int>{placement.cpus[static_cast<size_t>(thread)]}
                                         : placement.cpus));
  }
  return set_priority(placement.priority);
}

}  // namespace air
