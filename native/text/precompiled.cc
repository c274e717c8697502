#include "native/text/precompiled.h"

#include <cstddef>

#include "native/text/tokenizer_error.h"
#include "native/text/utf8.h"

namespace text {
namespace {

constexpr size_t kUnitBytes = 4;
constexpr size_t kLongestPart = 256;  // bytes; far above that of any map

std::string FromBase64(std::string_view base64) {
  std::string bytes;
  bytes.reserve(base64.size() / 4 * 3);
  while (!base64.empty() && base64.back() == '=') base64.remove_suffix(1);
  uint32_t bits = 0;
  int count = 0;
  for (const char c : base64) {
    const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : -1;
    if (value < 0) throw std::invalid_argument("has a character that base64 has not; expected base64");
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  return bytes;
}

uint32_t UnitAt(std::string_view bytes, size_t at) {
  uint32_t unit = 0;
  for (size_t i = 0; i < kUnitBytes; ++i) unit |= uint32_t{static_cast<uint8_t>(bytes[at + i])} << 8 * i;
  return unit;
}

// Where the children of a unit begin, by the format of the library darts-clone.
uint32_t OffsetOf(uint32_t unit) { return (unit >> 10) << ((unit & 1u << 9) >> 6); }

[[noreturn]] void RefuseDamaged() {
  throw TokenizerError(TokenizerErrorKind::kFile,
                       "normalizer.precompiled_charsmap points outside itself for this text; expected the map that "
                       "SentencePiece made.");
}

}  // namespace

CharacterMap::CharacterMap(std::string_view base64, Match match) : match_(match) {
  const std::string bytes = FromBase64(base64);
  const size_t size = bytes.size() < kUnitBytes ? SIZE_MAX : UnitAt(bytes, 0);
  if (size % kUnitBytes != 0 || size == 0 || size > bytes.size() - kUnitBytes)
    throw std::invalid_argument("has " + std::to_string(bytes.size()) +
                                " bytes, which do not hold what they say; expected a map that SentencePiece made");
  units_.reserve(size / kUnitBytes);
  for (size_t at = 0; at < size; at += kUnitBytes) units_.push_back(UnitAt(bytes, kUnitBytes + at));
  replacements_ = bytes.substr(kUnitBytes + size);
  if (ToUtf8(replacements_) != replacements_)
    throw std::invalid_argument("holds text that is not UTF-8; expected a map that SentencePiece made");
  for (size_t code = 1; code < keeps_.size(); ++code) {
    const char character = static_cast<char>(code);
    try {
      keeps_[code] = !Find({&character, 1});
    } catch (const TokenizerError&) {
      // It is refused for a text that has the character.
    }
  }
}

// Visits those that have a replacement, the shortest first, until the visitor returns false.
template <typename Visit>
void CharacterMap::ForEachPrefix(std::string_view utf8, Visit visit) const {
  size_t at = OffsetOf(units_[0]);
  for (size_t size = 1; size <= utf8.size(); ++size) {
    const auto byte = static_cast<uint8_t>(utf8[size - 1]);
    if (byte == 0) return;
    at ^= byte;
    if (at >= units_.size()) RefuseDamaged();
    const uint32_t unit = units_[at];
    if ((unit & (1u << 31 | 0xFF)) != byte) return;
    at ^= OffsetOf(unit);
    if ((unit >> 8 & 1) == 0) continue;
    if (at >= units_.size()) RefuseDamaged();
    const size_t begin = units_[at] & ~(1u << 31);
    if (begin > replacements_.size()) RefuseDamaged();
    const std::string_view rest = std::string_view(replacements_).substr(begin);
    if (!rest.empty() && (rest[0] & 0xC0) == 0x80) RefuseDamaged();
    if (!visit(Part{size, rest.substr(0, rest.find('\0'))})) return;
  }
}

std::optional<std::string_view> CharacterMap::Find(std::string_view utf8) const {
  std::optional<std::string_view> found;
  ForEachPrefix(utf8, [&](const Part& part) {
    found = part.replacement;
    return false;
  });
  return found;
}

std::optional<CharacterMap::Part> CharacterMap::FindLongest(std::string_view utf8) const {
  std::optional<Part> found;
  ForEachPrefix(utf8.substr(0, kLongestPart), [&](const Part& part) {
    // A part that ends within a character is none of real maps.
    if (part.size == utf8.size() || (utf8[part.size] & 0xC0) != 0x80) found = part;
    return true;
  });
  return found;
}

}  // namespace text
