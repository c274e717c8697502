#include "native/text/unicode.h"

namespace text {

Utf8Character CharacterAt(std::string_view utf8, size_t at) {
  const auto byte = [&](size_t i) -> char32_t {
    return at + i < utf8.size() ? static_cast<uint8_t>(utf8[at + i]) & 0x3F : 0;
  };
  const auto first = static_cast<uint8_t>(utf8[at]);
  const size_t left = utf8.size() - at;
  const auto size = static_cast<uint32_t>(first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4);
  if (size > left) return {0xFFFD, static_cast<uint32_t>(left)};
  if (size == 1) return {first, 1};
  if (size == 2) return {(first & 0x1Fu) << 6 | byte(1), 2};
  if (size == 3) return {(first & 0x0Fu) << 12 | byte(1) << 6 | byte(2), 3};
  return {(first & 0x07u) << 18 | byte(1) << 12 | byte(2) << 6 | byte(3), 4};
}

void AppendUtf8(char32_t code, std::string* out) {
  const auto byte = [&](char32_t bits) { out->push_back(static_cast<char>(bits)); };
  if (code < 0x80) {
    byte(code);
    return;
  }
  if (code < 0x800) {
    byte(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      byte(0xE0 | code >> 12);
    } else {
      byte(0xF0 | code >> 18);
      byte(0x80 | (code >> 12 & 0x3F));
    }
    byte(0x80 | (code >> 6 & 0x3F));
  }
  byte(0x80 | (code & 0x3F));
}

bool IsWhitespace(char32_t code) { return code == ' ' || (code >= '\t' && code <= '\r'); }
bool IsNumeric(char32_t code) { return code >= '0' && code <= '9'; }
bool IsPunctuation(char32_t code) {
  return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') ||
         (code >= '{' && code <= '~');
}

}  // namespace text
