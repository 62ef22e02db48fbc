// The CPU time that Linux control groups leave this process.
#ifndef AIR_CORE_CGROUP_QUOTA_H_
#define AIR_CORE_CGROUP_QUOTA_H_

#include <string>

namespace air {

// In CPUs (1.5 is 150 ms of CPU time every 100 ms): the smallest quota of the groups that this process is in, up
// to the root, of version 2 and 1; 0 without any. Reads <root>/proc/self/cgroup and <root>/sys/fs/cgroup, where
// both versions are mounted by convention.
double read_cgroup_quota(const std::string& root);

}  // namespace air

#endif  // AIR_CORE_CGROUP_QUOTA_H_
