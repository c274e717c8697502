#include "native/text/pattern_parser.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "native/text/pattern_reader.h"
#include "native/text/unicode.h"

namespace text {
namespace {

// With those of the reader, far above what a tokenizer needs.
constexpr int kMaxDepth = 64;
constexpr int kMaxQuantifiers = 4;  // of one another, as in a{2}{3}
constexpr size_t kMaxNodes = 100000;
constexpr uint32_t kMaxRepeat = 100000;
constexpr size_t kMaxSets = 1000;

struct Flags {
  bool ignore_case = false;
  bool dot_is_any = false;
  bool extended = false;
  bool in_lookbehind = false;  // no flag of the syntax: there one character never equals several
};

using NodePtr = std::unique_ptr<Node>;

bool IsOneCharacter(const Node& node) { return node.kind == NodeKind::kCharacter || node.kind == NodeKind::kSet; }

class Parser {
 public:
  explicit Parser(std::string_view source) : reader_(source) {}

  PatternTree Parse() {
    PatternTree tree;
    tree.root = ParseAlternatives(Flags(), 0);
    if (!reader_.rest().empty()) reader_.FailAt("An unmatched ) is not a pattern", reader_.at());
    tree.sets = std::move(sets_);
    return tree;
  }

 private:
  NodePtr MakeNode(NodeKind kind, size_t offset) {
    if (++nodes_ > kMaxNodes)
      reader_.FailAt("A pattern of more than " + std::to_string(kMaxNodes) + " parts is not supported", offset);
    NodePtr node = std::make_unique<Node>();
    node->kind = kind;
    node->offset = offset;
    return node;
  }
  NodePtr MakeParent(NodeKind kind, size_t offset, NodePtr child) {
    NodePtr node = MakeNode(kind, offset);
    node->children.push_back(std::move(child));
    return node;
  }

  static std::u32string KeyOf(const CharSet& set) {
    std::u32string key;
    for (const CharRange& range : set.ranges()) key.append({range.first, range.last});
    return key;
  }

  uint32_t SetIndex(const CharSet& set) {
    const auto [found, is_new] = set_indices_.try_emplace(KeyOf(set), static_cast<uint32_t>(sets_.size()));
    if (is_new) {
      if (sets_.size() == kMaxSets)
        reader_.FailAt("More than " + std::to_string(kMaxSets) + " different character classes are too many",
                       reader_.at());
      sets_.push_back(set);
    }
    return found->second;
  }

  NodePtr MakeSet(const CharSet& set, size_t offset) {
    const std::vector<CharRange>& ranges = set.ranges();
    if (ranges.size() == 1 && ranges[0].first == ranges[0].last) return MakeCharacter(ranges[0].first, offset);
    NodePtr node = MakeNode(NodeKind::kSet, offset);
    node->set = SetIndex(set);
    return node;
  }
  NodePtr MakeCharacter(char32_t character, size_t offset) {
    NodePtr node = MakeNode(NodeKind::kCharacter, offset);
    node->character = character;
    return node;
  }
  CharSet SetOf(const Node& node) const {
    return node.kind == NodeKind::kSet ? sets_[node.set] : CharSet::Of(node.character);
  }

  // Alternatives up to an unmatched ) or the end.
  NodePtr ParseAlternatives(Flags flags, int depth) {
    if (depth > kMaxDepth)
      reader_.FailAt("Groups nested more than " + std::to_string(kMaxDepth) + " deep are too many", reader_.at());
    NodePtr node = MakeNode(NodeKind::kAlternatives, reader_.at());
    do {
      node->children.push_back(ParseSequence(flags, depth));
    } while (reader_.Skip("|"));
    if (node->children.size() == 1) return std::move(node->children[0]);
    if (!std::all_of(node->children.begin(), node->children.end(),
                     [](const NodePtr& each) { return IsOneCharacter(*each); }))
      return node;
    std::vector<CharRange> ranges;
    for (const NodePtr& child : node->children) {
      const CharSet set = SetOf(*child);
      ranges.insert(ranges.end(), set.ranges().begin(), set.ranges().end());
    }
    return MakeSet(CharSet(std::move(ranges)), node->offset);
  }

  // Items up to | or ) or the end.
  NodePtr ParseSequence(Flags flags, int depth) {
    NodePtr sequence = MakeNode(NodeKind::kSequence, reader_.at());
    std::vector<NodePtr>& items = sequence->children;
    std::vector<bool> folds;  // of each item: a character whose case is ignored, and which was not looked at yet
    while (true) {
      SkipIgnored(flags);
      const char32_t next = reader_.Peek();
      if (next == kPatternEnd || next == '|' || next == ')') break;
      const size_t offset = reader_.at();
      bool rest_is_group = false;
      if (next == '(') {
        reader_.Next();
        NodePtr group = ParseGroup(flags, depth, offset, &rest_is_group);
        items.push_back(std::move(group));
        folds.push_back(false);
      } else if (next == '*' || next == '+' || next == '?' || (next == '{' && PeekInterval())) {
        reader_.FailAt("A quantifier without anything before it is not a pattern", offset);
      } else {
        items.push_back(ParseItem(flags));
        folds.push_back(flags.ignore_case && items.back()->kind == NodeKind::kCharacter && !is_class_);
      }
      int quantifiers = 0;
      while (std::optional<Quantifier> quantifier = ParseQuantifier(flags)) {
        if (++quantifiers > kMaxQuantifiers)
          reader_.FailAt("More than " + std::to_string(kMaxQuantifiers) + " quantifiers one after another are too many",
                         offset);
        if (folds.back()) {
          std::vector<NodePtr> one;
          one.push_back(std::move(items.back()));
          items.back() = FoldCharacters(std::move(one), flags);
          folds.back() = false;
        }
        items.back() = Repeat(std::move(items.back()), *quantifier, offset);
      }
      if (items.back()->kind == NodeKind::kEmpty) {
        items.pop_back();
        folds.pop_back();
      }
      if (rest_is_group) break;
    }
    FoldRuns(&items, folds, flags);
    if (items.empty()) return MakeNode(NodeKind::kEmpty, reader_.at());
    return items.size() == 1 ? std::move(items[0]) : std::move(sequence);
  }

  // White space and comments where (?x) is on, and (?#...) anywhere.
  void SkipIgnored(Flags flags) {
    while (!reader_.rest().empty()) {
      const size_t offset = reader_.at();
      const char next = reader_.rest()[0];
      if (reader_.Skip("(?#")) {
        SkipComment(offset);
      } else if (flags.extended && std::string_view(" \t\n\r\f").find(next) != std::string_view::npos) {
        reader_.Next();
      } else if (flags.extended && next == '#') {
        for (char32_t skipped = '#'; skipped != '\n' && skipped != kPatternEnd;) skipped = reader_.Next();
      } else {
        return;
      }
    }
  }

  void SkipComment(size_t offset) {
    while (true) {
      const char32_t next = reader_.Next();
      if (next == kPatternEnd) reader_.FailAt("A comment without its ) is not a pattern", offset);
      if (next == ')') return;
      if (next == '\\') reader_.Next();
    }
  }

  struct Quantifier {
    uint32_t min, max;
    Greed greed;
  };

  std::optional<Quantifier> ParseQuantifier(Flags flags) {
    SkipIgnored(flags);
    Quantifier quantifier{0, kUnlimited, Greed::kGreedy};
    if (reader_.Peek() == '{') {
      const std::optional<Interval> interval = PeekInterval();
      if (!interval) return std::nullopt;
      reader_.GoTo(reader_.at() + interval->size);
      quantifier = {interval->min, interval->max, Greed::kGreedy};
      // {n}? is an optional {n}, {n,m}+ a repeated {n,m}, and {m,n} with m above n is possessive.
      if (quantifier.min > quantifier.max) return Quantifier{interval->max, interval->min, Greed::kPossessive};
      if (!interval->is_fixed && reader_.Skip("?")) quantifier.greed = Greed::kLazy;
      return quantifier;
    }
    if (reader_.Skip("+")) {
      quantifier.min = 1;
    } else if (reader_.Skip("?")) {
      quantifier.max = 1;
    } else if (!reader_.Skip("*")) {
      return std::nullopt;
    }
    if (reader_.Skip("?")) {
      quantifier.greed = Greed::kLazy;
    } else if (reader_.Skip("+")) {
      quantifier.greed = Greed::kPossessive;
    }
    return quantifier;
  }

  struct Interval {
    uint32_t min, max;
    bool is_fixed;  // {n}
    size_t size;    // in bytes
  };

  // What is no interval is text.
  std::optional<Interval> PeekInterval() const {
    const std::string_view rest = reader_.rest();
    size_t at = 1;
    const auto number = [&]() -> std::optional<uint32_t> {
      const size_t begin = at;
      uint32_t value = 0;
      for (; at < rest.size() && rest[at] >= '0' && rest[at] <= '9'; ++at) {
        value = value * 10 + static_cast<uint32_t>(rest[at] - '0');
        if (value > kMaxRepeat)
          reader_.FailAt("A count above " + std::to_string(kMaxRepeat) + " is not supported", reader_.at());
      }
      return at == begin ? std::nullopt : std::optional(value);
    };
    const std::optional<uint32_t> min = number();
    const bool is_fixed = at == rest.size() || rest[at] != ',';
    std::optional<uint32_t> max = min;
    if (!is_fixed) {
      ++at;
      max = number();
    }
    if ((!min && !max) || at == rest.size() || rest[at] != '}') return std::nullopt;
    return Interval{min.value_or(0), max.value_or(kUnlimited), is_fixed, at + 1};
  }

  NodePtr Repeat(NodePtr child, Quantifier quantifier, size_t offset) {
    if (quantifier.min == 1 && quantifier.max == 1) return child;
    if (child->kind == NodeKind::kEmpty || quantifier.max == 0) return MakeNode(NodeKind::kEmpty, offset);
    // (x+)+ and its like are x+ in a slower form, for which the number of ways through a text explodes.
    const auto is_plain_loop = [](uint32_t min, uint32_t max, Greed greed) {
      return min <= 1 && max == kUnlimited && greed == Greed::kGreedy;
    };
    if (child->kind == NodeKind::kRepeat && is_plain_loop(child->min, child->max, child->greed) &&
        is_plain_loop(quantifier.min, quantifier.max, quantifier.greed)) {
      child->min = std::min(child->min, quantifier.min);
      return child;
    }
    NodePtr node = MakeParent(NodeKind::kRepeat, offset, std::move(child));
    node->min = quantifier.min;
    node->max = quantifier.max;
    node->greed = quantifier.greed;
    return node;
  }

  // Behind "(". An option such as (?i) makes a group of all that follows in the group it is in: then rest_is_group.
  NodePtr ParseGroup(Flags flags, int depth, size_t offset, bool* rest_is_group) {
    const auto close = [&](NodePtr body) {
      if (!reader_.Skip(")")) reader_.FailAt("A group without its ) is not a pattern", offset);
      return body;
    };
    const auto body = [&](Flags body_flags) { return close(ParseAlternatives(body_flags, depth + 1)); };
    const auto look = [&](NodeKind kind, Sense sense) {
      Flags body_flags = flags;
      body_flags.in_lookbehind |= kind == NodeKind::kLookbehind;
      NodePtr node = MakeParent(kind, offset, body(body_flags));
      node->sense = sense;
      return node;
    };
    if (reader_.Peek() == '*') reader_.Unsupported("A callout (*", offset);
    if (!reader_.Skip("?")) return body(flags);
    if (reader_.Skip(":")) return body(flags);
    if (reader_.Skip(">")) return MakeParent(NodeKind::kAtomic, offset, body(flags));
    if (reader_.Skip("=")) return look(NodeKind::kLookahead, Sense::kPositive);
    if (reader_.Skip("!")) return look(NodeKind::kLookahead, Sense::kNegative);
    if (reader_.Skip("<=")) return look(NodeKind::kLookbehind, Sense::kPositive);
    if (reader_.Skip("<!")) return look(NodeKind::kLookbehind, Sense::kNegative);
    if (reader_.Peek() == '<' || reader_.Peek() == '\'') {
      const char32_t end = reader_.Next() == '<' ? '>' : '\'';
      const size_t name = reader_.at();
      char32_t next = reader_.Next();
      while (next != end && next != kPatternEnd && next != ')') next = reader_.Next();
      if (next != end || reader_.at() == name + 1)
        reader_.FailAt("A group name without its end is not a pattern", offset);
      return body(flags);
    }
    switch (reader_.Peek()) {
      case '~':
        reader_.Unsupported("An absent operator (?~", offset);
      case '(':
        reader_.Unsupported("A condition (?(", offset);
      case '{':
        reader_.Unsupported("A callout (?{", offset);
      case kPatternEnd:
        reader_.FailAt("A group without its ) is not a pattern", offset);
      default:
        break;
    }
    Flags changed = flags;
    bool value = true;
    while (true) {
      const char32_t option = reader_.Next();
      if (option == '-') {
        value = false;
      } else if (option == 'i') {
        changed.ignore_case = value;
      } else if (option == 'm') {
        changed.dot_is_any = value;
      } else if (option == 'x') {
        changed.extended = value;
      } else if (option == ':') {
        return body(changed);
      } else if (option == ')') {
        *rest_is_group = true;
        return ParseAlternatives(changed, depth + 1);
      } else if (option == kPatternEnd) {
        reader_.FailAt("A group without its ) is not a pattern", offset);
      } else {
        std::string name;
        AppendUtf8(option, &name);
        reader_.Unsupported("The group option " + name, offset);
      }
    }
  }

  // A character, a class, an escape or an anchor.
  NodePtr ParseItem(Flags flags) {
    const size_t offset = reader_.at();
    is_class_ = false;
    const char32_t next = reader_.Next();
    switch (next) {
      case '[':
        is_class_ = true;
        return ParseClass(flags, offset);
      case '.':
        return MakeSet(flags.dot_is_any ? CharSet::All() : CharSet::Of('\n').Complement(), offset);
      case '^':
        return MakeAnchor(Anchor::kLineBegin, offset);
      case '$':
        return MakeAnchor(Anchor::kLineEnd, offset);
      case '\\':
        return ParseEscape(offset);
      default:
        return MakeCharacter(next, offset);
    }
  }

  NodePtr MakeAnchor(Anchor anchor, size_t offset) {
    NodePtr node = MakeNode(NodeKind::kAnchor, offset);
    node->anchor = anchor;
    return node;
  }

  NodePtr ParseEscape(size_t offset) {
    if (std::optional<CharSet> set = reader_.ReadSetEscape(offset, Place::kOutside)) {
      is_class_ = true;
      return MakeSet(*set, offset);
    }
    const char32_t next = reader_.Peek();
    const auto anchor = [&](Anchor kind) {
      reader_.Next();
      return MakeAnchor(kind, offset);
    };
    switch (next) {
      case 'A':
        return anchor(Anchor::kTextBegin);
      case 'z':
        return anchor(Anchor::kTextEnd);
      case 'Z':
        return anchor(Anchor::kLastLineEnd);
      case 'b':
        return anchor(Anchor::kWordBoundary);
      case 'B':
        return anchor(Anchor::kNoWordBoundary);
      case 'N':
        reader_.Next();
        return MakeSet(CharSet::Of('\n').Complement(), offset);
      case 'O':
        reader_.Next();
        return MakeSet(CharSet::All(), offset);
      case 'R': {
        reader_.Next();
        NodePtr pair = MakeNode(NodeKind::kSequence, offset);
        pair->children.push_back(MakeCharacter('\r', offset));
        pair->children.push_back(MakeCharacter('\n', offset));
        NodePtr either = MakeParent(NodeKind::kAlternatives, offset, std::move(pair));
        either->children.push_back(MakeSet(CharSet({{'\n', '\r'}, {0x85, 0x85}, {0x2028, 0x2029}}), offset));
        return MakeParent(NodeKind::kAtomic, offset, std::move(either));
      }
      case 'G':
      case 'K':
      case 'X':
      case 'y':
      case 'Y':
        reader_.Unsupported(std::string("\\") + static_cast<char>(next), offset);
      case 'k':
      case 'g': {
        const std::string_view after = reader_.rest().substr(1, 1);
        if (after == "<" || after == "'")
          reader_.Unsupported(next == 'k' ? "A backreference" : "A call of a group", offset);
        break;
      }
      default:
        if (next >= '1' && next <= '9') reader_.Unsupported("A backreference", offset);
    }
    return MakeCharacter(reader_.ReadCharacterEscape(offset, Place::kOutside), offset);
  }

  // Behind "[", with the case closed over if it is ignored. Where one character of the class equals several, those are
  // alternatives of the class.
  NodePtr ParseClass(Flags flags, size_t offset) {
    bool is_negated = false;
    CharSet set = reader_.ReadBrackets(offset, 0, &is_negated);
    if (!flags.ignore_case) return MakeSet(is_negated ? set.Complement() : set, offset);
    const CharSet& closed = Closed(set);
    if (is_negated) return MakeSet(closed.Complement(), offset);
    NodePtr either = MakeParent(NodeKind::kAlternatives, offset, MakeSet(closed, offset));
    for (const char32_t code : CharactersWithMultiCaseFold())
      if (closed.Contains(code)) either->children.push_back(FoldedText(MultiCaseFold(code), offset));
    return either->children.size() == 1 ? std::move(either->children[0]) : std::move(either);
  }

  const CharSet& Closed(const CharSet& set) {
    const auto [found, is_new] = closed_.try_emplace(KeyOf(set));
    if (is_new) found->second = CloseOverCase(set);
    return found->second;
  }

  // Characters whose case is ignored become sets, one run of them after another.
  void FoldRuns(std::vector<NodePtr>* items, const std::vector<bool>& folds, Flags flags) {
    if (std::find(folds.begin(), folds.end(), true) == folds.end()) return;
    std::vector<NodePtr> folded;
    for (size_t i = 0; i < items->size();) {
      if (!folds[i]) {
        folded.push_back(std::move((*items)[i++]));
        continue;
      }
      std::vector<NodePtr> run;
      while (i < items->size() && folds[i]) run.push_back(std::move((*items)[i++]));
      folded.push_back(FoldCharacters(std::move(run), flags));
    }
    *items = std::move(folded);
  }

  // Oniguruma's way: from left to right, the longest of three, two or one characters to which others are equal.
  NodePtr FoldCharacters(std::vector<NodePtr> run, Flags flags) {
    NodePtr sequence = MakeNode(NodeKind::kSequence, run[0]->offset);
    for (size_t i = 0; i < run.size();) {
      const size_t offset = run[i]->offset;
      const char32_t character = run[i]->character;
      if (flags.in_lookbehind) {
        sequence->children.push_back(MakeSet(Closed(CharSet::Of(character)), offset));
        ++i;
        continue;
      }
      std::u32string text;  // that equals one character, and is written out
      for (size_t size = std::min<size_t>(3, run.size() - i); size >= 2 && text.empty(); --size) {
        std::u32string folded;
        for (size_t j = 0; j < size; ++j) folded += CaseFoldOf(run[i + j]->character);
        if (!FoldingTo(folded).empty()) text = folded;
      }
      i += std::max<size_t>(1, text.size());
      if (text.empty()) text = MultiCaseFold(character);
      if (text.empty()) {
        sequence->children.push_back(MakeSet(Closed(CharSet::Of(character)), offset));
        continue;
      }
      std::vector<CharRange> ones;
      for (const char32_t one : FoldingTo(text)) ones.push_back({one, one});
      NodePtr either = MakeParent(NodeKind::kAlternatives, offset, FoldedText(text, offset));
      either->children.push_back(MakeSet(CharSet(std::move(ones)), offset));
      sequence->children.push_back(std::move(either));
    }
    return sequence->children.size() == 1 ? std::move(sequence->children[0]) : std::move(sequence);
  }

  NodePtr FoldedText(const std::u32string& folded, size_t offset) {
    NodePtr sequence = MakeNode(NodeKind::kSequence, offset);
    for (const char32_t character : folded)
      sequence->children.push_back(MakeSet(Closed(CharSet::Of(character)), offset));
    return sequence;
  }

  PatternReader reader_;
  size_t nodes_ = 0;
  bool is_class_ = false;  // the last item was one, whose case is closed over already or never
  std::vector<CharSet> sets_;
  std::map<std::u32string, uint32_t> set_indices_;
  std::map<std::string, CharSet> named_;
  std::map<std::u32string, CharSet> closed_;
};

}  // namespace

PatternTree ParsePattern(std::string_view source) { return Parser(source).Parse(); }

}  // namespace text
