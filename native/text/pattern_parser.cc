#include "native/text/pattern_parser.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "native/text/pattern.h"
#include "native/text/unicode.h"

namespace text {
namespace {

// Far above what a tokenizer needs; they keep what a hostile file costs below some 50 MB and 100 ms.
constexpr size_t kMaxPatternBytes = 32768;
constexpr int kMaxDepth = 64;
constexpr int kMaxQuantifiers = 4;  // of one another, as in a{2}{3}
constexpr size_t kMaxNodes = 100000;
constexpr uint32_t kMaxRepeat = 100000;
constexpr size_t kMaxSets = 1000;

constexpr char32_t kEnd = 0xFFFFFFFF;  // in place of a character: there is no more

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
  explicit Parser(std::string_view source) : source_(source) {}

  PatternTree Parse() {
    if (source_.size() > kMaxPatternBytes)
      Fail("The pattern has " + std::to_string(source_.size()) + " bytes; expected at most " +
               std::to_string(kMaxPatternBytes) + ".",
           0);
    CheckUtf8();
    PatternTree tree;
    tree.root = ParseAlternatives(Flags(), 0);
    if (at_ < source_.size()) FailAt("An unmatched ) is not a pattern", at_);
    tree.sets = std::move(sets_);
    return tree;
  }

 private:
  [[noreturn]] void Fail(const std::string& message, size_t offset) const { throw PatternError(message, offset); }
  [[noreturn]] void FailAt(const std::string& what, size_t offset) const {
    Fail(what + ", at byte " + std::to_string(offset) + " of the pattern.", offset);
  }
  [[noreturn]] void Unsupported(const std::string& what, size_t offset) const {
    FailAt(what + " is not supported", offset);
  }

  void CheckUtf8() const {
    for (size_t at = 0; at < source_.size();) {
      const auto [code, size] = CharacterAt(source_, at);
      std::string again;
      AppendUtf8(code, &again);
      if (source_.substr(at, size) != again || (code >= 0xD800 && code < 0xE000) || code > kLastCharacter)
        FailAt("The pattern is not UTF-8", at);
      at += size;
    }
  }

  NodePtr MakeNode(NodeKind kind, size_t offset) {
    if (++nodes_ > kMaxNodes)
      FailAt("A pattern of more than " + std::to_string(kMaxNodes) + " parts is not supported", offset);
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

  char32_t Peek() const { return at_ < source_.size() ? CharacterAt(source_, at_).code : kEnd; }
  char32_t Next() {
    if (at_ == source_.size()) return kEnd;
    const auto [code, size] = CharacterAt(source_, at_);
    at_ += size;
    return code;
  }
  bool Skip(std::string_view expected) {
    if (source_.substr(at_, expected.size()) != expected) return false;
    at_ += expected.size();
    return true;
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
        FailAt("More than " + std::to_string(kMaxSets) + " different character classes are too many", at_);
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

  const CharSet& Named(const std::string& name, size_t offset) {
    const auto found = named_.find(name);
    if (found != named_.end()) return found->second;
    std::optional<CharSet> set = CharactersOf(name);
    if (!set) Unsupported("The property \"" + name.substr(0, 40) + "\"", offset);
    return named_.emplace(name, *std::move(set)).first->second;
  }

  // Alternatives up to an unmatched ) or the end.
  NodePtr ParseAlternatives(Flags flags, int depth) {
    if (depth > kMaxDepth) FailAt("Groups nested more than " + std::to_string(kMaxDepth) + " deep are too many", at_);
    NodePtr node = MakeNode(NodeKind::kAlternatives, at_);
    do {
      node->children.push_back(ParseSequence(flags, depth));
    } while (Skip("|"));
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
    NodePtr sequence = MakeNode(NodeKind::kSequence, at_);
    std::vector<NodePtr>& items = sequence->children;
    std::vector<bool> folds;  // of each item: a character whose case is ignored, and which was not looked at yet
    while (true) {
      SkipIgnored(flags);
      const char32_t next = Peek();
      if (next == kEnd || next == '|' || next == ')') break;
      const size_t offset = at_;
      bool rest_is_group = false;
      if (next == '(') {
        ++at_;
        NodePtr group = ParseGroup(flags, depth, offset, &rest_is_group);
        items.push_back(std::move(group));
        folds.push_back(false);
      } else if (next == '*' || next == '+' || next == '?' || (next == '{' && PeekInterval())) {
        FailAt("A quantifier without anything before it is not a pattern", offset);
      } else {
        items.push_back(ParseItem(flags));
        folds.push_back(flags.ignore_case && items.back()->kind == NodeKind::kCharacter && !is_class_);
      }
      int quantifiers = 0;
      while (std::optional<Quantifier> quantifier = ParseQuantifier(flags)) {
        if (++quantifiers > kMaxQuantifiers)
          FailAt("More than " + std::to_string(kMaxQuantifiers) + " quantifiers one after another are too many",
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
    if (items.empty()) return MakeNode(NodeKind::kEmpty, at_);
    return items.size() == 1 ? std::move(items[0]) : std::move(sequence);
  }

  // White space and comments where (?x) is on, and (?#...) anywhere.
  void SkipIgnored(Flags flags) {
    while (at_ < source_.size()) {
      if (Skip("(?#")) {
        const size_t offset = at_ - 3;
        while (true) {
          const char32_t next = Next();
          if (next == kEnd) FailAt("A comment without its ) is not a pattern", offset);
          if (next == ')') break;
          if (next == '\\') Next();
        }
      } else if (flags.extended && std::string_view(" \t\n\r\f").find(source_[at_]) != std::string_view::npos) {
        ++at_;
      } else if (flags.extended && source_[at_] == '#') {
        while (at_ < source_.size() && source_[at_++] != '\n') {
        }
      } else {
        return;
      }
    }
  }

  struct Quantifier {
    uint32_t min, max;
    Greed greed;
  };

  std::optional<Quantifier> ParseQuantifier(Flags flags) {
    SkipIgnored(flags);
    Quantifier quantifier{0, kUnlimited, Greed::kGreedy};
    if (Skip("{")) {
      --at_;
      const std::optional<Interval> interval = PeekInterval();
      if (!interval) return std::nullopt;
      at_ = interval->end;
      quantifier = {interval->min, interval->max, Greed::kGreedy};
      // {n}? is an optional {n}, {n,m}+ a repeated {n,m}, and {m,n} with m above n is possessive.
      if (quantifier.min > quantifier.max) return Quantifier{interval->max, interval->min, Greed::kPossessive};
      if (!interval->is_fixed && Skip("?")) quantifier.greed = Greed::kLazy;
      return quantifier;
    }
    if (Skip("+")) {
      quantifier.min = 1;
    } else if (Skip("?")) {
      quantifier.max = 1;
    } else if (!Skip("*")) {
      return std::nullopt;
    }
    if (Skip("?")) {
      quantifier.greed = Greed::kLazy;
    } else if (Skip("+")) {
      quantifier.greed = Greed::kPossessive;
    }
    return quantifier;
  }

  struct Interval {
    uint32_t min, max;
    bool is_fixed;  // {n}
    size_t end;
  };

  // What is no interval is text.
  std::optional<Interval> PeekInterval() const {
    size_t at = at_ + 1;
    const auto number = [&]() -> std::optional<uint32_t> {
      if (at == source_.size() || source_[at] < '0' || source_[at] > '9') return std::nullopt;
      uint32_t value = 0;
      for (; at < source_.size() && source_[at] >= '0' && source_[at] <= '9'; ++at) {
        value = value * 10 + static_cast<uint32_t>(source_[at] - '0');
        if (value > kMaxRepeat) FailAt("A count above " + std::to_string(kMaxRepeat) + " is too large", at_);
      }
      return value;
    };
    const std::optional<uint32_t> min = number();
    std::optional<uint32_t> max = min;
    bool is_fixed = true;
    if (at < source_.size() && source_[at] == ',') {
      ++at;
      is_fixed = false;
      max = number();
    }
    if ((!min && !max) || at == source_.size() || source_[at] != '}') return std::nullopt;
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
      if (!Skip(")")) FailAt("A group without its ) is not a pattern", offset);
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
    if (Peek() == '*') Unsupported("A callout (*", offset);
    if (!Skip("?")) return body(flags);
    if (Skip(":")) return body(flags);
    if (Skip(">")) return MakeParent(NodeKind::kAtomic, offset, body(flags));
    if (Skip("=")) return look(NodeKind::kLookahead, Sense::kPositive);
    if (Skip("!")) return look(NodeKind::kLookahead, Sense::kNegative);
    if (Skip("<=")) return look(NodeKind::kLookbehind, Sense::kPositive);
    if (Skip("<!")) return look(NodeKind::kLookbehind, Sense::kNegative);
    if (Skip("<") || Skip("'")) {
      const char32_t end = source_[at_ - 1] == '<' ? '>' : '\'';
      const size_t name = at_;
      char32_t next = Next();
      while (next != end && next != kEnd && next != ')') next = Next();
      if (next != end || at_ == name + 1) FailAt("A group name without its end is not a pattern", offset);
      return body(flags);
    }
    switch (Peek()) {
      case '~':
        Unsupported("An absent operator (?~", offset);
      case '(':
        Unsupported("A condition (?(", offset);
      case '{':
        Unsupported("A callout (?{", offset);
      case kEnd:
        FailAt("A group without its ) is not a pattern", offset);
      default:
        break;
    }
    Flags changed = flags;
    bool value = true;
    while (true) {
      const char32_t option = Next();
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
      } else if (option == kEnd) {
        FailAt("A group without its ) is not a pattern", offset);
      } else {
        std::string name;
        AppendUtf8(option, &name);
        Unsupported("The group option " + name, offset);
      }
    }
  }

  // A character, a class, an escape or an anchor.
  NodePtr ParseItem(Flags flags) {
    const size_t offset = at_;
    is_class_ = false;
    const char32_t next = Next();
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
    if (std::optional<CharSet> set = ParseSetEscape(offset, /*in_class=*/false)) {
      is_class_ = true;
      return MakeSet(*set, offset);
    }
    const char32_t next = Peek();
    const auto anchor = [&](Anchor kind) {
      ++at_;
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
        ++at_;
        return MakeSet(CharSet::Of('\n').Complement(), offset);
      case 'O':
        ++at_;
        return MakeSet(CharSet::All(), offset);
      case 'R': {
        ++at_;
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
        Unsupported(std::string("\\") + static_cast<char>(next), offset);
      case 'k':
      case 'g': {
        const std::string_view after = source_.substr(at_ + 1, 1);
        if (after == "<" || after == "'") Unsupported(next == 'k' ? "A backreference" : "A call of a group", offset);
        break;
      }
      default:
        if (next >= '1' && next <= '9') Unsupported("A backreference", offset);
    }
    return MakeCharacter(ParseCharacterEscape(offset, /*in_class=*/false), offset);
  }

  // \s and its like, and \p{...}, behind the backslash; nothing is taken if it is none of them.
  std::optional<CharSet> ParseSetEscape(size_t offset, bool in_class) {
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
        CharSet word = named("word", false);
        // Outside of brackets Oniguruma asks a table of Latin-1 in which these numbers are word characters.
        if (!in_class) word = word.Union(LatinNumbers());
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
        if (!in_class && set.ranges() == Named("word", offset).ranges()) set = set.Union(LatinNumbers());
        return is_negated ? set.Complement() : set;
      }
      default:
        return std::nullopt;
    }
  }

  static CharSet LatinNumbers() { return CharSet({{0xB2, 0xB3}, {0xB9, 0xB9}, {0xBC, 0xBE}}); }

  // Behind the backslash.
  char32_t ParseCharacterEscape(size_t offset, bool in_class) {
    const char32_t next = Next();
    if ((next == 'x' || next == 'u') && at_ == source_.size()) return next;
    switch (next) {
      case kEnd:
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
        return in_class ? '\b' : 'b';
      case 'x':
        return ParseHex(offset);
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

  char32_t ParseHex(size_t offset) {
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
  std::optional<char32_t> Digits(int base, size_t count) {
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
  char32_t Byte(char32_t byte, size_t offset) const {
    if (byte > 0x7F) Unsupported("A byte above 7F (use \\x{...} for a character)", offset);
    return byte;
  }

  char32_t Checked(char32_t code, size_t offset) const {
    if (code > kLastCharacter || (code >= 0xD800 && code < 0xE000)) FailAt("A code that is no character", offset);
    return code;
  }

  // Behind "[", with the case closed over if it is ignored. Where one character of the class equals several, those are
  // alternatives of the class.
  NodePtr ParseClass(Flags flags, size_t offset) {
    bool is_negated = false;
    CharSet set = ParseBrackets(offset, 0, &is_negated);
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

  // What a class matches before its ^ is applied. A - is a range, a ] or - at the start and a - at the end are text.
  CharSet ParseBrackets(size_t offset, int depth, bool* is_negated) {
    if (depth > kMaxDepth)
      FailAt("Classes nested more than " + std::to_string(kMaxDepth) + " deep are too many", offset);
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
      if (next == kEnd) FailAt("A class without its ] is not a pattern", offset);
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
          if (std::optional<CharSet> posix = ParsePosixBracket(item)) {
            add_set(*posix);
            after_set = true;
            at_start = false;
            continue;
          }
        }
        bool is_inner_negated = false;
        const CharSet inner = ParseBrackets(item, depth + 1, &is_inner_negated);
        add_set(is_inner_negated ? inner.Complement() : inner);
        at_start = false;
        continue;
      }
      if (next == '-' && !at_start) {
        const bool ends = Peek() == ']' || source_.substr(at_, 2) == "&&";
        if (!ends && after_set) FailAt("A range that begins with a class is not a pattern", item);
        if (!ends && pending) {
          ranges.push_back(ParseRangeEnd(*pending, item));
          pending.reset();
          continue;
        }
        // [a-z-9]: a - behind a range is text.
      }
      if (next == '\\') {
        if (std::optional<CharSet> set = ParseSetEscape(item, /*in_class=*/true)) {
          add_set(*set);
          after_set = true;
          at_start = false;
          continue;
        }
      }
      const char32_t character = next == '\\' ? ParseCharacterEscape(item, /*in_class=*/true) : next;
      settle();
      pending = character;
      at_start = false;
    }
    settle();
    CharSet set(std::move(ranges));
    return before ? before->Intersection(set) : set;
  }

  CharRange ParseRangeEnd(char32_t first, size_t offset) {
    const size_t item = at_;
    const char32_t next = Next();
    if (next == kEnd) FailAt("A class without its ] is not a pattern", offset);
    if (next == '[') FailAt("A range that ends with a class is not a pattern", offset);
    char32_t last = next;
    if (next == '\\') {
      if (ParseSetEscape(item, /*in_class=*/true)) FailAt("A range that ends with a class is not a pattern", offset);
      last = ParseCharacterEscape(item, /*in_class=*/true);
    }
    if (first > last) FailAt("A range whose end is below its start is not a pattern", offset);
    return {first, last};
  }

  // [:name:] and [:^name:], behind "["; without an end it is a class that starts with a colon.
  std::optional<CharSet> ParsePosixBracket(size_t offset) {
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

  std::string_view source_;
  size_t at_ = 0;
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
