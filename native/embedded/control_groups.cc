#include "native/embedded/control_groups.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>
#include <utility>

namespace embedded {
namespace {

using Version = ControlGroup::Version;

// A mounted hierarchy of control groups.
struct Hierarchy {
  Version version;
  std::string group;  // of this process, as the kernel names it
  std::string shown;  // the group that the mount shows as its top
  std::string mount;
};

bool Lists(const std::string& list, std::string_view name) {
  std::istringstream items(list);
  for (std::string item; std::getline(items, item, ',');)
    if (item == name) return true;
  return false;
}

// The mount of one version, where there is one.
void FindMount(const std::string& root, const std::string& controller, Hierarchy* hierarchy) {
  std::ifstream file(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t separator = line.find(" - ");
    if (separator == std::string::npos) continue;
    std::istringstream before(line), after(line.substr(separator + 3));
    std::string skipped, shown, mount, type, source, options;
    before >> skipped >> skipped >> skipped >> shown >> mount;
    after >> type >> source >> options;
    const bool fits =
        hierarchy->version == Version::k2 ? type == "cgroup2" : type == "cgroup" && Lists(options, controller);
    if (!fits) continue;
    hierarchy->shown = shown;
    hierarchy->mount = mount;
    return;
  }
}

std::vector<Hierarchy> FindHierarchies(const std::string& root, const std::string& controller) {
  std::vector<Hierarchy> hierarchies;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // ID:CONTROLLERS:GROUP
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool is_v2 = controllers.empty();
    if (!is_v2 && !Lists(controllers, controller)) continue;
    Hierarchy found{is_v2 ? Version::k2 : Version::k1, line.substr(second + 1), "/",
                    is_v2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controller};
    FindMount(root, controller, &found);
    hierarchies.push_back(std::move(found));
  }
  return hierarchies;
}

// The group below the mount, "" for the top. A group of another namespace ("/../..") is not there to be seen.
std::string Below(const Hierarchy& hierarchy) {
  std::string below = hierarchy.group;
  if (hierarchy.shown != "/") {
    const bool is_below = below.rfind(hierarchy.shown, 0) == 0 &&
                          (below.size() == hierarchy.shown.size() || below[hierarchy.shown.size()] == '/');
    below = is_below ? below.substr(hierarchy.shown.size()) : "";
  }
  if (below.find("/..") != std::string::npos) return "";
  while (!below.empty() && below.back() == '/') below.pop_back();
  return below;
}

// Infinity where the group has no quota.
double CpuQuota(const ControlGroup& group) {
  double quota = 0, period = 0;  // microseconds; no number is read from "max", and -1 is none
  if (group.version == Version::k2) {
    std::ifstream(group.directory + "/cpu.max") >> quota >> period;
  } else {
    std::ifstream(group.directory + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(group.directory + "/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : HUGE_VAL;
}

int AffineCpus() {
  cpu_set_t cpus;
  if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0) return CPU_COUNT(&cpus);
  return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

std::vector<ControlGroup> ControlGroupsOf(const std::string& controller, const std::string& root) {
  std::vector<ControlGroup> groups;
  for (const Hierarchy& hierarchy : FindHierarchies(root, controller)) {
    for (std::string below = Below(hierarchy);; below.resize(below.rfind('/'))) {
      groups.push_back({hierarchy.version, root + hierarchy.mount + below});
      if (below.empty()) break;
    }
  }
  return groups;
}

int UsableCpus(const std::string& root) {
  double cpus = AffineCpus();
  for (const ControlGroup& group : ControlGroupsOf("cpu", root)) cpus = std::min(cpus, std::ceil(CpuQuota(group)));
  return std::max(1, static_cast<int>(cpus));
}

}  // namespace embedded
