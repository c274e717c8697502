#include "native/text/unicode.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <utility>

namespace text {
namespace {

#include "native/text/unicode_classes.inc"

struct NamedRanges {
  std::string_view name;
  uint32_t begin, end;  // in the array of all ranges
};

#include "native/text/unicode_properties.inc"

// The two-letter categories by their numbers in kCategoryRuns, and their long names.
constexpr std::pair<std::string_view, std::string_view> kCategories[] = {
    {"lu", "uppercaseletter"},    {"ll", "lowercaseletter"},  {"lt", "titlecaseletter"},
    {"lm", "modifierletter"},     {"lo", "otherletter"},      {"mn", "nonspacingmark"},
    {"mc", "spacingmark"},        {"me", "enclosingmark"},    {"nd", "decimalnumber"},
    {"nl", "letternumber"},       {"no", "othernumber"},      {"pc", "connectorpunctuation"},
    {"pd", "dashpunctuation"},    {"ps", "openpunctuation"},  {"pe", "closepunctuation"},
    {"pi", "initialpunctuation"}, {"pf", "finalpunctuation"}, {"po", "otherpunctuation"},
    {"sm", "mathsymbol"},         {"sc", "currencysymbol"},   {"sk", "modifiersymbol"},
    {"so", "othersymbol"},        {"zs", "spaceseparator"},   {"zl", "lineseparator"},
    {"zp", "paragraphseparator"}, {"cc", "control"},          {"cf", "format"},
    {"cs", "surrogate"},          {"co", "privateuse"},       {"cn", "unassigned"},
};
constexpr std::pair<std::string_view, std::string_view> kCategoryGroups[] = {
    {"l", "letter"}, {"m", "mark"},      {"n", "number"}, {"p", "punctuation"},
    {"s", "symbol"}, {"z", "separator"}, {"c", "other"},
};

CharSet CharactersOfCategories(uint32_t categories) {
  std::vector<CharRange> ranges;
  for (size_t i = 0; i < std::size(kCategoryRuns); ++i) {
    if ((categories >> (kCategoryRuns[i] & 31) & 1) == 0) continue;
    const char32_t next = i + 1 < std::size(kCategoryRuns) ? kCategoryRuns[i + 1] >> 5 : kLastCharacter + 1;
    ranges.push_back({kCategoryRuns[i] >> 5, next - 1});
  }
  return CharSet(std::move(ranges));
}

// As bits, by the number; 0 if it names none.
uint32_t CategoriesOf(std::string_view name) {
  if (name == "lc" || name == "casedletter") return 0b111;
  std::string_view group;
  for (const auto& [letter, long_name] : kCategoryGroups)
    if (name == letter || name == long_name) group = letter;
  uint32_t categories = 0;
  for (size_t i = 0; i < std::size(kCategories); ++i) {
    const auto& [letters, long_name] = kCategories[i];
    const bool is_named = group.empty() ? name == letters || name == long_name : letters[0] == group[0];
    if (is_named) categories |= 1u << i;
  }
  return categories;
}

std::optional<CharSet> CharactersOfProperty(std::string_view name) {
  for (const NamedRanges& property : kProperties)
    if (property.name == name)
      return CharSet(std::vector<CharRange>(kPropertiesRanges + property.begin, kPropertiesRanges + property.end));
  return std::nullopt;
}

CharSet Categories(std::string_view name) { return CharactersOfCategories(CategoriesOf(name)); }

template <size_t size>
bool Contains(const CharRange (&ranges)[size], char32_t code) {
  const CharRange* after = std::upper_bound(
      ranges, ranges + size, code, [](char32_t character, const CharRange& range) { return character < range.first; });
  return after != ranges && code <= (after - 1)->last;
}

struct CaseFold {
  char32_t fold, code;
};
struct MultiCaseFoldEntry {
  char32_t fold[3];  // the third may be 0: there are two
  char32_t code;
};

#include "native/text/case_folding.inc"

std::u32string_view FoldOf(const MultiCaseFoldEntry& entry) {
  return {entry.fold, static_cast<size_t>(entry.fold[2] == 0 ? 2 : 3)};
}

}  // namespace

void AppendUtf8(char32_t code, std::string* out) {
  const auto byte = [&](char32_t bits) { out->push_back(static_cast<char>(bits)); };
  if (code < 0x80) {
    byte(code);
    return;
  }
  if (code < 0x800) {
    byte(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      byte(0xE0 | code >> 12);
    } else {
      byte(0xF0 | code >> 18);
      byte(0x80 | (code >> 12 & 0x3F));
    }
    byte(0x80 | (code >> 6 & 0x3F));
  }
  byte(0x80 | (code & 0x3F));
}

bool IsWhitespace(char32_t code) {
  if (code < 0x85) return code == ' ' || (code >= '\t' && code <= '\r');
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}
bool IsNumeric(char32_t code) { return code < 0x80 ? code >= '0' && code <= '9' : Contains(kNumeric, code); }
bool IsPunctuation(char32_t code) { return Contains(kPunctuation, code); }
bool IsWord(char32_t code) { return Contains(kWord, code); }

std::optional<CharSet> CharactersOfPosixClass(std::string_view name) {
  const auto property = [](std::string_view property_name) { return *CharactersOfProperty(property_name); };
  if (name == "alnum") return property("alphabetic").Union(Categories("nd"));
  if (name == "alpha") return property("alphabetic");
  if (name == "ascii") return CharSet({{0, 0x7F}});
  if (name == "blank") return Categories("zs").Union(CharSet::Of('\t'));
  if (name == "cntrl") return Categories("cc");
  if (name == "digit") return Categories("nd");
  if (name == "graph" || name == "print") {
    const CharSet graph =
        property("whitespace").Union(Categories("cc")).Union(Categories("cn")).Union(Categories("cs"));
    return name == "graph" ? graph.Complement() : graph.Complement().Union(Categories("zs"));
  }
  if (name == "lower") return property("lowercase");
  if (name == "punct") return Categories("p").Union(Categories("s"));
  if (name == "space") return property("whitespace");
  if (name == "upper") return property("uppercase");
  if (name == "xdigit") return CharSet({{'0', '9'}, {'A', 'F'}, {'a', 'f'}});
  if (name == "word")
    return property("alphabetic").Union(Categories("m")).Union(Categories("nd")).Union(Categories("pc"));
  return std::nullopt;
}

std::optional<CharSet> CharactersOf(std::string_view name) {
  std::string plain;
  for (const char c : name)
    if (c != ' ' && c != '-' && c != '_') plain += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  if (plain == "any") return CharSet::All();
  if (plain == "assigned") return Categories("cn").Complement();
  if (plain == "punct") return Categories("p");
  if (std::optional<CharSet> posix = CharactersOfPosixClass(plain)) return posix;
  if (const uint32_t categories = CategoriesOf(plain)) return CharactersOfCategories(categories);
  return CharactersOfProperty(plain);
}

CharSet WordCharacters() {
  return CharactersOfPosixClass("word")->Union(CharSet({{0xB2, 0xB3}, {0xB9, 0xB9}, {0xBC, 0xBE}}));
}

CharSet CloseOverCase(const CharSet& set) {
  std::vector<CharRange> added;
  const auto add_if_any = [&](const std::vector<char32_t>& equal) {
    if (!std::any_of(equal.begin(), equal.end(), [&](char32_t code) { return set.Contains(code); })) return;
    for (const char32_t code : equal) added.push_back({code, code});
  };
  for (const CaseFold* fold = kCaseFolds; fold != std::end(kCaseFolds);) {
    std::vector<char32_t> equal{fold->fold};
    for (const char32_t target = fold->fold; fold != std::end(kCaseFolds) && fold->fold == target; ++fold)
      equal.push_back(fold->code);
    add_if_any(equal);
  }
  for (const MultiCaseFoldEntry& entry : kMultiCaseFolds) {
    std::vector<char32_t> equal;
    for (const char32_t code : FoldingTo(FoldOf(entry))) equal.push_back(code);
    add_if_any(equal);
  }
  return set.Union(CharSet(std::move(added)));
}

std::u32string MultiCaseFold(char32_t code) {
  for (const MultiCaseFoldEntry& entry : kMultiCaseFolds)
    if (entry.code == code) return std::u32string(FoldOf(entry));
  return {};
}

std::u32string CharactersWithMultiCaseFold() {
  std::u32string codes;
  for (const MultiCaseFoldEntry& entry : kMultiCaseFolds) codes += entry.code;
  return codes;
}

std::u32string FoldingTo(std::u32string_view folded) {
  std::u32string codes;
  for (const MultiCaseFoldEntry& entry : kMultiCaseFolds)
    if (FoldOf(entry) == folded) codes += entry.code;
  return codes;
}

char32_t CaseFoldOf(char32_t code) {
  const auto fold = std::find_if(std::begin(kCaseFolds), std::end(kCaseFolds),
                                 [&](const CaseFold& each) { return each.code == code; });
  return fold == std::end(kCaseFolds) ? code : fold->fold;
}

}  // namespace text
