#ifndef TEXT_PATTERN_TREE_H_
#define TEXT_PATTERN_TREE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "native/text/char_set.h"

namespace text {

enum class NodeKind {
  kEmpty,
  kCharacter,
  kSet,
  kSequence,
  kAlternatives,
  kRepeat,  // of its one child, as are those below
  kAtomic,
  kLookahead,
  kLookbehind,
  kAnchor,  // no child
};

enum class Anchor {
  kTextBegin,
  kTextEnd,
  kLastLineEnd,  // the end, or before a newline there
  kLineBegin,
  kLineEnd,
  kWordBoundary,
  kNoWordBoundary,
};

enum class Greed { kGreedy, kLazy, kPossessive };
enum class Sense { kPositive, kNegative };

constexpr uint32_t kUnlimited = UINT32_MAX;

// A node of the syntax tree of a pattern.
struct Node {
  NodeKind kind = NodeKind::kEmpty;
  char32_t character = 0;
  uint32_t set = 0;  // in PatternTree::sets
  uint32_t min = 0, max = 0;
  Greed greed = Greed::kGreedy;
  Sense sense = Sense::kPositive;
  Anchor anchor = Anchor::kTextBegin;
  size_t offset = 0;  // in the pattern
  std::vector<std::unique_ptr<Node>> children;
};

struct PatternTree {
  std::unique_ptr<Node> root;
  std::vector<CharSet> sets;
};

}  // namespace text

#endif  // TEXT_PATTERN_TREE_H_
