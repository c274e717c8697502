// What of this process's environment a host gets.
#ifndef ISOLATION_HOST_ENVIRONMENT_H_
#define ISOLATION_HOST_ENVIRONMENT_H_

#include <string>
#include <vector>

namespace isolation {

// "NAME=value" of each variable that an executor, or a library below it, may read, and of those that are named besides. The
// rest, which may hold a service's secrets, stays here. Not while another thread changes the environment.
std::vector<std::string> HostEnvironment(const std::vector<std::string>& also);

}  // namespace isolation

#endif  // ISOLATION_HOST_ENVIRONMENT_H_
