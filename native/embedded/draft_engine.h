// The engine of a draft model: read, checked against the one that it drafts for, and loaded.
#ifndef EMBEDDED_DRAFT_ENGINE_H_
#define EMBEDDED_DRAFT_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "native/embedded/checkpoint/config.h"
#include "native/embedded/draft_model.h"
#include "native/embedded/limits.h"
#include "native/embedded/model_runner.h"

namespace embedded {

class DraftEngine {
 public:
  // That of config.decoding->draft_model, which is set; `limits` are those of the engine `target`. Throws executor::Failure:
  // EXECUTOR_INVALID_OPTION for an engine that cannot draft for it, and what ReadEngineConfig throws. Borrows `config`.
  DraftEngine(const ExecutorConfig& config, const EngineConfig& target, const Limits& limits, const Device& device);
  DraftEngine(const DraftEngine&) = delete;
  DraftEngine& operator=(const DraftEngine&) = delete;

  // Of its runner, but for the size of its KV cache.
  const RunnerOptions& options() const { return options_; }
  // With keys and values of as many tokens as the other engine has.
  std::unique_ptr<DraftModel> Load(const Device& device, int64_t cached_tokens,
                                   std::function<bool(double)> on_progress);

 private:
  ExecutorKvCacheConfig kv_cache_{};
  ExecutorConfig config_;
  RunnerOptions options_;
};

}  // namespace embedded

#endif  // EMBEDDED_DRAFT_ENGINE_H_
