#include "native/embedded/cuda/matmul_choices.h"

#include <unistd.h>

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace embedded::cuda {
namespace {

namespace fs = std::filesystem;

constexpr char kKernel[] = "kernel";  // the first word of a line about one
constexpr char kFirstLine[] = "node-tensorrt-llm matmul choices 2";

const char* NameOf(Element element) { return element == Element::kFloat16 ? "float16" : "bfloat16"; }

const char* NameOf(MatmulOutput output) {
  switch (output) {
    case MatmulOutput::kElements:
      return "elements";
    case MatmulOutput::kFloats:
      return "floats";
    case MatmulOutput::kAddToFloats:
      return "add";
  }
  return "";
}

// "580.159.04", or the newest CUDA the driver runs where its own number cannot be read.
std::string DriverRelease(const Device& device) {
  std::ifstream file("/sys/module/nvidia/version");
  std::string release;
  return file >> release ? release : "cuda" + std::to_string(device.driver_cuda);
}

std::string FileName(const Device& device, size_t cublaslt_version) {
  std::string name = device.name + "-" + std::to_string(device.multiprocessors) + "-" + DriverRelease(device) + "-" +
                     std::to_string(cublaslt_version) + ".txt";
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '-') c = '_';
  return name;
}

// "bfloat16 6144 4096 64 elements" and the algorithm's 8 words in hexadecimal.
std::string LineOf(const MatmulProblem& problem, const lt::Algorithm& algorithm) {
  std::ostringstream line;
  line << NameOf(problem.shape.element) << ' ' << problem.shape.outputs << ' ' << problem.shape.depth << ' '
       << problem.tokens << ' ' << NameOf(problem.output) << std::hex;
  for (const uint64_t word : algorithm.data) line << ' ' << word;
  return line.str();
}

std::optional<std::pair<MatmulProblem, lt::Algorithm>> ReadLine(const std::string& text) {
  std::istringstream line(text);
  std::string type, output;
  MatmulProblem problem{};
  lt::Algorithm algorithm{};
  line >> type >> problem.shape.outputs >> problem.shape.depth >> problem.tokens >> output >> std::hex;
  for (uint64_t& word : algorithm.data) line >> word;
  if (!line) return std::nullopt;
  for (const Element known : {Element::kFloat16, Element::kBfloat16})
    for (const MatmulOutput known_output : {MatmulOutput::kElements, MatmulOutput::kFloats, MatmulOutput::kAddToFloats})
      if (type == NameOf(known) && output == NameOf(known_output)) {
        problem.shape.element = known;
        problem.output = known_output;
        return std::make_pair(problem, algorithm);
      }
  return std::nullopt;
}

}  // namespace

MatmulChoices::MatmulChoices(const std::string& dir, const Device& device, size_t cublaslt_version)
    : path_(dir.empty() ? "" : (fs::path(dir) / FileName(device, cublaslt_version)).string()) {
  Read();
}

std::optional<lt::Algorithm> MatmulChoices::Find(const MatmulProblem& problem) const {
  const auto found = algorithms_.find(problem);
  return found == algorithms_.end() ? std::nullopt : std::optional<lt::Algorithm>(found->second);
}

void MatmulChoices::Set(const MatmulProblem& problem, const lt::Algorithm& algorithm) {
  algorithms_.insert_or_assign(problem, algorithm);
  unsaved_ = true;
}

std::optional<std::string> MatmulChoices::FindKernel(const std::string& layer) const {
  const auto found = kernels_.find(layer);
  return found == kernels_.end() ? std::nullopt : std::optional<std::string>(found->second);
}

void MatmulChoices::SetKernel(const std::string& layer, const std::string& kernel) {
  kernels_.insert_or_assign(layer, kernel);
  unsaved_ = true;
}

void MatmulChoices::Read() {
  std::ifstream file(path_);
  std::string line;
  if (!std::getline(file, line) || line != kFirstLine) return;
  while (std::getline(file, line)) {  // what this process set stays
    std::istringstream words(line);
    std::string kind, layer, kernel;
    if (words >> kind >> layer >> kernel && kind == kKernel)
      kernels_.try_emplace(layer, kernel);
    else if (const auto choice = ReadLine(line))
      algorithms_.insert(*choice);
  }
}

void MatmulChoices::Save() {
  if (!unsaved_ || path_.empty()) return;
  Read();
  std::error_code error;
  fs::create_directories(fs::path(path_).parent_path(), error);
  const std::string unfinished = path_ + "." + std::to_string(getpid());
  {
    std::ofstream file(unfinished);
    file << kFirstLine << '\n';
    for (const auto& [problem, algorithm] : algorithms_) file << LineOf(problem, algorithm) << '\n';
    for (const auto& [layer, kernel] : kernels_) file << kKernel << ' ' << layer << ' ' << kernel << '\n';
    if (!file.flush()) {
      fs::remove(unfinished, error);
      return;
    }
  }
  fs::rename(unfinished, path_, error);  // readers see the old file or the new one
  if (error) fs::remove(unfinished, error);
  unsaved_ = false;
}

std::string DefaultMatmulChoicesDir() {
  const char* const cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache != 0) return std::string(cache) + "/node-tensorrt-llm/matmul";
  const char* const home = std::getenv("HOME");
  return home == nullptr || *home == 0 ? "" : std::string(home) + "/.cache/node-tensorrt-llm/matmul";
}

}  // namespace embedded::cuda
