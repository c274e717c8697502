#include "native/text/byte_level.h"

#include <array>

#include "native/text/unicode.h"

namespace text {
namespace {

struct Tables {
  std::array<char32_t, 256> characters;
  std::array<int16_t, 256 + 68> bytes;  // by character; -1: it stands for none
};

constexpr Tables MakeTables() {
  Tables tables{};
  for (auto& byte : tables.bytes) byte = -1;
  char32_t next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    const char32_t character = printable ? static_cast<char32_t>(byte) : next++;
    tables.characters[byte] = character;
    tables.bytes[character] = static_cast<int16_t>(byte);
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

}  // namespace

char32_t ByteLevelCharacter(uint8_t byte) { return kTables.characters[byte]; }

std::optional<std::string> FromByteLevel(std::string_view utf8) {
  std::string bytes;
  bytes.reserve(utf8.size());
  for (size_t at = 0; at < utf8.size();) {
    const Utf8Character character = CharacterAt(utf8, at);
    const int byte = character.code < kTables.bytes.size() ? kTables.bytes[character.code] : -1;
    if (byte < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte));
    at += character.size;
  }
  return bytes;
}

}  // namespace text
