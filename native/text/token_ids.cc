#include "native/text/token_ids.h"

#include <random>

#include "native/text/hash.h"

namespace text {

uint64_t HashSeed() {
  static const uint64_t seed = [] {
    std::random_device device;
    return (static_cast<uint64_t>(device()) << 32 | device()) | 1;
  }();
  return seed;
}

TokenIds::TokenIds(size_t tokens, size_t bytes) {
  size_t slots = 4;
  while (slots < 2 * tokens) slots *= 2;
  slots_.assign(slots, kEmpty);
  entries_.reserve(tokens);
  names_.reserve(bytes);
}

size_t TokenIds::SlotOf(std::string_view name) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = Hash(name, HashSeed()) & mask;
  while (slots_[slot] != kEmpty && NameOf(entries_[slots_[slot]]) != name) slot = (slot + 1) & mask;
  return slot;
}

bool TokenIds::Add(std::string_view name, int32_t id) {
  uint32_t& slot = slots_[SlotOf(name)];
  if (slot != kEmpty) return false;
  slot = static_cast<uint32_t>(entries_.size());
  entries_.push_back({static_cast<uint32_t>(names_.size()), static_cast<uint32_t>(name.size()), id});
  names_.append(name);
  return true;
}

std::optional<int32_t> TokenIds::Find(std::string_view name) const {
  const uint32_t entry = slots_[SlotOf(name)];
  if (entry == kEmpty) return std::nullopt;
  return entries_[entry].id;
}

}  // namespace text
