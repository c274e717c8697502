// The control groups (cgroups) of Linux that limit this process, as those of a container do.
#ifndef EMBEDDED_CONTROL_GROUPS_H_
#define EMBEDDED_CONTROL_GROUPS_H_

#include <string>
#include <vector>

namespace embedded {

struct ControlGroup {
  enum class Version { k1, k2 };
  Version version;
  std::string directory;  // of the group's files
};

// The groups that the process is in and all above them, as far as they can be seen, which may have the controller: of version 2
// any may. `root` stands before the paths of the kernel's files.
std::vector<ControlGroup> ControlGroupsOf(const std::string& controller, const std::string& root);

// CPUs that the process may use at once, by its affinity mask and the quotas of its control groups; a part of one counts as one.
int UsableCpus(const std::string& root = "");

}  // namespace embedded

#endif  // EMBEDDED_CONTROL_GROUPS_H_
