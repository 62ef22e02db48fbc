// How many compute threads there are, on which CPUs, and how they rank among other work of the machine.
#ifndef AIR_CORE_THREAD_PLACEMENT_H_
#define AIR_CORE_THREAD_PLACEMENT_H_

#include <vector>

#include "native/core/cpu_topology.h"
#include "native/core/status.h"

namespace air {

enum class ThreadPriority { kLow, kNormal, kHigh };

struct ThreadPlacement {
  std::vector<int> cpus;   // empty: wherever the process may run
  bool is_pinned = false;  // thread i to cpus[i] alone; else each thread may use all of cpus
  ThreadPriority priority = ThreadPriority::kNormal;
};

// What a caller asks for.
struct ThreadRequest {
  int threads = 0;            // 0: the default
  std::vector<int> cpu_list;  // to pin thread i to cpu_list[i]; empty: no pinning
  ThreadPriority priority = ThreadPriority::kNormal;
};

struct ThreadPlan {
  int threads = 1;
  ThreadPlacement placement;
};

// Fills in defaults: a thread for each listed CPU, or each big physical core, which the threads then keep to if
// there are enough of them. A number above the quota of the control groups is reduced to it. AIR_ERR_ARGUMENT for
// listed CPUs that are unusable or listed twice, and for more threads than listed CPUs.
Status plan_threads(const ThreadRequest& request, const CpuTopology& topology, ThreadPlan* plan);

// Gives the calling thread the CPUs and the priority of compute thread `thread`; threads that it starts inherit
// both. Low is nice 10, high is nice -10, which takes a privilege (AIR_ERR_ARGUMENT without it).
Status place_this_thread(const ThreadPlacement& placement, int thread);

}  // namespace air

#endif  // AIR_CORE_THREAD_PLACEMENT_H_
