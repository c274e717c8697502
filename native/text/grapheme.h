#ifndef TEXT_GRAPHEME_H_
#define TEXT_GRAPHEME_H_

#include <cstdint>

namespace text {

// Tells where a text's grapheme clusters begin: what a reader takes for one character. As Unicode's annex 29 has it, but
// for rule GB9c, which joins consonants of Indic scripts.
class GraphemeReader {
 public:
  // Given the characters of one cluster, one after another, and then the first of the next: true for the first of each. After
  // the first of the next one a new reader goes on.
  bool Begins(char32_t code);

 private:
  enum class Kind : uint8_t {
    kNone,
    kCr,
    kLf,
    kControl,
    kExtend,
    kJoiner,
    kPrepend,
    kSpacing,
    kRegional,
    kL,
    kV,
    kT,
    kLv,
    kLvt,
    kPictograph,
    kOther
  };
  static Kind KindOf(char32_t code);

  Kind last_ = Kind::kNone;
  bool is_flag_half_ = false;      // an odd number of regional indicators
  bool is_pictograph_ = false;     // a pictograph, and then only extensions
  bool joins_pictograph_ = false;  // and then a joiner
};

}  // namespace text

#endif  // TEXT_GRAPHEME_H_
