// GPT-2 writes a byte as the printable character of its number, and the other 68 as U+0100 upwards.
#ifndef TEXT_BYTE_LEVEL_H_
#define TEXT_BYTE_LEVEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace text {

char32_t ByteLevelCharacter(uint8_t byte);

// The bytes that such characters stand for; nothing where another character is among them.
std::optional<std::string> FromByteLevel(std::string_view utf8);

}  // namespace text

#endif  // TEXT_BYTE_LEVEL_H_
