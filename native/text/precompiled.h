#ifndef TEXT_PRECOMPILED_H_
#define TEXT_PRECOMPILED_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace text {

// What a text is replaced by, as SentencePiece compiles it: a trie as a double array, and the replacements.
class CharacterMap {
 public:
  // How a text is looked up: character by character as a reader sees them, as Hugging Face tokenizers have it; or the longest
  // part at each place, as SentencePiece does.
  enum class Match { kClusters, kLongest };
  struct Part {
    size_t size;  // bytes of the text
    std::string_view replacement;
  };

  // Throws std::invalid_argument, which says what was found and expected, where `base64` is none.
  CharacterMap(std::string_view base64, Match match);

  Match match() const { return match_; }
  // What becomes of a text of few bytes: the replacement of the shortest beginning of it that has one. The rest of it is not
  // looked at, as Hugging Face tokenizers have it. Throws TokenizerError where the map is damaged.
  std::optional<std::string_view> Find(std::string_view utf8) const;
  // The longest beginning of the text, of few bytes, that has a replacement. Throws as Find does.
  std::optional<Part> FindLongest(std::string_view utf8) const;
  // Whether the ASCII character stays as it is.
  bool Keeps(char ascii) const { return keeps_[static_cast<uint8_t>(ascii) & 0x7F]; }

 private:
  template <typename Visit>
  void ForEachPrefix(std::string_view utf8, Visit visit) const;

  Match match_;
  std::vector<uint32_t> units_;
  std::string replacements_;  // each ends in a zero
  std::array<bool, 128> keeps_{};
};

}  // namespace text

#endif  // TEXT_PRECOMPILED_H_
