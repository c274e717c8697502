#ifndef TEXT_PATTERN_PROGRAM_H_
#define TEXT_PATTERN_PROGRAM_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "native/text/pattern_tree.h"
#include "native/text/set_table.h"

namespace text {

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
  kLook,          // begins a look. sense; a negative one whose body matches nowhere goes on at b
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
