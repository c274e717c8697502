#include "native/tensorrt_llm/loading.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>

#include "native/tensorrt_llm/daemon_streams.h"
#include "native/tensorrt_llm/errors.h"
#include "native/tensorrt_llm/library.h"
#include "native/tensorrt_llm/mpi.h"
#include "native/tensorrt_llm/run_detached.h"

namespace adapter {
namespace {

using executor::Failure;

// The rest is for what the library does after it has read a file.
constexpr double kAllRead = 0.95;

uint64_t FileBytes(const Engine& engine, int rank) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(engine.dir + "/rank" + std::to_string(rank) + ".engine", error);
  return error ? 0 : bytes;
}

// How much of the rank files was read by the processes that read them.
class ReadProgress {
 public:
  ReadProgress(const Engine& engine, std::shared_ptr<Workers> workers) : workers_(std::move(workers)) {
    if (workers_ == nullptr) {
      total_ = FileBytes(engine, engine.world_size() == 1 ? 0 : MpirunRank());
      before_ = BytesReadBy(getpid());
      return;
    }
    for (int rank = 0; rank < engine.world_size(); ++rank) total_ += FileBytes(engine, rank);
  }

  // After workers' Look.
  double Done() {
    const uint64_t bytes = workers_ == nullptr ? BytesReadBy(getpid()) - before_ : workers_->BytesRead();
    if (total_ > 0)
      done_ = std::max(done_, std::min(kAllRead, static_cast<double>(bytes) / static_cast<double>(total_)));
    return done_;
  }

 private:
  const std::shared_ptr<Workers> workers_;
  uint64_t total_ = 0;
  uint64_t before_ = 0;
  double done_ = 0;
};

struct LiveEngine {
  LiveEngine(const Engine& engine, const tle::ExecutorConfig& config)
      : executor(std::make_unique<tle::Executor>(engine.dir, tle::ModelType::kDECODER_ONLY, config)) {}
  ~LiveEngine() {
    const SavedSignalHandlers saved;
    executor.reset();
  }
  LiveEngine(const LiveEngine&) = delete;
  LiveEngine& operator=(const LiveEngine&) = delete;

  LiveExecutor live;
  std::unique_ptr<tle::Executor> executor;
};

std::shared_ptr<tle::Executor> Make(const Engine& engine, const tle::ExecutorConfig& config, Spawning spawning) {
  try {
    const SavedSignalHandlers saved;
    const DaemonStreams streams;
    StartMpi(spawning);
    const auto made = std::make_shared<LiveEngine>(engine, config);
    return std::shared_ptr<tle::Executor>(made, made->executor.get());
  } catch (const Failure&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& error) {
    const Failure failure = FailureOf(error.what(), EXECUTOR_UNAVAILABLE);
    throw Failure(failure.code(), engine.dir + " could not be loaded: " + failure.what());
  }
}

}  // namespace

Loaded Load(const Engine& engine, const tle::ExecutorConfig& config, const std::function<bool(double)>& on_progress) {
  const auto orchestrator = config.getParallelConfig()->getOrchestratorConfig();
  const bool spawns = orchestrator && orchestrator->getSpawnProcesses();
  const auto workers = spawns ? std::make_shared<Workers>(orchestrator->getWorkerExecutablePath(),
                                                          static_cast<size_t>(engine.world_size()))
                              : nullptr;
  ReadProgress progress(engine, workers);
  const auto check_goes_on = [&](bool goes_on) {
    if (!goes_on) throw Failure(EXECUTOR_LOAD_ABORTED, executor::kLoadAbortedMessage);
  };
  check_goes_on(on_progress(0));
  const auto made = std::make_shared<std::shared_ptr<tle::Executor>>();
  bool has_worker_ended = false;
  const bool is_loaded = RunDetached(
      [made, engine, config, workers] {
        if (workers != nullptr) workers->AwaitOthersEnd();
        *made = Make(engine, config, workers != nullptr ? Spawning::kStartsRanks : Spawning::kNever);
      },
      [&] {
        has_worker_ended = workers != nullptr && workers->Look();
        return !has_worker_ended && on_progress(progress.Done());
      });
  if (is_loaded) {
    if (workers != nullptr) workers->Look();
    check_goes_on(on_progress(1));
    return {std::move(*made), workers};
  }
  check_goes_on(has_worker_ended);
  throw Failure(EXECUTOR_UNAVAILABLE, engine.dir +
                                          " could not be loaded: a worker process ended while it loaded its rank. Read "
                                          "what it wrote to standard error; "
                                          "too little GPU memory is the most common cause.");
}

}  // namespace adapter
