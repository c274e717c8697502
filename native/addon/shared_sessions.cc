#include "native/addon/shared_sessions.h"

#include <mutex>
#include <unordered_map>
#include <utility>

#include "native/executor/cpp/failure.h"

namespace addon {
namespace {

struct Registry {
  std::mutex mutex;
  std::unordered_map<uint64_t, std::weak_ptr<ExecutorSession>> sessions;
};

// Never destroyed: environments end after static destructors have run.
Registry& TheRegistry() {
  static Registry* const registry = std::make_unique<Registry>().release();
  return *registry;
}

}  // namespace

void Share(const std::shared_ptr<ExecutorSession>& session) {
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  registry.sessions.insert_or_assign(session->share_id(), session);
}

std::shared_ptr<ExecutorSession> FindShared(uint64_t share_id) {
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  const auto found = registry.sessions.find(share_id);
  std::shared_ptr<ExecutorSession> session = found == registry.sessions.end() ? nullptr : found->second.lock();
  if (session == nullptr) {
    throw executor::Failure(
        EXECUTOR_CLOSED,
        "The engine of this LLM handle is closed or asleep. Attach while another LLM still uses it, wake that one, or "
        "load it again with LLM.load().");
  }
  return session;
}

std::shared_ptr<ExecutorSession> Release(std::shared_ptr<ExecutorSession> session, std::chrono::milliseconds deadline,
                                         std::function<void()> closed) {
  {
    Registry& registry = TheRegistry();
    const std::lock_guard<std::mutex> lock(registry.mutex);
    if (session.use_count() > 1) {
      session.reset();
    } else {
      const auto shared = registry.sessions.find(session->share_id());  // it may be another by now
      if (shared != registry.sessions.end() && shared->second.lock() == session) registry.sessions.erase(shared);
    }
  }
  if (session != nullptr) {
    session->BeginClose(deadline, std::move(closed));
  } else if (closed) {
    closed();
  }
  return session;
}

}  // namespace addon
