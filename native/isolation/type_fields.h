// The fields of the structs that the parts of the contract share (executor/types.h).
#ifndef ISOLATION_TYPE_FIELDS_H_
#define ISOLATION_TYPE_FIELDS_H_

#include <algorithm>
#include <cstdio>

#include "native/executor/cpp/tensor_bytes.h"
#include "native/isolation/wire.h"

namespace isolation {

// The contract grows at the ends of its structs: a size that changes here asks for a field that must be sent.
static_assert(sizeof(ExecutorError) == 1088);
static_assert(sizeof(ExecutorTensor) == 48);
static_assert(sizeof(ExecutorNamedTensor) == 56);
static_assert(sizeof(ExecutorTokenLists) == 24);
static_assert(sizeof(ExecutorContextPhase) == 56);
static_assert(sizeof(ExecutorLookahead) == 12);
static_assert(sizeof(ExecutorEagle) == 48);

// An array that is there unless it is empty.
template <typename Wire, typename T>
void Needed(Wire& wire, const T*& data, uint64_t count) {
  wire.Array(data, count);
  wire.Need(count == 0 || data != nullptr);
}

template <typename Wire>
void NeededTexts(Wire& wire, const char* const*& texts, uint64_t count) {
  wire.Texts(texts, count);
  wire.Need(count == 0 || texts != nullptr);
  for (uint64_t i = 0; texts != nullptr && i < count; ++i) wire.Need(texts[i] != nullptr);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorError& error) {
  wire.Values(error.code, error.has_request_id, error.request_id);
  const char* field = error.field;
  wire.Text(field);
  wire.Need(field != nullptr);
  if (field != error.field) std::snprintf(error.field, sizeof(error.field), "%s", field);
  const char* message = error.message;
  wire.Text(message);
  wire.Need(message != nullptr);
  if (message != error.message) std::snprintf(error.message, sizeof(error.message), "%s", message);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorTensor& tensor) {
  wire.Values(tensor.data_type, tensor.rank, tensor.shape);
  auto data = static_cast<const unsigned char*>(tensor.data);
  Needed(wire, data, executor::TensorBytes(tensor));
  tensor.data = data;
}

template <typename Wire>
void Fields(Wire& wire, ExecutorNamedTensor& named) {
  wire.Text(named.name);
  wire.Need(named.name != nullptr);
  Fields(wire, named.tensor);
}

// Offsets are used as indexes, so they must not lead out of their arrays.
inline void CheckOffsets(const uint32_t* offsets, uint64_t count) {
  if (offsets == nullptr || offsets[0] != 0 || !std::is_sorted(offsets, offsets + count + 1))
    RefuseMessage("has offsets that are out of order");
}

template <typename Wire>
void Fields(Wire& wire, ExecutorTokenLists& lists) {
  wire.Values(lists.count);
  wire.Array(lists.offsets, lists.count == 0 ? 0 : uint64_t{lists.count} + 1);
  if (lists.count > 0) CheckOffsets(lists.offsets, lists.count);
  Needed(wire, lists.tokens, lists.count == 0 ? 0 : lists.offsets[lists.count]);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorContextPhase& phase) {
  wire.Values(phase.first_token_count, phase.request_id, phase.draft_token_count, phase.state_bytes);
  Needed(wire, phase.first_tokens, phase.first_token_count);
  Needed(wire, phase.draft_tokens, phase.draft_token_count);
  Needed(wire, phase.state, phase.state_bytes);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorLookahead& lookahead) {
  wire.Values(lookahead.window, lookahead.ngram, lookahead.verification_set);
}

template <typename Wire>
void Fields(Wire& wire, ExecutorEagle& eagle) {
  wire.Values(eagle.set, eagle.greedy, eagle.posterior_threshold, eagle.dynamic_tree, eagle.dynamic_tree_top_k);
  Fields(wire, eagle.choices);
}

}  // namespace isolation

#endif  // ISOLATION_TYPE_FIELDS_H_
