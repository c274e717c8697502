// The cache of LoRA adapters by id: TensorRT-LLM's rules, but for other weights under a cached id, which it ignores.
#ifndef EMBEDDED_ADAPTERS_H_
#define EMBEDDED_ADAPTERS_H_

#include <cstdint>
#include <map>
#include <memory>

#include "native/embedded/adapter.h"

namespace embedded {

// An adapter is in use while anyone else holds it.
class Adapters {
 public:
  explicit Adapters(uint64_t max_values) : max_values_(max_values) {}

  // The adapter that a request runs with, which is then the one used last; `sent`, if any, is put in where the id is not
  // cached, in place of those used least recently of which none is in use. Throws executor::Failure about `lora`:
  // EXECUTOR_INVALID_INPUT without an adapter or with another one of this id, EXECUTOR_OUT_OF_MEMORY without room.
  std::shared_ptr<const Adapter> Use(uint64_t id, std::shared_ptr<Adapter> sent);

 private:
  struct Entry {
    std::shared_ptr<const Adapter> adapter;
    uint64_t last_use;
  };

  void MakeRoom(const Adapter& adapter);

  uint64_t max_values_;
  uint64_t values_ = 0;
  uint64_t uses_ = 0;
  uint64_t serials_ = 0;
  std::map<uint64_t, Entry> entries_;  // by id
};

}  // namespace embedded

#endif  // EMBEDDED_ADAPTERS_H_
