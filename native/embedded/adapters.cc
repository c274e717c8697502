#include "native/embedded/adapters.h"

#include <string>
#include <utility>

#include "native/executor/cpp/failure.h"

namespace embedded {

using executor::Failure;

std::shared_ptr<const Adapter> Adapters::Use(uint64_t id, std::shared_ptr<Adapter> sent) {
  auto found = entries_.find(id);
  if (found == entries_.end()) {
    if (sent == nullptr)
      throw Failure(EXECUTOR_INVALID_INPUT,
                    "lora.id is " + std::to_string(id) +
                        ", which is not cached; expected lora.weights and lora.config with the first request of an "
                        "adapter, and again after other adapters have replaced it. Send them.")
          .About("lora");
    MakeRoom(*sent);
    sent->serial = ++serials_;
    values_ += sent->values;
    found = entries_.emplace(id, Entry{std::move(sent), 0}).first;
  } else if (sent != nullptr && !sent->IsEqual(*found->second.adapter)) {
    throw Failure(EXECUTOR_INVALID_INPUT, "lora.id is " + std::to_string(id) +
                                              ", which is cached with other weights; expected the same, or an id of "
                                              "its own for each adapter. Use another id.")
        .About("lora");
  }
  found->second.last_use = ++uses_;
  return found->second.adapter;
}

void Adapters::MakeRoom(const Adapter& adapter) {
  while (values_ + adapter.values > max_values_) {
    auto oldest = entries_.end();
    for (auto each = entries_.begin(); each != entries_.end(); ++each)
      if (each->second.adapter.use_count() == 1 &&
          (oldest == entries_.end() || each->second.last_use < oldest->second.last_use))
        oldest = each;
    if (oldest == entries_.end())
      throw Failure(EXECUTOR_OUT_OF_MEMORY,
                    "lora has " + std::to_string(adapter.values) + " values; expected at most " +
                        std::to_string(adapter.values > max_values_ ? max_values_ : max_values_ - values_) +
                        ", for which the adapter cache has room while the adapters in it are in use. Run fewer "
                        "adapters at once, or load the engine with a larger peftCache.")
          .About("lora");
    values_ -= oldest->second.adapter->values;
    entries_.erase(oldest);
  }
}

}  // namespace embedded
