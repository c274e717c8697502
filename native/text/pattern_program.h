#ifndef TEXT_PATTERN_PROGRAM_H_
#define TEXT_PATTERN_PROGRAM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "native/text/char_set.h"
#include "native/text/pattern_tree.h"
#include "native/text/unicode.h"

namespace text {

// What may come next: the first byte of a character, or the end of the text.
struct FirstBytes {
  std::array<uint64_t, 4> bytes{};
  bool end = false;

  static FirstBytes All();
  void Add(uint8_t byte) { bytes[byte >> 6] |= uint64_t{1} << (byte & 63); }
  void Add(const FirstBytes& other);
  bool Has(uint8_t byte) const { return (bytes[byte >> 6] >> (byte & 63) & 1) != 0; }
  bool HasAny(const FirstBytes& other) const;
};

// A set of characters made for asking. Most answers come from the first byte alone.
class SetTable {
 public:
  explicit SetTable(const CharSet& set);

  enum class Answer : uint8_t { kOut, kIn, kDependsOnRest };
  Answer OfFirstByte(uint8_t byte) const { return of_byte_[byte]; }

  // The bytes of the character at `at` if it is in the set, else 0. `at` must be before the end.
  size_t Match(std::string_view text, size_t at) const {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (byte < 0x80 || of_byte_[byte] == Answer::kOut) return of_byte_[byte] == Answer::kIn ? 1 : 0;
    const auto [code, size] = CharacterAt(text, at);
    return Contains(code) ? size : 0;
  }
  bool Contains(char32_t code) const {
    if (code < 0x10000) return (words_[word_of_[code >> 6]] >> (code & 63) & 1) != 0;
    return above_.Contains(code);
  }
  FirstBytes first_bytes() const;

 private:
  std::array<Answer, 256> of_byte_{};
  std::array<uint16_t, 1024> word_of_{};  // by code / 64, below U+10000
  std::vector<uint64_t> words_;           // a bit for each of 64 characters
  CharSet above_;                         // from U+10000 on
};

enum class Op : uint8_t {
  kMatch,
  kByte,          // a: it
  kString,        // a, b: where it begins in `strings`, and its size
  kSet,           // a: which
  kLoop,          // a set again and again. a: which, min, max, loop; b: which first bytes may follow
  kSplit,         // tries the next instruction, then b; c and d: which first bytes each may start with
  kChoice,        // a: which
  kJump,          // to b
  kAnchor,        // a: Anchor
  kSetAhead,      // a: which set, sense; looks at one character
  kSetBehind,     // likewise
  kLook,          // begins a lookahead, or a lookbehind of min to max characters. a: kLookEnd, kBehindEnd; sense
  kBehind,        // goes back min to max characters, fewest first; the instruction after a lookbehind's kLook
  kLookEnd,       // a: its kLook
  kBehindEnd,     // likewise: the text of a lookbehind must end where it began
  kAtomic,        // begins one
  kAtomicEnd,     // a: its kAtomic
  kIteration,     // begins one of a loop whose body may match nothing
  kIterationEnd,  // a: its kIteration; to b if it matched nothing
};

enum class LoopKind : uint8_t {
  kFixed,   // takes all it can and never goes back: what follows cannot use what it took, or cannot fail
  kGreedy,  // gives characters back one by one
  kLazy,    // takes more one by one
};

struct Instruction {
  Op op;
  Sense sense = Sense::kPositive;
  LoopKind loop = LoopKind::kFixed;
  uint32_t a = 0, b = 0, c = 0, d = 0;
  uint32_t min = 0, max = 0;
};

// Alternatives: which may start with each byte, a bit for each; [256] is for the end of the text.
struct Choice {
  std::array<uint64_t, 257> possible;
  std::vector<uint32_t> targets;  // at most 64
};

struct PatternProgram {
  std::vector<Instruction> code;
  std::vector<SetTable> sets;
  std::vector<FirstBytes> firsts;
  std::vector<Choice> choices;
  std::string strings;
  FirstBytes first;    // of any match
  bool at_begin_only;  // it begins with \A
  uint32_t word_set;   // of \b, where it occurs
};

// Throws PatternError.
PatternProgram CompilePattern(PatternTree tree);

}  // namespace text

#endif  // TEXT_PATTERN_PROGRAM_H_
