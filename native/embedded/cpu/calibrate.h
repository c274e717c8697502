// What goes into a model's matrices where it reads text: FP8 with one scale for the inputs of a matrix is made of it.
#ifndef EMBEDDED_CPU_CALIBRATE_H_
#define EMBEDDED_CPU_CALIBRATE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "native/embedded/cpu/llama.h"

namespace embedded::cpu {

// By layer, over all texts. The engine's matrices are plain and its tensor parallel size is 1. Two of its stages are in memory at
// once, so the more it has, the less memory this takes; the stages are read again for each `group_tokens` tokens of text, which
// are computed in one step. `on_progress` gets how many of all stages, counted for each group, are done. Throws executor::Failure, and
// std::bad_alloc.
std::vector<InputMaxima> FindInputMaxima(const std::string& engine_dir, const std::vector<std::vector<int32_t>>& texts,
                                         size_t group_tokens,
                                         const std::function<void(int done, int total)>& on_progress);

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_CALIBRATE_H_
