#include "tensorrt_llm/ids.h"

#include <optional>
#include <utility>

namespace adapter {

Pending* Ids::Find(uint64_t id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second;
}

Pending* Ids::FindFor(const tle::Response& response) {
  std::optional<uint64_t> client_id;
  IfHas(response, [&](const auto& r) -> decltype(void(r.getClientId())) { client_id = r.getClientId(); });
  return client_id ? Find(*client_id) : FindEngineId(response.getRequestId());
}

// The sequences of a request count on from its id, and an error may come under the id of one of them.
Pending* Ids::FindEngineId(uint64_t engine_id) {
  auto after = by_engine_id_.upper_bound(engine_id);
  if (after == by_engine_id_.begin()) return nullptr;
  const auto& [first_id, pending] = *--after;
  return engine_id - first_id < pending->engine_ids ? pending : nullptr;
}

void Ids::Add(Pending pending) {
  const uint64_t id = pending.id;
  Pending& added = by_id_.insert_or_assign(id, std::move(pending)).first->second;
  by_engine_id_[added.engine_id] = &added;
}

void Ids::Remove(const Pending* pending) {
  by_engine_id_.erase(pending->engine_id);
  by_id_.erase(pending->id);
}

}  // namespace adapter
