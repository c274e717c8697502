#include "native/text/set_table.h"

#include <algorithm>
#include <map>
#include <utility>

namespace text {
namespace {

uint8_t FirstByte(char32_t code) {
  if (code < 0x80) return static_cast<uint8_t>(code);
  if (code < 0x800) return static_cast<uint8_t>(0xC0 | code >> 6);
  if (code < 0x10000) return static_cast<uint8_t>(0xE0 | code >> 12);
  return static_cast<uint8_t>(0xF0 | code >> 18);
}

}  // namespace

FirstBytes FirstBytes::All() {
  FirstBytes all;
  all.bytes.fill(~uint64_t{0});
  all.end = true;
  return all;
}

FirstBytes FirstBytes::Of(char32_t character) {
  FirstBytes first;
  first.Add(FirstByte(character));
  return first;
}

void FirstBytes::Add(const FirstBytes& other) {
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] |= other.bytes[i];
  end = end || other.end;
}

bool FirstBytes::HasAny(const FirstBytes& other) const {
  for (size_t i = 0; i < bytes.size(); ++i)
    if ((bytes[i] & other.bytes[i]) != 0) return true;
  return end && other.end;
}

SetTable::SetTable(const CharSet& set) {
  std::vector<uint64_t> bits(1024);
  std::vector<CharRange> above;
  std::array<bool, 256> has_some{};
  for (const CharRange& range : set.ranges()) {
    for (char32_t word = range.first >> 6; word <= range.last >> 6 && word < bits.size(); ++word) {
      const char32_t low = word == range.first >> 6 ? range.first & 63 : 0;
      const char32_t high = word == range.last >> 6 ? range.last & 63 : 63;
      bits[word] |= ~uint64_t{0} << low & ~uint64_t{0} >> (63 - high);
    }
    if (range.last >= 0x10000) above.push_back({std::max<char32_t>(range.first, 0x10000), range.last});
    for (int byte = FirstByte(range.first); byte <= FirstByte(range.last); ++byte) has_some[byte] = true;
  }
  above_ = CharSet(std::move(above));
  std::map<uint64_t, uint16_t> indices;
  for (size_t i = 0; i < bits.size(); ++i) {
    const auto [found, is_new] = indices.try_emplace(bits[i], static_cast<uint16_t>(words_.size()));
    if (is_new) words_.push_back(bits[i]);
    word_of_[i] = found->second;
  }
  for (int byte = 0; byte < 256; ++byte) {
    const bool starts_character = byte < 0x80 || byte >= 0xC2;
    if (has_some[byte] && starts_character) of_byte_[byte] = byte < 0x80 ? Answer::kIn : Answer::kDependsOnRest;
  }
}

FirstBytes SetTable::first_bytes() const {
  FirstBytes first;
  for (int byte = 0; byte < 256; ++byte)
    if (of_byte_[byte] != Answer::kOut) first.Add(static_cast<uint8_t>(byte));
  return first;
}

}  // namespace text
