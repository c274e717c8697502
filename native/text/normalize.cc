#include "native/text/normalize.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <vector>

#include "native/text/unicode.h"

namespace text {
namespace {

struct Decomposition {
  char32_t code;
  uint16_t begin, size;  // in the array of characters beside it
};
struct Composition {
  char32_t first, second, composed;
};

#include "native/text/normalization.inc"

// Bits of a kind.
constexpr uint16_t kCombiningClass = 0xFF;
constexpr uint16_t kComposesWithBefore = 0x1000;
constexpr uint16_t ChangedBy(NormalizationForm form) {
  switch (form) {
    case NormalizationForm::kNfd:
      return 0x100;
    case NormalizationForm::kNfkd:
      return 0x200;
    case NormalizationForm::kNfc:
      return 0x400;
    case NormalizationForm::kNfkc:
      return 0x800;
  }
  return 0;
}

constexpr bool Composes(NormalizationForm form) {
  return form == NormalizationForm::kNfc || form == NormalizationForm::kNfkc;
}

uint16_t KindOf(char32_t code) {
  if (code >= kFirstPlain) return 0;
  return kKinds[kKindBlocks[kKindIndex[code / kKindBlock] * kKindBlock + code % kKindBlock]];
}

// Hangul syllables follow from their number (the Unicode standard, section 3.12).
constexpr char32_t kSyllables = 0xAC00, kLeads = 0x1100, kVowels = 0x1161, kTails = 0x11A7;  // the first tail is none
constexpr char32_t kLeadCount = 19, kVowelCount = 21, kTailCount = 28;
constexpr char32_t kSyllableCount = kLeadCount * kVowelCount * kTailCount;

char32_t Compose(char32_t first, char32_t second) {
  if (first - kLeads < kLeadCount && second - kVowels < kVowelCount)
    return kSyllables + ((first - kLeads) * kVowelCount + (second - kVowels)) * kTailCount;
  if (first - kSyllables < kSyllableCount && (first - kSyllables) % kTailCount == 0 && second > kTails &&
      second < kTails + kTailCount)
    return first + (second - kTails);
  const Composition* found =
      std::lower_bound(std::begin(kCompositions), std::end(kCompositions), Composition{first, second, 0},
                       [](const Composition& a, const Composition& b) {
                         return a.first != b.first ? a.first < b.first : a.second < b.second;
                       });
  return found != std::end(kCompositions) && found->first == first && found->second == second ? found->composed : 0;
}

template <size_t size, size_t characters_size>
std::u32string_view Find(const Decomposition (&table)[size], const char32_t (&characters)[characters_size],
                         char32_t code) {
  const Decomposition* found =
      std::lower_bound(table, table + size, code, [](const Decomposition& each, char32_t c) { return each.code < c; });
  if (found == table + size || found->code != code) return {};
  return {characters + found->begin, found->size};
}

// Normalizes characters that come one after another. Holds a starter and the marks behind it only.
class Normalizer {
 public:
  Normalizer(NormalizationForm form, std::string* out) : form_(form), out_(out) {}

  void Push(char32_t code, uint16_t kind) {
    if ((kind & (form_ == NormalizationForm::kNfd || form_ == NormalizationForm::kNfc
                     ? ChangedBy(NormalizationForm::kNfd)
                     : ChangedBy(NormalizationForm::kNfkd))) == 0) {
      PushDecomposed(code, kind);
    } else if (code - kSyllables < kSyllableCount) {
      const char32_t syllable = code - kSyllables;
      PushDecomposed(kLeads + syllable / kTailCount / kVowelCount, 0);
      PushDecomposed(kVowels + syllable / kTailCount % kVowelCount, kComposesWithBefore);
      if (syllable % kTailCount != 0) PushDecomposed(kTails + syllable % kTailCount, kComposesWithBefore);
    } else {
      std::u32string_view to;
      if (form_ == NormalizationForm::kNfkd || form_ == NormalizationForm::kNfkc)
        to = text::Find(kCompatible, kCompatibleCharacters, code);
      if (to.empty()) to = text::Find(kCanonical, kCanonicalCharacters, code);
      for (const char32_t each : to) PushDecomposed(each, KindOf(each));
    }
  }

  void Flush() {
    SortMarks();
    if (has_starter_) AppendUtf8(starter_, out_);
    for (const uint32_t mark : marks_) AppendUtf8(mark & kCode, out_);
    has_starter_ = false;
    marks_.clear();
  }

 private:
  static constexpr int kClassShift = 24;
  static constexpr uint32_t kCode = (1u << kClassShift) - 1;

  void PushDecomposed(char32_t code, uint16_t kind) {
    if (const uint32_t combining_class = kind & kCombiningClass) {
      marks_.push_back(combining_class << kClassShift | code);
      return;
    }
    if (Composes(form_) && has_starter_ && (kind & kComposesWithBefore) != 0) {
      SortMarks();  // they may all vanish into the starter
      const char32_t composed = marks_.empty() ? Compose(starter_, code) : 0;
      if (composed != 0) {
        starter_ = composed;
        return;
      }
    }
    Flush();
    starter_ = code;
    has_starter_ = true;
  }

  // Into the canonical order, and of those that the starter takes up none is left.
  void SortMarks() {
    const auto by_class = [](uint32_t a, uint32_t b) { return a >> kClassShift < b >> kClassShift; };
    if (!std::is_sorted(marks_.begin(), marks_.end(), by_class))
      std::stable_sort(marks_.begin(), marks_.end(), by_class);
    if (!Composes(form_) || !has_starter_) return;
    size_t kept = 0;
    for (const uint32_t mark : marks_) {
      const bool is_blocked = kept > 0 && marks_[kept - 1] >> kClassShift >= mark >> kClassShift;
      const char32_t composed = is_blocked ? 0 : Compose(starter_, mark & kCode);
      if (composed != 0) {
        starter_ = composed;
      } else {
        marks_[kept++] = mark;
      }
    }
    marks_.resize(kept);
  }

  NormalizationForm form_;
  std::string* out_;
  char32_t starter_ = 0;
  bool has_starter_ = false;
  std::vector<uint32_t> marks_;  // in the order of the text; the class above the code
};

// How many bytes of the start are normalized whatever follows them. Each ends before a character that neither changes nor
// combines with what is before it, so that what follows can be normalized by itself.
size_t NormalizedPrefix(NormalizationForm form, std::string_view utf8, size_t at) {
  const uint16_t changes = ChangedBy(form) | (Composes(form) ? kComposesWithBefore : 0);
  size_t boundary = at;
  uint16_t class_before = 0;
  while (at < utf8.size()) {
    if (static_cast<uint8_t>(utf8[at]) < 0x80) {
      boundary = at++;
      class_before = 0;
      continue;
    }
    const auto [code, size] = CharacterAt(utf8, at);
    const uint16_t kind = KindOf(code);
    if (kind == 0) {
      boundary = at;
    } else if ((kind & changes) != 0) {
      return boundary;
    } else {
      const uint16_t combining_class = kind & kCombiningClass;
      if (combining_class == 0) {
        boundary = at;
      } else if (combining_class < class_before) {
        return boundary;
      }
    }
    class_before = kind & kCombiningClass;
    at += size;
  }
  return at;
}

}  // namespace

bool IsNormalized(NormalizationForm form, std::string_view utf8) {
  return NormalizedPrefix(form, utf8, 0) == utf8.size();
}

void Normalize(NormalizationForm form, std::string_view utf8, std::string* out) {
  const uint16_t stays_with_before = ChangedBy(form) | kComposesWithBefore | kCombiningClass;
  Normalizer normalizer(form, out);
  size_t at = 0;
  while (true) {
    const size_t end = NormalizedPrefix(form, utf8, at);
    out->append(utf8, at, end - at);
    at = end;
    if (at == utf8.size()) return;
    // From the last boundary to the next one, which is at least one character further.
    bool is_first = true;
    while (at < utf8.size()) {
      const auto [code, size] = CharacterAt(utf8, at);
      const uint16_t kind = KindOf(code);
      if (!is_first && (kind & stays_with_before) == 0) break;
      is_first = false;
      normalizer.Push(code, kind);
      at += size;
    }
    normalizer.Flush();
  }
}

}  // namespace text
