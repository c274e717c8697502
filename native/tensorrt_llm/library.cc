#include "native/tensorrt_llm/library.h"

#include <dlfcn.h>

#include <csignal>
#include <filesystem>
#include <iterator>
#include <mutex>

#include "native/tensorrt_llm/features.h"

namespace adapter {
namespace {

using executor::Failure;

constexpr char kSetUp[] = "Rebuild the executor: npx node-tensorrt-llm setup";
constexpr int kSignals[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};

std::mutex* const handlers_mutex = new std::mutex;  // never destroyed: threads may still run after static destructors
int scopes = 0;                                     // of SavedSignalHandlers, that have not ended
struct sigaction saved_handlers[std::size(kSignals)];

}  // namespace

std::string LibraryDir() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&tle::version), &info) == 0 || info.dli_fname == nullptr)
    throw Failure(EXECUTOR_UNAVAILABLE, std::string("libtensorrt_llm.so is not loaded in this process. ") + kSetUp);
  std::error_code error;
  const auto path = std::filesystem::canonical(info.dli_fname, error);
  return error ? std::filesystem::path(info.dli_fname).parent_path().string() : path.parent_path().string();
}

void CheckLibraryVersion() {
  const std::string loaded = tle::version();
  if (loaded != tle::kTensorRtLlmVersion)
    throw Failure(EXECUTOR_UNAVAILABLE, LibraryDir() + " has TensorRT-LLM " + loaded + "; expected " +
                                            tle::kTensorRtLlmVersion + ", which this executor was built for. " +
                                            kSetUp);
}

void LoadPlugins(const std::string& library_dir) {
  static std::mutex* const mutex = new std::mutex;  // never destroyed: threads may still run after static destructors
  static bool loaded = false;
  const std::lock_guard<std::mutex> lock(*mutex);
  if (loaded) return;
  // By path, since up to 0.14 the library's name in itself is not that of its file.
  const std::string path = library_dir + "/libnvinfer_plugin_tensorrt_llm.so";
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const error = dlerror();
    throw Failure(EXECUTOR_UNAVAILABLE, path + " could not be opened: " + (error == nullptr ? "unknown" : error) +
                                            ". Install all of TensorRT-LLM, and TensorRT with it.");
  }
  const auto init = reinterpret_cast<bool (*)(void*, const char*)>(dlsym(library, "initTrtLlmPlugins"));
  // Null keeps the library's own logger.
  if (init == nullptr || !init(nullptr, "tensorrt_llm"))
    throw Failure(EXECUTOR_UNAVAILABLE,
                  path + (init == nullptr ? " exports no initTrtLlmPlugins" : " could not register its plugins") +
                      std::string(". Reinstall TensorRT-LLM."));
  loaded = true;
}

SavedSignalHandlers::SavedSignalHandlers() {
  const std::lock_guard<std::mutex> lock(*handlers_mutex);
  if (scopes++ > 0) return;
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], nullptr, &saved_handlers[i]);
}
SavedSignalHandlers::~SavedSignalHandlers() {
  const std::lock_guard<std::mutex> lock(*handlers_mutex);
  --scopes;
  for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &saved_handlers[i], nullptr);
}

}  // namespace adapter
