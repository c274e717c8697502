#include "native/executors/calibrate.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <vector>

#include "native/embedded/cpu/calibrate.h"
#include "native/executor/cpp/failure.h"

namespace executors {
namespace {

// The rows of a step take about 300 kB a token in a model of 70 billion weights.
constexpr size_t kGroupTokens = 8192;

std::vector<std::vector<int32_t>> ReadTexts(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw executor::Failure(EXECUTOR_INTERNAL, path + " cannot be read.");
  std::vector<std::vector<int32_t>> texts;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    texts.emplace_back();
    for (int32_t token; words >> token;) texts.back().push_back(token);
  }
  return texts;
}

std::string Json(float value) {
  if (!std::isfinite(value)) return "null";
  char text[32];
  std::snprintf(text, sizeof(text), "%.9g", static_cast<double>(value));
  return text;
}

}  // namespace

std::string DescribeInputMaxima(const std::string& engine_dir, const std::string& texts_path,
                                const std::function<void(int done, int total)>& on_progress) {
  std::string json = "[";
  for (const auto& layer :
       embedded::cpu::FindInputMaxima(engine_dir, ReadTexts(texts_path), kGroupTokens, on_progress)) {
    if (json.size() > 1) json += ",";
    json += "[" + Json(layer.qkv) + "," + Json(layer.dense) + "," + Json(layer.fc) + "," + Json(layer.proj) + "]";
  }
  return json + "]";
}

}  // namespace executors
