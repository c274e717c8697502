#ifndef TEXT_UNICODE_H_
#define TEXT_UNICODE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace text {

// The character that starts at utf8[at], and its bytes. `utf8` is valid UTF-8 and at < utf8.size(); of text that is not
// valid, nothing past its end is read.
struct Utf8Character {
  char32_t code;
  uint32_t size;
};
Utf8Character CharacterAt(std::string_view utf8, size_t at);

void AppendUtf8(char32_t code, std::string* out);

bool IsWhitespace(char32_t code);   // Rust's char::is_whitespace: White_Space
bool IsNumeric(char32_t code);      // Rust's char::is_numeric: Nd, Nl and No
bool IsPunctuation(char32_t code);  // as the pre-tokenizer Punctuation has it: ASCII punctuation and P*

}  // namespace text

#endif  // TEXT_UNICODE_H_
