#include "native/core/cgroup_quota.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace air {

namespace {

// A limit in CPUs; 0, for none, where the quota is "max" or -1 or its file does not exist.
double to_limit(const std::string& quota, double period) {
  const double micros = std::strtod(quota.c_str(), nullptr);
  return micros > 0 && period > 0 ? micros / period : 0;
}

// cpu.max holds "<quota> <period>" in microseconds, or "max <period>".
double read_version_2(const std::string& group) {
  std::ifstream file(group + "/cpu.max");
  std::string quota;
  double period = 0;
  file >> quota >> period;
  return to_limit(quota, period);
}

double read_version_1(const std::string& group) {
  std::ifstream quota_file(group + "/cpu.cfs_quota_us");
  std::ifstream period_file(group + "/cpu.cfs_period_us");
  std::string quota;
  double period = 0;
  quota_file >> quota;
  period_file >> period;
  return to_limit(quota, period);
}

// The smaller of two limits, of which 0 is none.
double smaller(double a, double b) { return a > 0 && b > 0 ? std::min(a, b) : std::max(a, b); }

// The smallest limit of the group at mount + path and of all above it, down to the mount; 0 without any. Inside a
// container the path may be the host's and not exist below the mount: then only what does exist counts.
template <typename Read>
double smallest_above(const std::string& mount, std::string path, const Read& read) {
  if (path.find("/..") != std::string::npos) path.clear();  // of a group outside of what is mounted
  double smallest = 0;
  for (;;) {
    smallest = smaller(smallest, read(mount + path));
    if (path.empty()) return smallest;
    path.erase(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

bool names_cpu(const std::string& controllers) {
  return ("," + controllers + ",").find(",cpu,") != std::string::npos;
}

}  // namespace

double read_cgroup_quota(const std::string& root) {
  const std::string mount = root + "/sys/fs/cgroup";
  double smallest = read_version_2(mount);  // also where /proc is hidden
  // Lines of "<hierarchy>:<controllers>:<path>"; version 2 has no controllers.
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    std::istringstream fields(line);
    std::string hierarchy;
    std::string controllers;
    std::string path;
    std::getline(fields, hierarchy, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, path);
    if (controllers.empty()) {
      smallest = smaller(smallest, smallest_above(mount, path, read_version_2));
    } else if (names_cpu(controllers)) {
      smallest = smaller(smallest, smallest_above(mount + "/" + controllers, path, read_version_1));
      smallest = smaller(smallest, smallest_above(mount + "/cpu", path, read_version_1));
    }
  }
  return smallest;
}

}  // namespace air
