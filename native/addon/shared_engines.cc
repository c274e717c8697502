#include "native/addon/shared_engines.h"

#include <mutex>
#include <unordered_map>

#include "native/executor/cpp/failure.h"

namespace addon {
namespace {

struct Registry {
  std::mutex mutex;
  std::unordered_map<uint64_t, std::weak_ptr<Engine>> engines;
};

// Never destroyed: environments end after static destructors have run.
Registry& TheRegistry() {
  static Registry* const registry = std::make_unique<Registry>().release();
  return *registry;
}

}  // namespace

void Share(const std::shared_ptr<Engine>& engine) {
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  registry.engines.emplace(engine->share_id(), engine);
}

std::shared_ptr<Engine> FindShared(uint64_t share_id) {
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  const auto found = registry.engines.find(share_id);
  std::shared_ptr<Engine> engine = found == registry.engines.end() ? nullptr : found->second.lock();
  if (engine == nullptr) {
    throw executor::Failure(EXECUTOR_CLOSED,
                            "the engine of this handle is closed; attach while another LLM still uses it, or load it "
                            "again with LLM.load()");
  }
  return engine;
}

void Release(std::shared_ptr<Engine> engine, std::chrono::milliseconds deadline) {
  {
    Registry& registry = TheRegistry();
    const std::lock_guard<std::mutex> lock(registry.mutex);
    if (engine.use_count() > 1) return engine.reset();
    registry.engines.erase(engine->share_id());
  }
  engine->Close(deadline);
}

}  // namespace addon
