#include "native/embedded/cuda/cublaslt.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <sstream>

#include "native/executor/cpp/failure.h"

namespace embedded::cuda {
namespace {

namespace fs = std::filesystem;
using executor::Failure;

constexpr const char* kNames[] = {"libcublasLt.so.13", "libcublasLt.so.12"};
constexpr char kVariable[] = "NODE_TENSORRT_LLM_CUBLASLT";
constexpr char kInstall[] =
    "Install it with `python3 -m pip install nvidia-cublas` or with the CUDA toolkit, or name the file in the "
    "environment variable "
    "NODE_TENSORRT_LLM_CUBLASLT.";

std::string VersionText(size_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

const char* Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr || *value == 0 ? nullptr : value;
}

void AddNamesIn(const fs::path& dir, std::vector<std::string>* candidates) {
  std::error_code error;
  for (const char* name : kNames)
    if (fs::exists(dir / name, error)) candidates->push_back((dir / name).string());
}

// The wheel of CUDA 13, of CUDA 12, under lib/python3.*/{site,dist}-packages of `prefix`.
void AddWheelsUnder(const fs::path& prefix, std::vector<std::string>* candidates) {
  std::error_code error;
  for (fs::directory_iterator entry(prefix / "lib", error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().filename().string().rfind("python3", 0) != 0) continue;
    for (const char* packages : {"site-packages", "dist-packages"})
      for (const char* wheel : {"nvidia/cu13/lib", "nvidia/cublas/lib"})
        AddNamesIn(entry->path() / packages / wheel, candidates);
  }
}

void AddWheels(std::vector<std::string>* candidates) {
  for (const char* variable : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const char* const prefix = Environment(variable)) AddWheelsUnder(prefix, candidates);
  // Where each python3 of PATH keeps its packages.
  std::istringstream path(Environment("PATH") == nullptr ? "" : Environment("PATH"));
  std::error_code error;
  for (std::string dir; std::getline(path, dir, ':');)
    if (fs::exists(fs::path(dir) / "python3", error)) AddWheelsUnder(fs::path(dir).parent_path(), candidates);
  if (const char* const home = Environment("HOME")) AddWheelsUnder(fs::path(home) / ".local", candidates);
  AddWheelsUnder("/usr/local", candidates);
}

template <typename Function>
void Find(void* library, const std::string& path, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  if (*function == nullptr)
    throw Failure(EXECUTOR_UNAVAILABLE, path + " lacks " + name + "; expected cuBLASLt 12 or 13. " + kInstall);
}

CublasLt Open() {
  void* library = nullptr;
  std::string errors;
  CublasLt opened{};
  for (const std::string& candidate : CublasLtCandidates()) {
    library = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL);
    opened.path = candidate;
    if (library != nullptr) break;
    const char* const error = dlerror();
    errors += (errors.empty() ? "" : "; ") + std::string(error == nullptr ? candidate : error);
  }
  if (library == nullptr)
    throw Failure(EXECUTOR_UNAVAILABLE, "NVIDIA's cuBLASLt could not be opened (" + errors +
                                            "); expected libcublasLt.so.13 or libcublasLt.so.12. " + kInstall);
  const auto find = [&](const char* name, auto* function) { Find(library, opened.path, name, function); };
  find("cublasLtGetVersion", &opened.GetVersion);
  find("cublasLtGetStatusString", &opened.GetStatusString);
  find("cublasLtCreate", &opened.Create);
  find("cublasLtDestroy", &opened.Destroy);
  find("cublasLtMatmulDescCreate", &opened.MatmulDescCreate);
  find("cublasLtMatmulDescDestroy", &opened.MatmulDescDestroy);
  find("cublasLtMatmulDescSetAttribute", &opened.MatmulDescSetAttribute);
  find("cublasLtMatrixLayoutCreate", &opened.MatrixLayoutCreate);
  find("cublasLtMatrixLayoutDestroy", &opened.MatrixLayoutDestroy);
  find("cublasLtMatmulPreferenceCreate", &opened.MatmulPreferenceCreate);
  find("cublasLtMatmulPreferenceDestroy", &opened.MatmulPreferenceDestroy);
  find("cublasLtMatmulPreferenceSetAttribute", &opened.MatmulPreferenceSetAttribute);
  find("cublasLtMatmulAlgoGetHeuristic", &opened.MatmulAlgoGetHeuristic);
  find("cublasLtMatmulAlgoCheck", &opened.MatmulAlgoCheck);
  find("cublasLtMatmul", &opened.Matmul);
  opened.version = opened.GetVersion();
  if (opened.version < lt::kOldestVersion)
    throw Failure(EXECUTOR_UNAVAILABLE, opened.path + " is cuBLASLt " + VersionText(opened.version) + "; expected " +
                                            VersionText(lt::kOldestVersion) + " or newer. " + kInstall);
  return opened;
}

}  // namespace

std::string CublasLt::version_text() const { return VersionText(version); }

void CublasLt::Check(lt::Status status, const char* what) const {
  if (status == lt::kSuccess) return;
  throw Failure(EXECUTOR_FAILED, std::string("cuBLASLt ") + version_text() + " answered " + GetStatusString(status) +
                                     " while " + what + "; expected success. Try another version of it: " + kVariable +
                                     " names the file.");
}

std::vector<std::string> CublasLtCandidates() {
  std::vector<std::string> candidates;
  if (const char* const named = Environment(kVariable)) {
    std::error_code error;
    if (fs::is_directory(named, error)) AddNamesIn(named, &candidates);
    if (candidates.empty()) candidates.push_back(named);
    return candidates;
  }
  for (const char* name : kNames) candidates.push_back(name);
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const char* const home = Environment(variable)) AddNamesIn(fs::path(home) / "lib64", &candidates);
  AddNamesIn("/usr/local/cuda/lib64", &candidates);
  AddWheels(&candidates);
  return candidates;
}

const CublasLt& OpenCublasLt() {
  static std::mutex* const mutex = new std::mutex;  // never destroyed: threads may still run after static destructors
  static const CublasLt* library = nullptr;
  const std::lock_guard<std::mutex> lock(*mutex);
  if (library == nullptr) library = new CublasLt(Open());  // a failure is not kept: the next load may find it
  return *library;
}

}  // namespace embedded::cuda
