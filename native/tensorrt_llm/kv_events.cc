#include "native/tensorrt_llm/kv_events.h"

#include <chrono>

namespace adapter {
using executor::OwnedKvEvent;

bool HasKvEvents(const tle::Executor& executor) {
  bool has = false;
  IfHas(executor, [&](const auto& of) -> decltype(void(of.getKVCacheEventManager())) {
    has = of.getKVCacheEventManager().has_value();
  });
  return has;
}

std::deque<OwnedKvEvent> TakeKvEvents(const tle::Executor& executor) {
  std::deque<OwnedKvEvent> taken;
  IfHas(executor, [&](const auto& of) -> decltype(void(of.getKVCacheEventManager())) {
    const auto manager = of.getKVCacheEventManager();
    if (!manager) return;
    for (const auto& event : (*manager)->getLatestEvents(std::chrono::milliseconds(0))) taken.push_back(OwnedOf(event));
  });
  return taken;
}

}  // namespace adapter
