#include "native/core/cpu_topology.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <set>
#include <sstream>
#include <thread>

#include "native/core/cgroup_quota.h"

namespace air {

namespace {

constexpr int kMaxCpus = 1 << 16;  // that a list may name; guards against nonsense

// The first line; empty when there is none.
std::string read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string cpu_file(const std::string& root, int cpu, const char* name) {
  return root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/" + name;
}

// Those of `cpus` that are also in `others`.
std::vector<int> keep(const std::vector<int>& cpus, const std::vector<int>& others) {
  std::vector<int> kept;
  std::copy_if(cpus.begin(), cpus.end(), std::back_inserter(kept),
               [&others](int cpu) { return std::find(others.begin(), others.end(), cpu) != others.end(); });
  return kept;
}

// cpu_capacity is relative to the fastest core of the machine (1024), frequency included. Half of the largest
// among the usable CPUs separates the clusters of real boards: little cores have 0.25 to 0.4 of it, the middle
// cluster of three 0.7 and more. Maximum frequencies would not: they differ by less between big and little
// (RK3399: 0.78) than between two bins of equal cores.
std::vector<int> big_cpus(const std::string& root, const std::vector<int>& usable) {
  std::vector<int> capacities;
  for (const int cpu : usable)
    capacities.push_back(std::atoi(read_line(cpu_file(root, cpu, "cpu_capacity")).c_str()));
  const int largest = *std::max_element(capacities.begin(), capacities.end());
  std::vector<int> big;
  for (size_t i = 0; i < usable.size(); ++i)
    if (2 * capacities[i] >= largest) big.push_back(usable[i]);
  return big;
}

int count_cores(const std::string& root, const std::vector<int>& cpus) {
  std::set<std::vector<int>> cores;  // as the CPUs of each
  for (const int cpu : cpus) {
    const auto siblings = parse_cpu_list(read_line(cpu_file(root, cpu, "topology/thread_siblings_list")));
    cores.insert(siblings.empty() ? std::vector<int>{cpu} : siblings);
  }
  return static_cast<int>(cores.size());
}

std::vector<int> affinity_mask() {
  std::vector<int> cpus;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    return cpus;
  }
  // Fails on machines of more than 1024 CPUs; the C++ library has a larger set.
  cpus.resize(std::max(std::thread::hardware_concurrency(), 1U));
  std::iota(cpus.begin(), cpus.end(), 0);
  return cpus;
}

}  // namespace

int CpuTopology::within_quota(int threads) const noexcept {
  return quota > 0 ? std::min(threads, quota) : threads;
}

int CpuTopology::usable_count() const noexcept { return within_quota(static_cast<int>(usable.size())); }

int CpuTopology::default_threads() const noexcept { return within_quota(big_cores); }

CpuTopology read_cpu_topology(const std::string& root, const std::vector<int>& affinity) {
  CpuTopology topology;
  topology.usable = keep(affinity, parse_cpu_list(read_line(root + "/sys/devices/system/cpu/online")));
  if (topology.usable.empty()) topology.usable = affinity;
  topology.big = big_cpus(root, topology.usable);
  topology.big_cores = count_cores(root, topology.big);
  // Rounded down: with more threads than CPUs' worth of time, the kernel stops all of them, and the JS thread,
  // for the rest of each period (100 ms as a rule).
  const double quota = read_cgroup_quota(root);
  topology.quota = quota > 0 ? std::max(1, static_cast<int>(std::min<double>(quota, kMaxCpus))) : 0;
  return topology;
}

CpuTopology this_cpu_topology() { return read_cpu_topology("", affinity_mask()); }

std::vector<int> parse_cpu_list(const std::string& text) {
  std::vector<int> cpus;
  std::istringstream ranges(text);
  for (std::string range; std::getline(ranges, range, ',');) {
    std::istringstream numbers(range);
    int first = -1;
    int last = -1;
    char dash = 0;
    if (!(numbers >> first)) return {};
    if (!(numbers >> dash)) last = first;
    if (dash == '-') numbers >> last;
    if (first < 0 || last < first || last >= kMaxCpus) return {};
    for (int cpu = first; cpu <= last; ++cpu) cpus.push_back(cpu);
  }
  return cpus;
}

std::string format_cpu_list(const std::vector<int>& cpus) {
  std::string text;
  for (size_t i = 0; i < cpus.size();) {
    size_t end = i + 1;
    while (end < cpus.size() && cpus[end] == cpus[end - 1] + 1) ++end;
    if (!text.empty()) text += ',';
    text += std::to_string(cpus[i]);
    if (end - i > 1) text += '-' + std::to_string(cpus[end - 1]);
    i = end;
  }
  return text;
}

}  // namespace air
