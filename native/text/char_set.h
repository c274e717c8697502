#ifndef TEXT_CHAR_SET_H_
#define TEXT_CHAR_SET_H_

#include <vector>

namespace text {

constexpr char32_t kLastCharacter = 0x10FFFF;

struct CharRange {
  char32_t first, last;
};
inline bool operator==(const CharRange& a, const CharRange& b) { return a.first == b.first && a.last == b.last; }

// A set of characters as ranges: in order, none touching another.
class CharSet {
 public:
  CharSet() = default;
  explicit CharSet(std::vector<CharRange> ranges);  // in any order

  static CharSet Of(char32_t character) { return CharSet({{character, character}}); }
  static CharSet All() { return CharSet({{0, kLastCharacter}}); }

  const std::vector<CharRange>& ranges() const { return ranges_; }
  bool empty() const { return ranges_.empty(); }
  bool Contains(char32_t character) const;

  CharSet Union(const CharSet& other) const;
  CharSet Intersection(const CharSet& other) const;
  CharSet Complement() const;

 private:
  std::vector<CharRange> ranges_;
};

}  // namespace text

#endif  // TEXT_CHAR_SET_H_
