#include "native/embedded/process_memory.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>

namespace embedded {
namespace {

constexpr uint64_t kNone = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kGiB = uint64_t{1} << 30;
const std::string kUnlimitedV1 = "9223372036854771712";

std::string Gib(uint64_t count) { return std::to_string(count * kGiB) + "\n"; }

using Files = std::map<std::string, std::string>;

const Files kMachine = {{"/proc/meminfo", "MemTotal:  16777216 kB\nMemFree: 1 kB\nMemAvailable:  12582912 kB\n"}};
// What a container of version 2 with a namespace of its own sees.
const Files kV2 = {{"/proc/self/cgroup", "0::/\n"},
                   {"/proc/self/mountinfo", "30 24 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n"}};

// The kernel's files as a test wants them.
HostMemory Read(const Files& machine, const Files& more = {}, const Files& yet_more = {}) {
  std::string root = (std::filesystem::temp_directory_path() / "process-memory-XXXXXX").string();
  if (mkdtemp(root.data()) == nullptr) std::abort();
  for (const Files& files : {machine, more, yet_more})
    for (const auto& [path, text] : files) {
      std::filesystem::create_directories(std::filesystem::path(root + path).parent_path());
      std::ofstream(root + path) << text;
    }
  const HostMemory memory = ReadHostMemory(root);
  std::filesystem::remove_all(root);
  return memory;
}

void ExpectMemory(const HostMemory& memory, uint64_t limit, uint64_t available) {
  EXPECT_EQ(memory.limit, limit);
  EXPECT_EQ(memory.available, available);
}

TEST(ProcessMemory, IsTheMachinesWhereNothingLimitsIt) {
  ExpectMemory(Read(kMachine), 16 * kGiB, 12 * kGiB);
  ExpectMemory(Read(kMachine, kV2), 16 * kGiB, 12 * kGiB);
}

TEST(ProcessMemory, HasNoLimitWhereNothingCanBeRead) { ExpectMemory(Read({}), kNone, kNone); }

TEST(ProcessMemory, OfAContainerOfVersion2IsWhatItsGroupLeaves) {
  ExpectMemory(Read(kMachine, kV2, {{"/sys/fs/cgroup/memory.max", Gib(4)}, {"/sys/fs/cgroup/memory.current", Gib(1)}}),
               4 * kGiB, 3 * kGiB);
}

TEST(ProcessMemory, CountsPageCacheThatNoProcessMapsAsAvailable) {
  ExpectMemory(Read(kMachine, kV2,
                    {{"/sys/fs/cgroup/memory.max", Gib(4)},
                     {"/sys/fs/cgroup/memory.current", Gib(4)},
                     {"/sys/fs/cgroup/memory.stat",
                      "anon 1\nfile 9\ninactive_file " + Gib(2) + "active_file " + Gib(1) + "file_mapped " + Gib(1)}}),
               4 * kGiB, 2 * kGiB);
}

TEST(ProcessMemory, IsLimitedByMemoryHighToo) {
  ExpectMemory(Read(kMachine, kV2, {{"/sys/fs/cgroup/memory.max", "max\n"}, {"/sys/fs/cgroup/memory.high", Gib(2)}}),
               2 * kGiB, 2 * kGiB);
}

TEST(ProcessMemory, IsLimitedByTheTightestOfNestedGroups) {
  Files nested = kV2;
  nested["/proc/self/cgroup"] = "0::/pod/box/leaf\n";
  const std::string top = "/sys/fs/cgroup";
  // The limit is the box's, and the pod, with another box in it, has the least left.
  ExpectMemory(Read(kMachine, nested,
                    {{top + "/pod/memory.max", Gib(8)},
                     {top + "/pod/memory.current", Gib(7)},
                     {top + "/pod/box/memory.max", Gib(4)},
                     {top + "/pod/box/memory.current", Gib(1)},
                     {top + "/pod/box/leaf/memory.max", "max\n"},
                     {top + "/pod/box/leaf/memory.current", Gib(1)}}),
               4 * kGiB, 1 * kGiB);
}

TEST(ProcessMemory, OfAGroupOutsideTheNamespaceIsLimitedByWhatIsSeen) {
  for (const char* group : {"/../other", "/..", "/../../x/y"}) {
    Files outside = kV2;
    outside["/proc/self/cgroup"] = std::string("0::") + group + "\n";
    ExpectMemory(Read(kMachine, outside, {{"/sys/fs/cgroup/memory.max", Gib(4)}}), 4 * kGiB, 4 * kGiB);
  }
}

TEST(ProcessMemory, OfAContainerOfVersion1IsWhatItsGroupLeaves) {
  // Without a namespace the kernel names the group as the host does, and the mount shows it as its top.
  const Files v1 = {{"/proc/self/cgroup", "5:cpu,cpuacct:/docker/a1\n4:memory:/docker/a1\n0::/docker/a1\n"},
                    {"/proc/self/mountinfo",
                     "40 30 0:30 /docker/a1 /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n"
                     "41 30 0:31 /docker/a1 /sys/fs/cgroup/memory ro master:9 - cgroup cgroup rw,memory\n"}};
  const std::string group = "/sys/fs/cgroup/memory";
  ExpectMemory(Read(kMachine, v1,
                    {{group + "/memory.limit_in_bytes", Gib(2)},
                     {group + "/memory.usage_in_bytes", Gib(2)},
                     {group + "/memory.stat", "cache 5\ninactive_file 7\ntotal_inactive_file " + Gib(1)}}),
               2 * kGiB, 1 * kGiB);
}

TEST(ProcessMemory, OfVersion1IsLimitedByTheGroupsAboveEvenWhereTheyAreNotSeen) {
  const Files v1 = {{"/proc/self/cgroup", "4:memory:/\n"}};  // and no mountinfo: the usual places are tried
  ExpectMemory(Read(kMachine, v1,
                    {{"/sys/fs/cgroup/memory/memory.limit_in_bytes", kUnlimitedV1},
                     {"/sys/fs/cgroup/memory/memory.stat", "hierarchical_memory_limit " + Gib(3)}}),
               3 * kGiB, 3 * kGiB);
}

TEST(ProcessMemory, OfVersion1WithoutALimitIsTheMachines) {
  const Files v1 = {{"/proc/self/cgroup", "4:memory:/a\n"}};
  ExpectMemory(Read(kMachine, v1, {{"/sys/fs/cgroup/memory/a/memory.limit_in_bytes", kUnlimitedV1}}), 16 * kGiB,
               12 * kGiB);
}

TEST(ProcessMemory, OfAHybridHierarchyIsLimitedByTheOneThatHasTheMemoryController) {
  const Files hybrid = {{"/proc/self/cgroup", "9:name=systemd:/s\n4:memory:/box\n0::/s\n"},
                        {"/proc/self/mountinfo",
                         "41 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
                         "42 30 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"}};
  ExpectMemory(Read(kMachine, hybrid,
                    {{"/sys/fs/cgroup/memory/box/memory.limit_in_bytes", Gib(2)},
                     {"/sys/fs/cgroup/unified/s/cgroup.procs", "1\n"}}),
               2 * kGiB, 2 * kGiB);
}

TEST(ProcessMemory, IsLimitedByUlimit) {
  const std::string head = "Limit                     Soft Limit           Hard Limit           Units     \n";
  const Files status = {{"/proc/self/status", "Name:\tnode\nVmSize:\t 1048576 kB\nVmData:\t 524288 kB\n"}};
  ExpectMemory(Read(kMachine, status,
                    {{"/proc/self/limits", head + "Max address space         " + std::to_string(3 * kGiB) +
                                               "           unlimited            bytes     \n"}}),
               3 * kGiB, 2 * kGiB);
  ExpectMemory(Read(kMachine, status,
                    {{"/proc/self/limits", head + "Max data size             " + std::to_string(kGiB) +
                                               "           unlimited            bytes     \n"}}),
               kGiB, kGiB / 2);
  ExpectMemory(Read(kMachine, status,
                    {{"/proc/self/limits",
                      head + "Max address space         unlimited            unlimited            bytes     \n"}}),
               16 * kGiB, 12 * kGiB);
}

TEST(ProcessMemory, IsNotLimitedByWhatMakesNoSense) {
  for (const char* text : {"", "\n", "-1\n", "12x\n", "0x10\n", "many\n", "99999999999999999999999999\n"}) {
    ExpectMemory(Read(kMachine, kV2, {{"/sys/fs/cgroup/memory.max", text}, {"/sys/fs/cgroup/memory.current", text}}),
                 16 * kGiB, 12 * kGiB);
  }
  for (const char* text : {"", ":", "::", "0:", "0", "4:memory", "x\n\n:::\n"})
    ExpectMemory(Read(kMachine, {{"/proc/self/cgroup", text}, {"/proc/self/mountinfo", " - \n1 2 - cgroup2\n"}}),
                 16 * kGiB, 12 * kGiB);
}

TEST(ProcessMemory, IsNothingWhereTheGroupIsFull) {
  ExpectMemory(Read(kMachine, kV2, {{"/sys/fs/cgroup/memory.max", Gib(1)}, {"/sys/fs/cgroup/memory.current", Gib(2)}}),
               kGiB, 0);
}

TEST(ProcessMemory, OfThisProcessCanBeRead) {
  const HostMemory memory = ReadHostMemory();
  EXPECT_GT(memory.available, 0u);
  EXPECT_GE(memory.limit, memory.available);
  EXPECT_GT(ResidentMemoryBytes(), 0u);
  EXPECT_LT(ResidentMemoryBytes(), memory.limit);
}

}  // namespace
}  // namespace embedded
