// How MPI is started, against an MPI that this program exports in place of a real one.
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include "../test_engine.h"
#include "native/tensorrt_llm/mpi.h"

namespace {

std::string library_version = "Open MPI v4.1.4, package: Debian OpenMPI";
bool is_initialized = false;
int level = 3;

}  // namespace

extern "C" {
__attribute__((visibility("default"))) int MPI_Get_library_version(char* version, int* length) {
  std::strcpy(version, library_version.c_str());
  *length = static_cast<int>(library_version.size());
  return 0;
}
__attribute__((visibility("default"))) int MPI_Initialized(int* flag) {
  *flag = is_initialized ? 1 : 0;
  return 0;
}
__attribute__((visibility("default"))) int MPI_Init_thread(int*, char***, int, int* provided) {
  is_initialized = true;
  *provided = level;
  return 0;
}
__attribute__((visibility("default"))) int MPI_Finalize() { return 0; }
}

namespace adapter {
namespace {

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "(unset)" : value;
}

// ctest runs each test in a process of its own, with the environment it was started in.
class StartMpiTest : public testing::Test {
 protected:
  StartMpiTest() {
    for (const char* name : {"OMPI_COMM_WORLD_SIZE", "OPAL_PREFIX", "OMPI_MCA_rmaps_base_oversubscribe",
                             "OMPI_MCA_plm_rsh_agent", "OMPI_MCA_ess_singleton_isolated"})
      unsetenv(name);
    setenv("PATH", programs_.path().c_str(), 1);
  }
  void Install(const std::string& name) const {
    const std::string path = programs_.path() + "/" + name;
    embedded::WriteFile(path, "");
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  static executor::Failure Refuse(Spawning spawning) {
    return FailureOfCall([&] { StartMpi(spawning); });
  }

 private:
  embedded::TemporaryDirectory programs_;
};

TEST_F(StartMpiTest, LetsMoreRanksRunThanThereAreCores) {
  Install("orted");
  StartMpi(Spawning::kStartsRanks);
  EXPECT_TRUE(is_initialized);
  EXPECT_EQ(Variable("OMPI_MCA_rmaps_base_oversubscribe"), "1");
  EXPECT_EQ(Variable("OMPI_MCA_ess_singleton_isolated"), "(unset)");
}

TEST_F(StartMpiTest, LeavesWhatTheUserHasSet) {
  Install("orted");
  setenv("OMPI_MCA_rmaps_base_oversubscribe", "0", 1);
  setenv("OMPI_MCA_plm_rsh_agent", "mine", 1);
  StartMpi(Spawning::kStartsRanks);
  EXPECT_EQ(Variable("OMPI_MCA_rmaps_base_oversubscribe"), "0");
  EXPECT_EQ(Variable("OMPI_MCA_plm_rsh_agent"), "mine");
}

TEST_F(StartMpiTest, AsksForNoRemoteShellWhereThereIsNone) {
  Install("orted");
  StartMpi(Spawning::kNever);
  EXPECT_EQ(Variable("OMPI_MCA_plm_rsh_agent"), "");
}

TEST_F(StartMpiTest, LeavesTheRemoteShellThatIsThere) {
  Install("orted");
  Install("ssh");
  StartMpi(Spawning::kNever);
  EXPECT_EQ(Variable("OMPI_MCA_plm_rsh_agent"), "(unset)");
}

TEST_F(StartMpiTest, RefusesToStartRanksWithoutTheDaemonBeforeMpiCanEndTheProcess) {
  const executor::Failure failure = Refuse(Spawning::kStartsRanks);
  EXPECT_EQ(failure.code(), EXECUTOR_UNAVAILABLE);
  EXPECT_NE(std::string(failure.what()).find("Open MPI v4.1.4 was found without orted"), std::string::npos)
      << failure.what();
  EXPECT_FALSE(is_initialized);
}

TEST_F(StartMpiTest, FindsTheDaemonWhereOpenMpiWasMovedTo) {
  const embedded::TemporaryDirectory moved;
  setenv("OPAL_PREFIX", moved.path().c_str(), 1);
  EXPECT_EQ(Refuse(Spawning::kStartsRanks).code(), EXECUTOR_UNAVAILABLE);
  std::filesystem::create_directory(moved.path() + "/bin");
  embedded::WriteFile(moved.path() + "/bin/orted", "");
  std::filesystem::permissions(moved.path() + "/bin/orted", std::filesystem::perms::owner_all);
  EXPECT_EQ(Refuse(Spawning::kStartsRanks).code(), EXECUTOR_OK);
}

TEST_F(StartMpiTest, RunsOneRankByItselfWithoutTheDaemonAndThenStartsNoOthers) {
  StartMpi(Spawning::kNever);
  EXPECT_TRUE(is_initialized);
  EXPECT_EQ(Variable("OMPI_MCA_ess_singleton_isolated"), "1");
  EXPECT_EQ(Refuse(Spawning::kStartsRanks).code(), EXECUTOR_UNAVAILABLE);
}

TEST_F(StartMpiTest, LooksForTheDaemonOfOpenMpi5ByItsName) {
  library_version = "Open MPI v5.0.8, package: Open MPI";
  Install("orted");
  EXPECT_NE(std::string(Refuse(Spawning::kStartsRanks).what()).find("without prte"), std::string::npos);
  Install("prte");
  EXPECT_EQ(Refuse(Spawning::kStartsRanks).code(), EXECUTOR_OK);
}

TEST_F(StartMpiTest, UnderMpirunNeedsNoDaemonAndLeavesTheEnvironment) {
  setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
  StartMpi(Spawning::kNever);
  EXPECT_TRUE(is_initialized);
  EXPECT_EQ(Variable("OMPI_MCA_rmaps_base_oversubscribe"), "(unset)");
}

TEST_F(StartMpiTest, RefusesAnotherMpiThanOpenMpi) {
  library_version = "MPICH Version:\t4.0.2\nMPICH Release date: today";
  const executor::Failure failure = Refuse(Spawning::kNever);
  EXPECT_EQ(failure.code(), EXECUTOR_UNAVAILABLE);
  EXPECT_EQ(std::string(failure.what()).rfind("The MPI library found is MPICH Version:\t4.0.2; expected Open MPI", 0),
            0u)
      << failure.what();
  EXPECT_FALSE(is_initialized);
}

TEST_F(StartMpiTest, RefusesAnMpiThatIsForOneThread) {
  Install("orted");
  level = 1;
  EXPECT_EQ(Refuse(Spawning::kNever).code(), EXECUTOR_UNAVAILABLE);
}

}  // namespace
}  // namespace adapter
