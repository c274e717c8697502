#include "tensorrt_llm/library.h"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "tensorrt_llm/features.h"

namespace adapter {
namespace {

using executor::Failure;

constexpr char kSetUp[] = "npx node-tensorrt-llm setup builds this library anew";
constexpr int kMpiThreadMultiple = 3;  // MPI_THREAD_MULTIPLE of Open MPI, which the library is linked to

std::atomic<int> live_executors{0};

template <typename Function>
Function FindMpi(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));  // in the scope of this library: what it links
}

void EndMpi() {
  if (live_executors > 0) return;
  if (const auto finalize = FindMpi<int (*)()>("MPI_Finalize")) finalize();
}

}  // namespace

std::string LibraryDir() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&tle::version), &info) == 0 || info.dli_fname == nullptr)
    throw Failure(EXECUTOR_UNAVAILABLE, std::string("libtensorrt_llm.so cannot be found in this process; ") + kSetUp);
  std::error_code error;
  const auto path = std::filesystem::canonical(info.dli_fname, error);
  return error ? std::filesystem::path(info.dli_fname).parent_path().string() : path.parent_path().string();
}

void CheckLibraryVersion() {
  const std::string loaded = tle::version();
  if (loaded != tle::kTensorRtLlmVersion)
    throw Failure(EXECUTOR_UNAVAILABLE, LibraryDir() + " has TensorRT-LLM " + loaded +
                                            "; this executor was built for " + tle::kTensorRtLlmVersion +
                                            ", whose classes are laid out otherwise. " + kSetUp);
}

void LoadPlugins(const std::string& library_dir) {
  static std::mutex* const mutex = new std::mutex;  // never destroyed: threads may outlive static destructors
  static bool loaded = false;
  const std::lock_guard<std::mutex> lock(*mutex);
  if (loaded) return;
  // By path, since up to 0.14 the library's name in itself is not that of its file.
  const std::string path = library_dir + "/libnvinfer_plugin_tensorrt_llm.so";
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const error = dlerror();
    throw Failure(EXECUTOR_UNAVAILABLE, path + " could not be opened: " + (error == nullptr ? "unknown" : error) +
                                            ". Install the whole of TensorRT-LLM, and TensorRT beside it");
  }
  const auto init = reinterpret_cast<bool (*)(void*, const char*)>(dlsym(library, "initTrtLlmPlugins"));
  // Null keeps the library's own logger.
  if (init == nullptr || !init(nullptr, "tensorrt_llm"))
    throw Failure(EXECUTOR_UNAVAILABLE,
                  path + (init == nullptr ? " exports no initTrtLlmPlugins" : " could not register its plugins") +
                      std::string("; install TensorRT-LLM again"));
  loaded = true;
}

void StartMpi() {
  const auto initialized = FindMpi<int (*)(int*)>("MPI_Initialized");
  const auto init_thread = FindMpi<int (*)(int*, char***, int, int*)>("MPI_Init_thread");
  if (initialized == nullptr || init_thread == nullptr) return;
  static std::mutex* const mutex = new std::mutex;
  const std::lock_guard<std::mutex> lock(*mutex);
  int is_initialized = 0;
  initialized(&is_initialized);
  if (is_initialized != 0) return;
  int provided = 0;
  if (init_thread(nullptr, nullptr, kMpiThreadMultiple, &provided) != 0 || provided < kMpiThreadMultiple)
    throw Failure(EXECUTOR_UNAVAILABLE, "MPI could not be started for several threads (level " +
                                            std::to_string(provided) +
                                            " of 3); install Open MPI 4 or 5 with its runtime");
  std::atexit(EndMpi);
}

LiveExecutor::LiveExecutor() { ++live_executors; }
LiveExecutor::~LiveExecutor() { --live_executors; }

SavedSignalHandlers::SavedSignalHandlers() {
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], nullptr, &saved_[i]);
}
SavedSignalHandlers::~SavedSignalHandlers() {
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &saved_[i], nullptr);
}

}  // namespace adapter
