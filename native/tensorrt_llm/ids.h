// The requests that run, by our ids and by TensorRT-LLM's. Not synchronised.
#ifndef ADAPTER_IDS_H_
#define ADAPTER_IDS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>

#include "tensorrt_llm/features.h"
#include "tensorrt_llm/pending.h"

namespace adapter {

class Ids {
 public:
  size_t size() const { return by_id_.size(); }
  // Null: none runs under this id.
  Pending* Find(uint64_t id);
  // By clientId, which is our id, where the response has one; else by the engine's. Null: a request that is over, or one
  // that is not ours.
  Pending* FindFor(const tle::Response& response);
  Pending* FindEngineId(uint64_t engine_id);
  void Add(Pending pending);
  void Remove(const Pending* pending);
  template <typename Visit>
  void ForEach(Visit visit) {
    for (auto& entry : by_id_) visit(&entry.second);
  }

 private:
  std::unordered_map<uint64_t, Pending> by_id_;  // pointers to its values stay
  std::map<uint64_t, Pending*> by_engine_id_;
};

}  // namespace adapter

#endif  // ADAPTER_IDS_H_
