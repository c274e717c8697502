// Where the weights of an engine lie.
#ifndef EMBEDDED_WEIGHTS_FILES_H_
#define EMBEDDED_WEIGHTS_FILES_H_

#include <string>
#include <vector>

#include "native/executor/executor.h"

namespace embedded {

// By rank; none where the weights are made up.
inline std::vector<std::string> WeightsFiles(const ExecutorConfig& config, const std::string& engine_dir, int ranks) {
  std::vector<std::string> files;
  if (config.set & CONFIG_LOAD_FORMAT && config.load_format != LOAD_FORMAT_AUTO) return files;
  for (int rank = 0; rank < ranks; ++rank)
    files.push_back(engine_dir + "/rank" + std::to_string(rank) + ".safetensors");
  return files;
}

}  // namespace embedded

#endif  // EMBEDDED_WEIGHTS_FILES_H_
