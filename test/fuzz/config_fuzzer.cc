// Any bytes as config.json are read within the ranges that ReadEngineConfig promises, or are a Failure with its code.
#include "native/embedded/checkpoint/config.h"

#include <string_view>

#include "native/executor/cpp/failure.h"
#include "fuzz.h"
#include "plain_utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::ScratchFile file("config.json");
  file.Write({reinterpret_cast<const char*>(data), size});
  try {
    const auto [model, build] = embedded::ReadEngineConfig(file.directory(), {embedded::QuantAlgo::kGgml});
    for (const int number : {model.hidden_size, model.layers, model.heads, model.kv_heads, model.head_dim,
                             model.intermediate_size, model.vocab_size, model.max_positions, build.max_batch_size,
                             build.max_num_tokens, build.max_input_len, build.max_seq_len})
      fuzz::Require(number > 0, "sizes are positive");
    fuzz::Require(model.quantization.group_size > 0, "a group has weights");
    fuzz::Require(model.head_dim % 2 == 0, "head_dim is even");
    fuzz::Require(model.heads % model.kv_heads == 0, "kv_heads divides heads");
    fuzz::Require(model.qkv_size() > 0, "qkv_size fits an int");
    fuzz::Require(model.norm_epsilon > 0 && model.rotary_base > 0, "norm_epsilon and rotary_base are above 0");
    const size_t layers = static_cast<size_t>(model.layers);
    fuzz::Require(model.rope_layers.empty() || model.rope_layers.size() == layers, "rope_layers has all layers");
    fuzz::Require(model.sliding_layers.empty() || model.sliding_layers.size() == layers, "so has sliding_layers");
    fuzz::Require(model.sliding_window.value_or(1) > 0, "a window sees its own token");
    fuzz::Require(build.max_seq_len <= model.max_positions, "max_seq_len is at most max_positions");
  } catch (const executor::Failure& failure) {
    fuzz::Require(failure.code() == EXECUTOR_ENGINE_CONFIG || failure.code() == EXECUTOR_MODEL_UNSUPPORTED,
                  "the code is one of those documented:", failure.what());
    fuzz::Require(fuzz::IsUtf8(failure.what()), "the message is UTF-8:", failure.what());
  }
  return 0;
}
