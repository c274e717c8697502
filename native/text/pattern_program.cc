#include "native/text/pattern_program.h"

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "native/text/pattern.h"

namespace text {
namespace {

constexpr size_t kMaxInstructions = 32768;
constexpr uint32_t kMaxLookbehind = 255;  // characters

// What the compiler knows of a node before it compiles it.
struct Facts {
  FirstBytes first;             // of what it takes, if it takes something
  bool is_nullable;             // may match without taking anything
  bool is_certain;              // matches everywhere
  uint32_t min_size, max_size;  // in characters; kUnlimited
};

uint32_t Times(uint32_t size, uint32_t count) {
  if (size == 0 || count == 0) return 0;
  if (size == kUnlimited || count == kUnlimited || size > kUnlimited / count) return kUnlimited;
  return size * count;
}
uint32_t Plus(uint32_t a, uint32_t b) { return a > kUnlimited - b ? kUnlimited : a + b; }

class Compiler {
 public:
  explicit Compiler(PatternTree tree) : tree_(std::move(tree)) {}

  PatternProgram Compile() {
    for (const CharSet& set : tree_.sets) program_.sets.emplace_back(set);
    const Facts& facts = Look(*tree_.root);
    program_.first = FirstWith(facts, FirstBytes::All());
    program_.at_begin_only = BeginsAtTextBegin(*tree_.root);
    CompileNode(*tree_.root, {FirstBytes::All(), /*can_fail=*/false});
    const uint32_t match = Emit({Op::kMatch});
    for (Instruction& instruction : program_.code)
      if (instruction.op == Op::kJump && instruction.b == match) instruction.op = Op::kMatch;
    return std::move(program_);
  }

 private:
  // What follows a node.
  struct Follow {
    FirstBytes first;
    bool can_fail;
  };

  static FirstBytes FirstWith(const Facts& facts, const FirstBytes& follow) {
    FirstBytes first = facts.first;
    if (facts.is_nullable) first.Add(follow);
    return first;
  }

  static bool BeginsAtTextBegin(const Node& node) {
    if (node.kind == NodeKind::kAnchor) return node.anchor == Anchor::kTextBegin;
    return node.kind == NodeKind::kSequence && BeginsAtTextBegin(*node.children[0]);
  }

  const Facts& Look(const Node& node) {
    const auto found = facts_.find(&node);
    if (found != facts_.end()) return found->second;
    Facts facts{FirstBytes(), true, true, 0, 0};
    switch (node.kind) {
      case NodeKind::kEmpty:
        break;
      case NodeKind::kCharacter:
        facts = {FirstBytes::Of(node.character), false, false, 1, 1};
        break;
      case NodeKind::kSet:
        facts = {program_.sets[node.set].first_bytes(), false, false, 1, 1};
        break;
      case NodeKind::kSequence:
        for (const auto& child : node.children) {
          const Facts& part = Look(*child);
          if (facts.is_nullable) facts.first.Add(part.first);
          facts.is_nullable = facts.is_nullable && part.is_nullable;
          facts.is_certain = facts.is_certain && part.is_certain;
          facts.min_size = Plus(facts.min_size, part.min_size);
          facts.max_size = Plus(facts.max_size, part.max_size);
        }
        break;
      case NodeKind::kAlternatives:
        facts = {FirstBytes(), false, false, kUnlimited, 0};
        for (const auto& child : node.children) {
          const Facts& part = Look(*child);
          facts.first.Add(part.first);
          facts.is_nullable = facts.is_nullable || part.is_nullable;
          facts.is_certain = facts.is_certain || part.is_certain;
          facts.min_size = std::min(facts.min_size, part.min_size);
          facts.max_size = std::max(facts.max_size, part.max_size);
        }
        break;
      case NodeKind::kRepeat: {
        const Facts& part = Look(*node.children[0]);
        facts.first = part.first;
        facts.is_nullable = node.min == 0 || part.is_nullable;
        facts.is_certain = node.min == 0 || part.is_certain;
        facts.min_size = Times(part.min_size, node.min);
        facts.max_size = Times(part.max_size, node.max);
        break;
      }
      case NodeKind::kAtomic:
        facts = Look(*node.children[0]);
        break;
      case NodeKind::kLookahead:
      case NodeKind::kLookbehind:
        Look(*node.children[0]);
        facts.is_certain = false;
        break;
      case NodeKind::kAnchor:
        facts.is_certain = false;
        break;
    }
    return facts_.emplace(&node, facts).first->second;
  }

  uint32_t Here() const { return static_cast<uint32_t>(program_.code.size()); }

  uint32_t Emit(const Instruction& instruction) {
    if (program_.code.size() == kMaxInstructions)
      throw PatternError("The pattern is compiled to more than " + std::to_string(kMaxInstructions) +
                             " instructions; expected fewer. Counts such as {1000} of groups multiply.",
                         offset_);
    program_.code.push_back(instruction);
    return Here() - 1;
  }

  uint32_t FirstIndex(const FirstBytes& first) {
    const auto key = std::make_pair(first.bytes, first.end);
    const auto [found, is_new] = first_indices_.try_emplace(key, static_cast<uint32_t>(program_.firsts.size()));
    if (is_new) program_.firsts.push_back(first);
    return found->second;
  }

  uint32_t SetOf(const Node& node) {
    if (node.kind == NodeKind::kSet) return node.set;
    const auto [found, is_new] =
        character_sets_.try_emplace(node.character, static_cast<uint32_t>(program_.sets.size()));
    if (is_new) {
      if (character_sets_.size() > 1000)
        throw PatternError("The pattern repeats more than 1000 different characters; expected fewer.", offset_);
      program_.sets.emplace_back(CharSet::Of(node.character));
    }
    return found->second;
  }

  static bool IsOneCharacter(const Node& node) {
    return node.kind == NodeKind::kCharacter || node.kind == NodeKind::kSet;
  }

  void CompileNode(const Node& node, const Follow& follow) {
    offset_ = node.offset;
    switch (node.kind) {
      case NodeKind::kEmpty:
        return;
      case NodeKind::kCharacter:
        return CompileCharacters(&node, 1);
      case NodeKind::kSet: {
        Instruction set{Op::kSet};
        set.a = node.set;
        Emit(set);
        return;
      }
      case NodeKind::kSequence:
        return CompileSequence(node, follow);
      case NodeKind::kAlternatives:
        return CompileAlternatives(node, 0, follow);
      case NodeKind::kRepeat:
        return CompileRepeat(node, follow);
      case NodeKind::kAtomic: {
        CompileAtomic([&](const Follow& inner) { CompileNode(*node.children[0], inner); });
        return;
      }
      case NodeKind::kLookahead:
      case NodeKind::kLookbehind:
        return CompileLook(node);
      case NodeKind::kAnchor: {
        Instruction anchor{Op::kAnchor};
        anchor.a = static_cast<uint32_t>(node.anchor);
        if (node.anchor == Anchor::kWordBoundary || node.anchor == Anchor::kNoWordBoundary) NeedWordSet();
        Emit(anchor);
        return;
      }
    }
  }

  // What follows the group makes no difference in it: that it cannot follow must not turn its choices.
  template <typename Body>
  void CompileAtomic(Body body) {
    const uint32_t begin = Emit({Op::kAtomic});
    body(Follow{FirstBytes::All(), /*can_fail=*/false});
    Instruction end{Op::kAtomicEnd};
    end.a = begin;
    Emit(end);
  }

  void NeedWordSet() {
    if (has_word_set_) return;
    has_word_set_ = true;
    program_.word_set = static_cast<uint32_t>(program_.sets.size());
    program_.sets.emplace_back(WordCharacters());
  }

  // So many character nodes, one after another in memory of their own each: a string.
  template <typename Iterator>
  void CompileString(Iterator begin, Iterator end) {
    std::string bytes;
    for (; begin != end; ++begin) AppendUtf8((*begin)->character, &bytes);
    Instruction string{bytes.size() == 1 ? Op::kByte : Op::kString};
    if (bytes.size() == 1) {
      string.a = static_cast<uint8_t>(bytes[0]);
    } else {
      string.a = static_cast<uint32_t>(program_.strings.size());
      string.b = static_cast<uint32_t>(bytes.size());
      program_.strings += bytes;
    }
    Emit(string);
  }
  void CompileCharacters(const Node* node, int count) { CompileString(&node, &node + count); }

  void CompileSequence(const Node& node, const Follow& follow) {
    const size_t count = node.children.size();
    std::vector<Follow> follows(count);
    for (size_t i = count; i-- > 0;) {
      if (i + 1 == count) {
        follows[i] = follow;
      } else {
        const Facts& next = Look(*node.children[i + 1]);
        follows[i] = {FirstWith(next, follows[i + 1].first), follows[i + 1].can_fail || !next.is_certain};
      }
    }
    for (size_t i = 0; i < count;) {
      size_t end = i;
      while (end < count && node.children[end]->kind == NodeKind::kCharacter) ++end;
      if (end > i) {
        CompileString(node.children.begin() + static_cast<ptrdiff_t>(i),
                      node.children.begin() + static_cast<ptrdiff_t>(end));
        i = end;
      } else {
        CompileNode(*node.children[i], follows[i]);
        ++i;
      }
    }
  }

  // From the alternative `begin` on.
  void CompileAlternatives(const Node& node, size_t begin, const Follow& follow) {
    const size_t left = node.children.size() - begin;
    const auto first_of = [&](size_t i) { return FirstWith(Look(*node.children[i]), follow.first); };
    if (left == 1) return CompileNode(*node.children[begin], follow);
    if (left == 2) {
      FirstBytes rest = first_of(begin + 1);
      CompileSplit(
          first_of(begin), rest, [&] { CompileNode(*node.children[begin], follow); },
          [&] { CompileNode(*node.children[begin + 1], follow); });
      return;
    }
    // The last of 64 are all the others.
    const size_t count = std::min<size_t>(left, 64);
    Instruction instruction{Op::kChoice};
    instruction.a = static_cast<uint32_t>(program_.choices.size());
    Emit(instruction);
    program_.choices.emplace_back();
    std::vector<uint32_t> targets, jumps;
    std::array<uint64_t, 257> possible{};
    for (size_t i = 0; i < count; ++i) {
      const bool is_rest = i + 1 == count && left > count;
      FirstBytes first = first_of(begin + i);
      if (is_rest)
        for (size_t j = begin + i + 1; j < node.children.size(); ++j) first.Add(first_of(j));
      for (size_t byte = 0; byte < 256; ++byte)
        if (first.Has(static_cast<uint8_t>(byte))) possible[byte] |= uint64_t{1} << i;
      if (first.end) possible[256] |= uint64_t{1} << i;
      targets.push_back(Here());
      if (is_rest) {
        CompileAlternatives(node, begin + i, follow);
      } else {
        CompileNode(*node.children[begin + i], follow);
      }
      if (i + 1 < count) jumps.push_back(Emit({Op::kJump}));
    }
    for (const uint32_t jump : jumps) program_.code[jump].b = Here();
    program_.choices[instruction.a] = {possible, std::move(targets)};
  }

  template <typename First, typename Second>
  void CompileSplit(const FirstBytes& first_starts, const FirstBytes& second_starts, First first, Second second) {
    Instruction split{Op::kSplit};
    split.c = FirstIndex(first_starts);
    split.d = FirstIndex(second_starts);
    const uint32_t at = Emit(split);
    first();
    const uint32_t jump = Emit({Op::kJump});
    program_.code[at].b = Here();
    second();
    program_.code[jump].b = Here();
  }

  void CompileRepeat(const Node& node, const Follow& follow) {
    const Node& body = *node.children[0];
    if (node.max == 0) return;
    if (IsOneCharacter(body)) {
      const Facts& facts = Look(body);
      Instruction loop{Op::kLoop};
      loop.a = SetOf(body);
      loop.b = FirstIndex(follow.first);
      loop.min = node.min;
      loop.max = node.max;
      if (node.greed == Greed::kLazy) {
        loop.loop = LoopKind::kLazy;
      } else if (node.greed == Greed::kGreedy && follow.can_fail && node.min != node.max &&
                 facts.first.HasAny(follow.first)) {
        loop.loop = LoopKind::kGreedy;
      }
      Emit(loop);
      return;
    }
    if (node.greed == Greed::kPossessive) {
      CompileAtomic([&](const Follow& inner) { CompileCounted(node, body, inner); });
      return;
    }
    CompileCounted(node, body, follow);
  }

  void CompileCounted(const Node& node, const Node& body, const Follow& follow) {
    const Facts& facts = Look(body);
    FirstBytes around = follow.first;  // what may follow one of several
    around.Add(facts.first);
    const Follow inner{around, /*can_fail=*/true};
    uint32_t copies = node.min;
    if (node.max == kUnlimited && copies > 0) --copies;  // the loop is one
    for (uint32_t i = 0; i < copies; ++i) CompileNode(body, inner);
    const FirstBytes body_first = FirstWith(facts, around);
    const bool is_lazy = node.greed == Greed::kLazy;
    if (node.max != kUnlimited) {
      // One inside the other, so that the first that fails leaves all.
      std::vector<uint32_t> exits;
      for (uint32_t i = node.min; i < node.max; ++i) {
        exits.push_back(EmitOptional(is_lazy, body_first, follow.first));
        CompileNode(body, i + 1 == node.max ? follow : inner);
      }
      for (const uint32_t exit : exits) PatchOptional(exit, is_lazy, Here());
      return;
    }
    uint32_t exit = 0;
    const bool body_first_once = node.min > 0;
    const uint32_t begin = Here();
    if (!body_first_once) exit = EmitOptional(is_lazy, body_first, follow.first);
    uint32_t iteration = 0;
    if (facts.is_nullable) iteration = Emit({Op::kIteration});
    CompileNode(body, inner);
    uint32_t iteration_end = 0;
    if (facts.is_nullable) {
      Instruction end{Op::kIterationEnd};
      end.a = iteration;
      iteration_end = Emit(end);
    }
    if (body_first_once) exit = EmitOptional(is_lazy, body_first, follow.first);
    Instruction jump{Op::kJump};
    jump.b = begin;
    Emit(jump);
    PatchOptional(exit, is_lazy, Here());
    if (facts.is_nullable) program_.code[iteration_end].b = Here();
  }

  // Goes on to the next instruction or to what PatchOptional says. A lazy one prefers the latter.
  uint32_t EmitOptional(bool is_lazy, const FirstBytes& body, const FirstBytes& exit) {
    Instruction split{Op::kSplit};
    split.c = FirstIndex(is_lazy ? exit : body);
    split.d = FirstIndex(is_lazy ? body : exit);
    const uint32_t at = Emit(split);
    if (is_lazy) {
      Emit({Op::kJump});
      program_.code[at].b = Here();
    }
    return at;
  }
  void PatchOptional(uint32_t at, bool is_lazy, uint32_t exit) { program_.code[is_lazy ? at + 1 : at].b = exit; }

  void CompileLook(const Node& node) {
    const Node& body = *node.children[0];
    const bool is_behind = node.kind == NodeKind::kLookbehind;
    if (IsOneCharacter(body)) {
      Instruction one{is_behind ? Op::kSetBehind : Op::kSetAhead};
      one.a = SetOf(body);
      one.sense = node.sense;
      Emit(one);
      return;
    }
    Instruction look{Op::kLook};
    look.sense = node.sense;
    const uint32_t begin = Emit(look);
    if (is_behind) {
      const Facts& facts = Look(body);
      if (facts.max_size > kMaxLookbehind)
        throw PatternError("A lookbehind of more than " + std::to_string(kMaxLookbehind) +
                               " characters is not supported, at byte " + std::to_string(node.offset) +
                               " of the pattern.",
                           node.offset);
      Instruction behind{Op::kBehind};
      behind.min = facts.min_size;
      behind.max = facts.max_size;
      Emit(behind);
    }
    CompileNode(body, {FirstBytes::All(), /*can_fail=*/is_behind});
    Instruction end{is_behind ? Op::kBehindEnd : Op::kLookEnd};
    end.a = begin;
    end.sense = node.sense;
    Emit(end);
    program_.code[begin].b = Here();
  }

  PatternTree tree_;
  PatternProgram program_{};
  std::unordered_map<const Node*, Facts> facts_;
  std::map<std::pair<std::array<uint64_t, 4>, bool>, uint32_t> first_indices_;
  std::unordered_map<char32_t, uint32_t> character_sets_;
  bool has_word_set_ = false;
  size_t offset_ = 0;
};

}  // namespace

PatternProgram CompilePattern(PatternTree tree) { return Compiler(std::move(tree)).Compile(); }

}  // namespace text
