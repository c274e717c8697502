#ifndef TEXT_PRECOMPILED_H_
#define TEXT_PRECOMPILED_H_

#include <array>
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
  // Throws std::invalid_argument, which says what was found and expected, where `base64` is none.
  explicit CharacterMap(std::string_view base64);

  // What becomes of a text of few bytes: the replacement of the shortest beginning of it that has one. The rest of it is not
  // looked at, as Hugging Face tokenizers have it. Throws TokenizerError where the map is damaged.
  std::optional<std::string_view> Find(std::string_view utf8) const;
  // Whether the ASCII character stays as it is.
  bool Keeps(char ascii) const { return keeps_[static_cast<uint8_t>(ascii) & 0x7F]; }

 private:
  std::vector<uint32_t> units_;
  std::string replacements_;  // each ends in a zero
  std::array<bool, 128> keeps_{};
};

}  // namespace text

#endif  // TEXT_PRECOMPILED_H_
