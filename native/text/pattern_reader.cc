#include "native/text/pattern_reader.h"

#include <utility>
#include <vector>

#include "native/text/pattern.h"
#include "native/text/unicode.h"

namespace text {
namespace {

// Far above what a tokenizer needs. With those of the parser and the compiler they keep what a hostile pattern costs below
// some 20 MB and 100 ms.
constexpr size_t kMaxPatternBytes = 32768;
constexpr int kMaxClassDepth = 64;

}  // namespace

PatternReader::PatternReader(std::string_view source) : source_(source) {
  if (source_.size() > kMaxPatternBytes)
    throw PatternError("The pattern has " + std::to_string(source_.size()) + " bytes; expected at most " +
                           std::to_string(kMaxPatternBytes) + ".",
                       0);
  for (size_t at = 0; at < source_.size();) {
    const auto [code, size] = CharacterAt(source_, at);
    std::string again;
    AppendUtf8(code, &again);
    if (source_.substr(at, size) != again || (code >= 0xD800 && code < 0xE000) || code > kLastCharacter)
      FailAt("The pattern is not UTF-8", at);
    at += size;
  }
}

void PatternReader::FailAt(const std::string& what, size_t offset) const {
  throw PatternError(what + ", at byte " + std::to_string(offset) + " of the pattern.", offset);
}

void PatternReader::Unsupported(const std::string& what, size_t offset) const {
  FailAt(what + " is not supported", offset);
}

char32_t PatternReader::Peek() const { return at_ < source_.size() ? CharacterAt(source_, at_).code : kPatternEnd; }

char32_t PatternReader::Next() {
  if (at_ == source_.size()) return kPatternEnd;
  const auto [code, size] = CharacterAt(source_, at_);
  at_ += size;
  return code;
}

bool PatternReader::Skip(std::string_view expected) {
  if (source_.substr(at_, expected.size()) != expected) return false;
  at_ += expected.size();
  return true;
}

const CharSet& PatternReader::Named(const std::string& name, size_t offset) {
  const auto found = named_.find(name);
  if (found != named_.end()) return found->second;
  std::optional<CharSet> set = CharactersOf(name);
  if (!set) Unsupported("The property \"" + name.substr(0, 40) + "\"", offset);
  return named_.emplace(name, *std::move(set)).first->second;
}

std::optional<CharSet> PatternReader::ReadSetEscape(size_t offset, Place place) {
  const char32_t next = Peek();
  const auto named = [&](const char* name, bool is_negated) {
    ++at_;
    const CharSet& set = Named(name, offset);
    return is_negated ? set.Complement() : set;
  };
  switch (next) {
    case 's':
    case 'S':
      return named("space", next == 'S');
    case 'd':
    case 'D':
      return named("digit", next == 'D');
    case 'h':
    case 'H':
      return named("xdigit", next == 'H');
    case 'w':
    case 'W': {
      ++at_;
      const CharSet word = place == Place::kOutside ? WordCharacters() : Named("word", offset);
      return next == 'W' ? word.Complement() : word;
    }
    case 'p':
    case 'P': {
      if (source_.substr(at_ + 1, 1) != "{") return std::nullopt;
      at_ += 2;
      bool is_negated = next == 'P';
      if (Skip("^")) is_negated = !is_negated;
      const size_t end = source_.find_first_of("}(){|", at_);
      if (end == source_.npos || source_[end] != '}') FailAt("A property without its } is not a pattern", offset);
      const std::string name(source_.substr(at_, end - at_));
      at_ = end + 1;
      CharSet set = Named(name, offset);
      if (place == Place::kOutside && set.ranges() == Named("word", offset).ranges()) set = WordCharacters();
      return is_negated ? set.Complement() : set;
    }
    default:
      return std::nullopt;
  }
}

char32_t PatternReader::ReadCharacterEscape(size_t offset, Place place) {
  const char32_t next = Next();
  if ((next == 'x' || next == 'u') && at_ == source_.size()) return next;
  switch (next) {
    case kPatternEnd:
      FailAt("A \\ at the end is not a pattern", offset);
    case 't':
      return '\t';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case 'a':
      return '\a';
    case 'e':
      return 0x1B;
    case 'b':
      return place == Place::kInBrackets ? '\b' : 'b';
    case 'x':
      return ReadHex(offset);
    case 'u': {
      const std::optional<char32_t> code = Digits(16, 4);
      if (!code || at_ != offset + 6) FailAt("\\u without four hexadecimal digits is not a pattern", offset);
      return Checked(*code, offset);
    }
    case 'c':
    case 'C':
    case 'M':
      Unsupported("The control character \\" + std::string(1, static_cast<char>(next)), offset);
    case 'o':
      if (Peek() == '{') Unsupported("\\o{", offset);
      return next;
    default:
      if (next < '0' || next > '7') return next;
      --at_;
      return Byte(*Digits(8, 3), offset);
  }
}

char32_t PatternReader::ReadHex(size_t offset) {
  if (Peek() != '{') return Byte(Digits(16, 2).value_or(0), offset);
  const size_t brace = at_++;
  const std::optional<char32_t> code = Digits(16, 8);
  if (!code) {  // then the x is a letter, and the brace text
    at_ = brace;
    return 'x';
  }
  if (Peek() == ' ') Unsupported("More than one character in \\x{", offset);
  if (!Skip("}")) FailAt("\\x{ without its } is not a pattern", offset);
  return Checked(*code, offset);
}

// Up to `count` digits, if there is one.
std::optional<char32_t> PatternReader::Digits(int base, size_t count) {
  const size_t begin = at_;
  char32_t value = 0;
  for (; at_ < source_.size() && at_ < begin + count; ++at_) {
    const char c = source_[at_];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : base;
    if (digit >= base) break;
    value = value * static_cast<char32_t>(base) + static_cast<char32_t>(digit);
  }
  return at_ == begin ? std::nullopt : std::optional(value);
}

// \xHH and \OOO stand for bytes: above 7F one alone is no character.
char32_t PatternReader::Byte(char32_t byte, size_t offset) const {
  if (byte > 0x7F) Unsupported("A byte above 7F (use \\x{...} for a character)", offset);
  return byte;
}

char32_t PatternReader::Checked(char32_t code, size_t offset) const {
  if (code > kLastCharacter || (code >= 0xD800 && code < 0xE000)) FailAt("A code that is no character", offset);
  return code;
}

// What a class matches before its ^ is applied. A - is a range, a ] or - at the start and a - at the end are text.
CharSet PatternReader::ReadBrackets(size_t offset, int depth, bool* is_negated) {
  if (depth > kMaxClassDepth)
    FailAt("Classes nested more than " + std::to_string(kMaxClassDepth) + " deep are too many", offset);
  *is_negated = Skip("^");
  std::optional<CharSet> before;    // of &&
  std::vector<CharRange> ranges;    // of this side of it
  std::optional<char32_t> pending;  // a character that may begin a range
  bool after_set = false;           // \s and its like, which begin none
  bool at_start = true;
  const auto settle = [&] {
    if (pending) ranges.push_back({*pending, *pending});
    pending.reset();
    after_set = false;
  };
  const auto add_set = [&](const CharSet& set) {
    settle();
    ranges.insert(ranges.end(), set.ranges().begin(), set.ranges().end());
  };
  if (Peek() == ']') {
    if (source_.find(']', at_ + 1) == source_.npos) FailAt("An empty class is not a pattern", offset);
    ++at_;
    pending = ']';
    at_start = false;
  }
  while (true) {
    const size_t item = at_;
    const char32_t next = Next();
    if (next == kPatternEnd) FailAt("A class without its ] is not a pattern", offset);
    if (next == ']') break;
    if (next == '&' && Skip("&")) {
      settle();
      CharSet side(std::exchange(ranges, {}));
      before = before ? before->Intersection(side) : std::move(side);
      at_start = true;
      continue;
    }
    if (next == '[') {
      if (Peek() == ':') {
        if (std::optional<CharSet> posix = ReadPosixBracket(item)) {
          add_set(*posix);
          after_set = true;
          at_start = false;
          continue;
        }
      }
      bool is_inner_negated = false;
      const CharSet inner = ReadBrackets(item, depth + 1, &is_inner_negated);
      add_set(is_inner_negated ? inner.Complement() : inner);
      at_start = false;
      continue;
    }
    if (next == '-' && !at_start) {
      const bool ends = Peek() == ']' || source_.substr(at_, 2) == "&&";
      if (!ends && after_set) FailAt("A range that begins with a class is not a pattern", item);
      if (!ends && pending) {
        ranges.push_back(ReadRangeEnd(*pending, item));
        pending.reset();
        continue;
      }
      // [a-z-9]: a - behind a range is text.
    }
    if (next == '\\') {
      if (std::optional<CharSet> set = ReadSetEscape(item, Place::kInBrackets)) {
        add_set(*set);
        after_set = true;
        at_start = false;
        continue;
      }
    }
    const char32_t character = next == '\\' ? ReadCharacterEscape(item, Place::kInBrackets) : next;
    settle();
    pending = character;
    at_start = false;
  }
  settle();
  CharSet set(std::move(ranges));
  return before ? before->Intersection(set) : set;
}

CharRange PatternReader::ReadRangeEnd(char32_t first, size_t offset) {
  const size_t item = at_;
  const char32_t next = Next();
  if (next == kPatternEnd) FailAt("A class without its ] is not a pattern", offset);
  if (next == '[') FailAt("A range that ends with a class is not a pattern", offset);
  char32_t last = next;
  if (next == '\\') {
    if (ReadSetEscape(item, Place::kInBrackets)) FailAt("A range that ends with a class is not a pattern", offset);
    last = ReadCharacterEscape(item, Place::kInBrackets);
  }
  if (first > last) FailAt("A range whose end is below its start is not a pattern", offset);
  return {first, last};
}

// [:name:] and [:^name:], behind "["; without an end it is a class that starts with a colon.
std::optional<CharSet> PatternReader::ReadPosixBracket(size_t offset) {
  const size_t end = source_.find(":]", at_ + 1);
  if (end == source_.npos) return std::nullopt;
  std::string_view name = source_.substr(at_ + 1, end - at_ - 1);
  const bool is_negated = !name.empty() && name[0] == '^';
  if (is_negated) name.remove_prefix(1);
  const std::optional<CharSet> set = CharactersOfPosixClass(name);
  if (!set) {
    if (name.size() > 20 || name.find_first_of("[]\\") != name.npos) return std::nullopt;
    FailAt("An unknown POSIX class is not a pattern", offset);
  }
  at_ = end + 2;
  return is_negated ? set->Complement() : set;
}

}  // namespace text
