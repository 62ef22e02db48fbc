// Which CPUs the compute threads of this process should use, by what the kernel says of cores, clusters, SMT and
// control groups.
#ifndef AIR_CORE_CPU_TOPOLOGY_H_
#define AIR_CORE_CPU_TOPOLOGY_H_

#include <string>
#include <vector>

namespace air {

struct CpuTopology {
  // Online and in the affinity mask, ascending; never empty.
  std::vector<int> usable;
  // Those of `usable` that are cores of a big cluster (big.LITTLE); all of them where cores are alike.
  std::vector<int> big;
  // Physical cores among `big`: SMT siblings count once.
  int big_cores = 1;
  // Whole CPUs' worth of time that the control groups allow, at least 1; 0 without a limit.
  int quota = 0;

  // CPUs that can work at a time.
  int usable_count() const noexcept;
  // Compute threads, where nobody asks for another number: one per big physical core, never above the quota.
  int default_threads() const noexcept;
  // threads, or the quota where that is less.
  int within_quota(int threads) const noexcept;
};

// Reads <root>/sys and <root>/proc; root is empty but in tests. What is missing there counts as: all CPUs online
// and alike, no SMT, no quota. affinity: CPUs, ascending.
CpuTopology read_cpu_topology(const std::string& root, const std::vector<int>& affinity);

// Of the calling thread's affinity mask, now.
CpuTopology this_cpu_topology();

// A kernel's list such as "0-3,8"; empty for anything else.
std::vector<int> parse_cpu_list(const std::string& text);
// The reverse.
std::string format_cpu_list(const std::vector<int>& cpus);

}  // namespace air

#endif  // AIR_CORE_CPU_TOPOLOGY_H_
