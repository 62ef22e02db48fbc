#include "native/core/cpu_topology.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "test/native/check.h"

namespace {

// A machine's /sys and /proc in a folder that goes with it.
class FakeMachine {
 public:
  FakeMachine() {
    std::string name = (std::filesystem::temp_directory_path() / "air-cpus-XXXXXX").string();
    root_ = mkdtemp(name.data());
  }
  ~FakeMachine() { std::filesystem::remove_all(root_); }
  FakeMachine(const FakeMachine&) = delete;
  FakeMachine& operator=(const FakeMachine&) = delete;

  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << '\n';
  }
  void write_cpu(int cpu, const std::string& name, const std::string& text) const {
    write("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/" + name, text);
  }
  air::CpuTopology read(const std::vector<int>& affinity) const {
    return air::read_cpu_topology(root_, affinity);
  }
  // The quota of a machine of 16 equal CPUs.
  int quota() const { return read(first_cpus(16)).quota; }

  static std::vector<int> first_cpus(int count) {
    std::vector<int> cpus(static_cast<size_t>(count));
    std::iota(cpus.begin(), cpus.end(), 0);
    return cpus;
  }

 private:
  std::string root_;
};

std::string list(const std::vector<int>& cpus) { return air::format_cpu_list(cpus); }

}  // namespace

TEST(without_sys_and_proc_all_cpus_count) {
  const FakeMachine machine;
  const air::CpuTopology topology = machine.read({0, 1, 5});
  CHECK_EQ(list(topology.usable), "0-1,5");
  CHECK_EQ(list(topology.big), "0-1,5");
  CHECK_EQ(topology.quota, 0);
  CHECK_EQ(topology.usable_count(), 3);
  CHECK_EQ(topology.default_threads(), 3);
}

TEST(little_cores_are_left_out) {
  const FakeMachine machine;
  // RK3588: four A55 and four A76, one of which is binned lower.
  const char* capacities[] = {"414", "414", "414", "414", "1024", "1024", "1002", "1002"};
  for (int cpu = 0; cpu < 8; ++cpu) machine.write_cpu(cpu, "cpu_capacity", capacities[cpu]);
  const air::CpuTopology all = machine.read(FakeMachine::first_cpus(8));
  CHECK_EQ(list(all.big), "4-7");
  CHECK_EQ(all.usable_count(), 8);
  CHECK_EQ(all.default_threads(), 4);
  // A process that may only use little cores uses them.
  CHECK_EQ(list(machine.read({0, 1, 2}).big), "0-2");
  CHECK_EQ(list(machine.read({2, 3, 4}).big), "4");
}

TEST(the_middle_cluster_of_three_counts_as_big) {
  const FakeMachine machine;
  const char* capacities[] = {"325", "325", "325", "325", "828", "828", "828", "1024"};
  for (int cpu = 0; cpu < 8; ++cpu) machine.write_cpu(cpu, "cpu_capacity", capacities[cpu]);
  CHECK_EQ(list(machine.read(FakeMachine::first_cpus(8)).big), "4-7");
}

TEST(smt_siblings_are_one_core) {
  const FakeMachine machine;
  for (int cpu = 0; cpu < 8; ++cpu) {
    machine.write_cpu(cpu, "topology/thread_siblings_list",
                      std::to_string(cpu % 4) + "," + std::to_string(cpu % 4 + 4));
  }
  const air::CpuTopology all = machine.read(FakeMachine::first_cpus(8));
  CHECK_EQ(all.usable_count(), 8);
  CHECK_EQ(all.default_threads(), 4);
  // Both threads of core 0 and one of core 1.
  CHECK_EQ(machine.read({0, 1, 4}).default_threads(), 2);
}

TEST(offline_cpus_are_not_usable) {
  const FakeMachine machine;
  machine.write("/sys/devices/system/cpu/online", "0-1,3");
  const air::CpuTopology topology = machine.read(FakeMachine::first_cpus(4));
  CHECK_EQ(list(topology.usable), "0-1,3");
  CHECK_EQ(topology.default_threads(), 3);
}

TEST(nonsense_in_sys_counts_as_missing) {
  const FakeMachine machine;
  machine.write("/sys/devices/system/cpu/online", "7-3");
  machine.write_cpu(0, "cpu_capacity", "fast");
  machine.write_cpu(0, "topology/thread_siblings_list", "0-99999999");
  CHECK_EQ(machine.read({0, 1}).default_threads(), 2);
}

TEST(a_container_is_held_to_the_quota_at_its_root) {
  const FakeMachine machine;
  machine.write("/sys/fs/cgroup/cpu.max", "400000 100000");
  CHECK_EQ(machine.quota(), 4);  // without /proc
  machine.write("/proc/self/cgroup", "0::/");
  CHECK_EQ(machine.quota(), 4);
  CHECK_EQ(machine.read(FakeMachine::first_cpus(16)).default_threads(), 4);
  CHECK_EQ(machine.read(FakeMachine::first_cpus(16)).usable_count(), 4);
  CHECK_EQ(machine.read({0, 1}).default_threads(), 2);
  machine.write("/sys/fs/cgroup/cpu.max", "max 100000");
  CHECK_EQ(machine.quota(), 0);
}

TEST(part_of_a_cpu_is_no_thread_but_the_first) {
  const FakeMachine machine;
  machine.write("/sys/fs/cgroup/cpu.max", "290000 100000");
  CHECK_EQ(machine.quota(), 2);
  machine.write("/sys/fs/cgroup/cpu.max", "20000 100000");
  CHECK_EQ(machine.quota(), 1);
}

TEST(the_smallest_quota_of_nested_groups_holds) {
  const FakeMachine machine;
  machine.write("/proc/self/cgroup", "0::/user.slice/session-1.scope");
  machine.write("/sys/fs/cgroup/user.slice/session-1.scope/cpu.max", "max 100000");
  CHECK_EQ(machine.quota(), 0);
  machine.write("/sys/fs/cgroup/user.slice/cpu.max", "300000 100000");
  CHECK_EQ(machine.quota(), 3);
  machine.write("/sys/fs/cgroup/user.slice/session-1.scope/cpu.max", "50000 25000");
  CHECK_EQ(machine.quota(), 2);
  machine.write("/proc/self/cgroup", "0::/../other.slice");  // moved out of its namespace's root
  CHECK_EQ(machine.quota(), 0);
}

TEST(quotas_of_version_1_hold) {
  for (const char* mount : {"cpu", "cpu,cpuacct"}) {
    const FakeMachine machine;
    const std::string base = std::string("/sys/fs/cgroup/") + mount;
    machine.write("/proc/self/cgroup", "5:cpuset:/elsewhere\n4:cpu,cpuacct:/docker/1f\n0::/docker/1f");
    machine.write(base + "/cpu.cfs_quota_us", "-1");
    machine.write(base + "/cpu.cfs_period_us", "100000");
    CHECK_EQ(machine.quota(), 0);
    machine.write(base + "/docker/1f/cpu.cfs_quota_us", "600000");
    machine.write(base + "/docker/1f/cpu.cfs_period_us", "200000");
    CHECK_EQ(machine.quota(), 3);
    // Where the container's group is mounted as the root, the path of the host leads nowhere.
    machine.write("/proc/self/cgroup", "4:cpu,cpuacct:/docker/2e");
    machine.write(base + "/cpu.cfs_quota_us", "500000");
    CHECK_EQ(machine.quota(), 5);
  }
}

TEST(cpu_lists_read_and_write_as_the_kernel_does) {
  for (const char* text : {"0", "0-3", "0,2-3,7", "5-6,9"}) CHECK_EQ(list(air::parse_cpu_list(text)), text);
  for (const char* text : {"", "x", "3-", "3-1", "-1", "1,x", "0-99999"}) {
    CHECK_MSG(air::parse_cpu_list(text).empty(), text);
  }
}

TEST(this_machine_has_a_usable_cpu) {
  const air::CpuTopology topology = air::this_cpu_topology();
  CHECK(topology.usable_count() >= 1);
  CHECK(topology.default_threads() >= 1);
  CHECK(topology.default_threads() <= topology.usable_count());
}
