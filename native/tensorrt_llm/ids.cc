#include "native/tensorrt_llm/ids.h"

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
  return client_id ? Find(*client_id) : FindLibraryId(response.getRequestId());
}

// The sequences of a request count on from its id, and an error may come under the id of one of them.
Pending* Ids::FindLibraryId(uint64_t library_id) {
  auto after = by_library_id_.upper_bound(library_id);
  if (after == by_library_id_.begin()) return nullptr;
  const auto& [first_id, pending] = *--after;
  return library_id - first_id < pending->library_ids ? pending : nullptr;
}

size_t Ids::CountQueuedWith(const std::vector<Pending>& more) const {
  size_t queued = CountQueued(), free_places = waiting_.empty() ? free_places_ : 0;
  for (const Pending& pending : more) {
    if (pending.library_ids > free_places) {
      free_places = 0;
      ++queued;
    } else {
      free_places -= pending.library_ids;
    }
  }
  return queued;
}

void Ids::Add(Pending pending) {
  const uint64_t id = pending.id;
  Pending& added = by_id_.insert_or_assign(id, std::move(pending)).first->second;
  by_library_id_[added.library_id] = &added;
  waiting_[added.library_id] = &added;
  if (!added.cancelled) ++queued_;
  GivePlaces();
}

void Ids::Cancel(Pending* pending) {
  if (std::exchange(pending->cancelled, true)) return;
  if (waiting_.count(pending->library_id) > 0) --queued_;
}

bool Ids::StopWaiting(const Pending& pending) {
  if (waiting_.erase(pending.library_id) == 0) return false;
  if (!pending.cancelled) --queued_;
  return true;
}

void Ids::Remove(const Pending* pending) {
  if (!StopWaiting(*pending)) free_places_ += pending->library_ids;
  by_library_id_.erase(pending->library_id);
  by_id_.erase(pending->id);
  GivePlaces();
}

void Ids::Clear() {
  while (!by_id_.empty()) Remove(&by_id_.begin()->second);
}

void Ids::GivePlaces() {
  while (!waiting_.empty() && waiting_.begin()->second->library_ids <= free_places_) {
    Pending* const next = waiting_.begin()->second;
    next->placed = Pending::Clock::now();
    free_places_ -= next->library_ids;
    StopWaiting(*next);
  }
}

}  // namespace adapter
