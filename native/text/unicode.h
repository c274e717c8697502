#ifndef TEXT_UNICODE_H_
#define TEXT_UNICODE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "native/text/char_set.h"

namespace text {

// The character that starts at utf8[at], and its bytes. `utf8` is valid UTF-8 and at < utf8.size(); of text that is not
// valid, nothing past its end is read.
struct Utf8Character {
  char32_t code;
  uint32_t size;
};
inline Utf8Character CharacterAt(std::string_view utf8, size_t at) {
  const char* bytes = utf8.data() + at;
  const auto first = static_cast<uint8_t>(*bytes);
  if (first < 0x80) return {first, 1};
  const auto bits = [&](int i) -> char32_t { return static_cast<uint8_t>(bytes[i]) & 0x3Fu; };
  const size_t left = utf8.size() - at;
  if (first < 0xE0 && left >= 2) return {(first & 0x1Fu) << 6 | bits(1), 2};
  if (first < 0xF0 && left >= 3) return {(first & 0x0Fu) << 12 | bits(1) << 6 | bits(2), 3};
  if (left >= 4) return {(first & 0x07u) << 18 | bits(1) << 12 | bits(2) << 6 | bits(3), 4};
  return {0xFFFD, static_cast<uint32_t>(left)};
}

void AppendUtf8(char32_t code, std::string* out);

// What the Rust crate tokenizers asks of a character; each of its parts knows another version of Unicode.
bool IsWhitespace(char32_t code);   // char::is_whitespace
bool IsNumeric(char32_t code);      // char::is_numeric: the pre-tokenizer Digits
bool IsPunctuation(char32_t code);  // the pre-tokenizer Punctuation
bool IsWord(char32_t code);         // \w of the crate regex: the pre-tokenizer Whitespace

// The characters of \p{name} as Oniguruma has them: general categories, scripts, POSIX classes, and some binary
// properties. Case, spaces, - and _ make no difference in a name.
std::optional<CharSet> CharactersOf(std::string_view name);

// The characters of [:name:], which are those of \p{name} but for punct: that has symbols too.
std::optional<CharSet> CharactersOfPosixClass(std::string_view name);

// The characters of \w outside of brackets, and of \b: Oniguruma takes some numbers of Latin-1 for such, which [\w] has not.
CharSet WordCharacters();

// The characters that a set matches where case is ignored: those that fold to the same as one of the set.
CharSet CloseOverCase(const CharSet& set);

// The two or three characters that `code` folds to, as (?i:) has it where one character equals several; else empty.
std::u32string MultiCaseFold(char32_t code);

std::u32string CharactersWithMultiCaseFold();

// The characters that fold to all of `folded`, which is two or three characters that are folded themselves.
std::u32string FoldingTo(std::u32string_view folded);

// The character that `code` folds to, if it is one.
char32_t CaseFoldOf(char32_t code);

}  // namespace text

#endif  // TEXT_UNICODE_H_
