#include "native/addon/kv_events_object.h"

#include <algorithm>
#include <vector>

namespace addon {
namespace {

struct Arrays {
  std::vector<double> numbers;
  std::vector<uint64_t> hashes;
  std::vector<int32_t> tokens;

  void AddNumbers(std::initializer_list<double> more) { numbers.insert(numbers.end(), more); }
};

void AddStored(const ExecutorKvEvent& event, Arrays* to) {
  const bool has_parent = event.set & KV_EVENT_PARENT_HASH;
  to->AddNumbers({has_parent ? 1.0 : 0.0, static_cast<double>(event.block_count)});
  if (has_parent) to->hashes.push_back(event.parent_hash);
  for (uint32_t i = 0; i < event.block_count; ++i) {
    const ExecutorKvBlock& block = event.blocks[i];
    const double lora_id = block.set & KV_BLOCK_LORA_ID ? static_cast<double>(block.lora_id) : -1;
    to->AddNumbers({static_cast<double>(block.token_count), static_cast<double>(block.cache_level),
                    static_cast<double>(block.priority), lora_id});
    to->hashes.push_back(block.hash);
    to->tokens.insert(to->tokens.end(), block.tokens, block.tokens + block.token_count);
  }
}

void AddEvent(const ExecutorKvEvent& event, Arrays* to) {
  to->AddNumbers(
      {static_cast<double>(event.id), static_cast<double>(event.type), static_cast<double>(event.window_size)});
  switch (event.type) {
    case KV_EVENT_CREATED:
      to->AddNumbers({static_cast<double>(event.level_count)});
      to->numbers.insert(to->numbers.end(), event.level_blocks, event.level_blocks + event.level_count);
      return;
    case KV_EVENT_STORED:
      return AddStored(event, to);
    case KV_EVENT_REMOVED:
      to->AddNumbers({static_cast<double>(event.hash_count)});
      to->hashes.insert(to->hashes.end(), event.hashes, event.hashes + event.hash_count);
      return;
    case KV_EVENT_UPDATED:
      to->AddNumbers({static_cast<double>(event.set), static_cast<double>(event.old_cache_level),
                      static_cast<double>(event.new_cache_level), static_cast<double>(event.old_priority),
                      static_cast<double>(event.new_priority)});
      to->hashes.push_back(event.hash);
      return;
  }
}

template <typename Array, typename Value>
Array ArrayOf(Napi::Env env, const std::vector<Value>& values) {
  auto array = Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

}  // namespace

Napi::Object KvEventsObject(Napi::Env env, const ExecutorKvEvents& events) {
  Arrays arrays;
  for (uint32_t i = 0; i < events.event_count; ++i) AddEvent(events.events[i], &arrays);
  auto object = Napi::Object::New(env);
  object["numbers"] = ArrayOf<Napi::Float64Array>(env, arrays.numbers);
  object["hashes"] = ArrayOf<Napi::BigUint64Array>(env, arrays.hashes);
  object["tokens"] = ArrayOf<Napi::Int32Array>(env, arrays.tokens);
  return object;
}

}  // namespace addon
