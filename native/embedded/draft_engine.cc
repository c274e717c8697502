#include "native/embedded/draft_engine.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "native/embedded/warm_up.h"
#include "native/embedded/weights_files.h"
#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/failure.h"

namespace embedded {
namespace {

constexpr char kOption[] = "decoding.draft_model";

const char* EngineDirOf(const ExecutorConfig& config) {
  const char* const dir = executor::CopySized(executor::CopySized(config.decoding).draft_model).engine_dir;
  if (dir == nullptr)
    throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, std::string(kOption) + ".engine_dir",
                                  " is null; expected a path.");
  return dir;
}

std::string RanksOf(const ModelConfig& model) {
  return "tpSize " + std::to_string(model.tp_size) + " and ppSize " + std::to_string(model.pp_size);
}

RunnerOptions OptionsOf(const ExecutorConfig& config, const EngineConfig& target, const Limits& limits,
                        const Device& device) {
  const std::string dir = EngineDirOf(config);
  const EngineConfig engine = ReadEngineConfig(dir, device.quant_algos);
  const ModelConfig& model = engine.model;
  // Models of one family may pad it to different sizes.
  if (model.vocab_size > target.model.vocab_size)
    throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, kOption,
                                  " has a vocabulary of " + std::to_string(model.vocab_size) +
                                      " tokens; expected at most " + std::to_string(target.model.vocab_size) +
                                      ", as the engine that it drafts for. Use a draft model of the same family.");
  if (model.tp_size != target.model.tp_size || model.pp_size != target.model.pp_size)
    throw executor::OptionFailure(EXECUTOR_INVALID_OPTION, kOption,
                                  " has " + RanksOf(model) + "; expected " + RanksOf(target.model) +
                                      ", as the engine that it drafts for. Convert it again with these.");
  RunnerOptions options{config, WeightsFiles(config, dir, model.ranks()), model, limits, {}};
  Limits& own = options.limits;
  own.max_seq_len = std::min(limits.max_seq_len, engine.build.max_seq_len);
  own.max_input_len = own.max_seq_len - 1;
  own.max_draws = limits.max_batch_size;
  own.kv_host_bytes = 0;
  own.is_guided = false;
  own.prompt_lookup.reset();
  own.draft_model_tokens = 0;
  own.adapters.reset();
  own.batch_invariant = false;  // its drafts change no token of the other's
  return options;
}

}  // namespace

DraftEngine::DraftEngine(const ExecutorConfig& config, const EngineConfig& target, const Limits& limits,
                         const Device& device)
    : config_(config), options_(OptionsOf(config_, target, limits, device)) {}

std::unique_ptr<DraftModel> DraftEngine::Load(const Device& device, int64_t cached_tokens,
                                              std::function<bool(double)> on_progress) {
  kv_cache_.size = sizeof(kv_cache_);
  kv_cache_.set = KV_CACHE_MAX_TOKENS;
  kv_cache_.max_tokens = static_cast<uint32_t>(std::min<int64_t>(cached_tokens, std::numeric_limits<uint32_t>::max()));
  config_.kv_cache = &kv_cache_;
  options_.on_progress = std::move(on_progress);
  std::unique_ptr<ModelRunner> runner = device.make_runner(options_);
  if (device.warms_up) WarmUp(options_.limits, options_.model.vocab_size, runner.get());
  return std::make_unique<DraftModel>(std::move(runner), options_.limits, options_.model.vocab_size);
}

}  // namespace embedded
