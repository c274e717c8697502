#include "native/embedded/control_groups.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace embedded {
namespace {

using Files = std::map<std::string, std::string>;

// CPUs where the kernel's files are as a test wants them.
int Cpus(const Files& files) {
  std::string root = (std::filesystem::temp_directory_path() / "control-groups-XXXXXX").string();
  if (mkdtemp(root.data()) == nullptr) std::abort();
  for (const auto& [path, text] : files) {
    std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
    std::ofstream(root + path) << text;
  }
  const int cpus = UsableCpus(root);
  std::filesystem::remove_all(root);
  return cpus;
}

// Of the affinity mask.
int AllCpus() { return Cpus({}); }

Files V2(const std::string& cpu_max) {
  return {{"/proc/self/cgroup", "0::/pod/box\n"}, {"/sys/fs/cgroup/pod/cpu.max", cpu_max}};
}

Files V1(const std::string& quota) {
  return {
      {"/proc/self/cgroup", "5:cpu,cpuacct:/docker/a1\n4:memory:/docker/a1\n"},
      {"/proc/self/mountinfo", "40 30 0:30 /docker/a1 /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"},
      {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", quota},
      {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "50000\n"}};
}

TEST(UsableCpus, AreTheQuotaOfAControlGroupAboveOfVersion2) { EXPECT_EQ(Cpus(V2("100000 100000\n")), 1); }

TEST(UsableCpus, AreTheQuotaOfAControlGroupOfVersion1) { EXPECT_EQ(Cpus(V1("50000\n")), 1); }

TEST(UsableCpus, CountAPartOfACpuAsOne) {
  EXPECT_EQ(Cpus(V2("1000 100000\n")), 1);
  const int two = std::min(2, AllCpus());
  EXPECT_EQ(Cpus(V2("110000 100000\n")), two);
  EXPECT_EQ(Cpus(V1("55000\n")), two);
}

TEST(UsableCpus, AreThoseOfTheAffinityMaskWithoutAQuotaOrWithALargerOne) {
  for (const char* text : {"max 100000\n", "", "-1 100000\n", "100000 0\n", "x y\n", "900000000 100000\n"})
    EXPECT_EQ(Cpus(V2(text)), AllCpus()) << text;
  for (const char* text : {"-1\n", "", "x\n", "900000000\n"}) EXPECT_EQ(Cpus(V1(text)), AllCpus()) << text;
}

}  // namespace
}  // namespace embedded
