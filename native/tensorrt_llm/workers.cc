#include "native/tensorrt_llm/workers.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <optional>
#include <sstream>
#include <thread>
#include <utility>

namespace adapter {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongestEnd(5000);
constexpr milliseconds kDaemonTime(300);  // for Open MPI's daemon, once they are gone

std::atomic<bool> one_has_ended{false};

std::string ProcPath(pid_t pid, const char* file) { return "/proc/" + std::to_string(pid) + "/" + file; }

struct Status {
  pid_t parent;
  uint64_t start;
};

// Of a process that has not ended, reaped or not.
std::optional<Status> StatusOf(pid_t pid) {
  std::ifstream file(ProcPath(pid, "stat"));
  std::string text;
  if (!std::getline(file, text)) return std::nullopt;
  // pid (name) state parent ..., the start is field 22; the name may hold anything.
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  char state = 0;
  Status status{};
  fields >> state >> status.parent;
  std::string skipped;
  for (int field = 5; field < 22; ++field) fields >> skipped;
  fields >> status.start;
  if (!fields || state == 'Z' || state == 'X') return std::nullopt;
  return status;
}

std::string ProgramOf(pid_t pid) {
  std::ifstream file(ProcPath(pid, "cmdline"));
  std::string program;
  std::getline(file, program, '\0');
  return program;
}

bool IsAlive(const Process& process) {
  const auto status = StatusOf(process.pid);
  return status && status->start == process.start;
}

}  // namespace

Workers::Workers(std::string program, size_t count) : program_(std::move(program)), count_(count), others_(Find()) {}

std::set<Process> Workers::Find() const {
  std::map<pid_t, Status> all;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const pid_t pid = std::stoi(name);
    if (const auto status = StatusOf(pid)) all[pid] = *status;
  }
  const auto is_descended = [&](pid_t pid) {
    for (auto found = all.find(pid); found != all.end(); found = all.find(found->second.parent))
      if (found->second.parent == getpid()) return true;
    return false;
  };
  std::set<Process> workers;
  for (const auto& [pid, status] : all)
    if (is_descended(pid) && ProgramOf(pid) == program_) workers.insert({pid, status.start});
  return workers;
}

bool Workers::Look() {
  const bool has_ended = HasOneEnded();
  if (bytes_read_.size() < count_)  // to look through all processes takes a while
    for (const Process& process : Find())
      if (others_.count(process) == 0) bytes_read_[process];
  for (auto& [process, bytes] : bytes_read_) bytes = std::max(bytes, BytesReadBy(process.pid));
  return has_ended;
}

bool Workers::HasOneEnded() const {
  const bool has_ended =
      std::any_of(bytes_read_.begin(), bytes_read_.end(), [](const auto& seen) { return !IsAlive(seen.first); });
  if (has_ended) one_has_ended = true;
  return has_ended;
}

void Workers::AwaitOthersEnd() const {
  if (!one_has_ended) return;
  const auto end = std::chrono::steady_clock::now() + kLongestEnd;
  while (std::any_of(others_.begin(), others_.end(), IsAlive) && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(milliseconds(10));
  std::this_thread::sleep_for(kDaemonTime);
  one_has_ended = false;
}

uint64_t Workers::BytesRead() const {
  return std::accumulate(bytes_read_.begin(), bytes_read_.end(), uint64_t{0},
                         [](uint64_t sum, const auto& seen) { return sum + seen.second; });
}

std::vector<pid_t> Workers::pids() const {
  std::vector<pid_t> pids;
  for (const auto& seen : bytes_read_) pids.push_back(seen.first.pid);
  return pids;
}

uint64_t BytesReadBy(pid_t pid) {
  std::ifstream file(ProcPath(pid, "io"));
  std::string name;
  uint64_t bytes = 0;
  file >> name >> bytes;  // the first line: "rchar: 1234"
  return name == "rchar:" ? bytes : 0;
}

}  // namespace adapter
