#ifndef TEXT_PATTERN_READER_H_
#define TEXT_PATTERN_READER_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "native/text/char_set.h"

namespace text {

constexpr char32_t kPatternEnd = 0xFFFFFFFF;  // in place of a character: there is no more

enum class Place { kInBrackets, kOutside };

// Reads a pattern from left to right: characters, escapes that stand for some, and bracketed classes. What it cannot read
// it refuses by PatternError; `offset` is where that began.
class PatternReader {
 public:
  explicit PatternReader(std::string_view source);  // anything; what is not UTF-8 is refused

  size_t at() const { return at_; }
  void GoTo(size_t at) { at_ = at; }
  std::string_view rest() const { return source_.substr(at_); }

  char32_t Peek() const;
  char32_t Next();
  bool Skip(std::string_view expected);  // whether it comes next; then it is passed

  // \s and its like, and \p{...}, behind the backslash; nothing is read if it is none of them.
  std::optional<CharSet> ReadSetEscape(size_t offset, Place place);

  // The character of any other escape, behind the backslash.
  char32_t ReadCharacterEscape(size_t offset, Place place);

  // What a class holds before its ^ is applied, behind "[".
  CharSet ReadBrackets(size_t offset, int depth, bool* is_negated);

  // "<what>, at byte <offset> of the pattern."
  [[noreturn]] void FailAt(const std::string& what, size_t offset) const;
  [[noreturn]] void Unsupported(const std::string& what, size_t offset) const;

 private:
  const CharSet& Named(const std::string& name, size_t offset);
  char32_t ReadHex(size_t offset);
  std::optional<char32_t> Digits(int base, size_t count);
  char32_t Byte(char32_t byte, size_t offset) const;
  char32_t Checked(char32_t code, size_t offset) const;
  CharRange ReadRangeEnd(char32_t first, size_t offset);
  std::optional<CharSet> ReadPosixBracket(size_t offset);

  std::string_view source_;
  size_t at_ = 0;
  std::map<std::string, CharSet> named_;
};

}  // namespace text

#endif  // TEXT_PATTERN_READER_H_
