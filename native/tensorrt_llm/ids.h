// The requests that run or wait, by our ids and by TensorRT-LLM's, and which of them have a place. Not synchronised.
#ifndef ADAPTER_IDS_H_
#define ADAPTER_IDS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "native/tensorrt_llm/features.h"
#include "native/tensorrt_llm/pending.h"

namespace adapter {

class Ids {
 public:
  // `places` is how many sequences run at once. Requests take them in the order they came, as TensorRT-LLM's queue gives them;
  // it does not say which of them it has fetched.
  explicit Ids(size_t places) : free_places_(places) {}

  size_t size() const { return by_id_.size(); }
  size_t active() const { return by_id_.size() - waiting_.size(); }
  // Requests that wait for a place, the cancelled left out: TensorRT-LLM keeps those in its queue too.
  size_t CountQueued() const { return queued_; }
  // The same if these came too.
  size_t CountQueuedWith(const std::vector<Pending>& more) const;
  // Null: none runs under this id.
  Pending* Find(uint64_t id);
  // By clientId, which is our id, where the response has one; else by the library's. Null: a request that is over, or one
  // that is not ours.
  Pending* FindFor(const tle::Response& response);
  Pending* FindLibraryId(uint64_t library_id);
  void Add(Pending pending);
  // Marks it; it still ends by its last response.
  void Cancel(Pending* pending);
  void Remove(const Pending* pending);
  void Clear();
  template <typename Visit>
  void ForEach(Visit visit) {
    for (auto& entry : by_id_) visit(&entry.second);
  }

 private:
  void GivePlaces();
  // Takes it out of those that wait. Returns whether it was one.
  bool StopWaiting(const Pending& pending);

  std::unordered_map<uint64_t, Pending> by_id_;  // pointers to its values stay
  std::map<uint64_t, Pending*> by_library_id_;
  std::map<uint64_t, Pending*> waiting_;  // for a place, by its ids: in the order they came
  size_t queued_ = 0;                     // of them, those that are not cancelled
  size_t free_places_;
};

}  // namespace adapter

#endif  // ADAPTER_IDS_H_
