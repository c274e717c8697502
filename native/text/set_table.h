#ifndef TEXT_SET_TABLE_H_
#define TEXT_SET_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "native/text/char_set.h"
#include "native/text/unicode.h"

namespace text {

// What may come next: the first byte of a character, or the end of the text.
struct FirstBytes {
  std::array<uint64_t, 4> bytes{};
  bool end = false;

  static FirstBytes All();
  static FirstBytes Of(char32_t character);
  void Add(uint8_t byte) { bytes[byte >> 6] |= uint64_t{1} << (byte & 63); }
  void Add(const FirstBytes& other);
  bool Has(uint8_t byte) const { return (bytes[byte >> 6] >> (byte & 63) & 1) != 0; }
  bool HasAny(const FirstBytes& other) const;
};

// A set of characters made for asking. Most answers come from the first byte alone.
class SetTable {
 public:
  explicit SetTable(const CharSet& set);

  enum class Answer : uint8_t { kOut, kIn, kDependsOnRest };
  Answer OfFirstByte(uint8_t byte) const { return of_byte_[byte]; }

  // The bytes of the character at `at` if it is in the set, else 0. `at` must be before the end.
  size_t Match(std::string_view text, size_t at) const {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (byte < 0x80 || of_byte_[byte] == Answer::kOut) return of_byte_[byte] == Answer::kIn ? 1 : 0;
    const auto [code, size] = CharacterAt(text, at);
    return Contains(code) ? size : 0;
  }
  bool Contains(char32_t code) const {
    if (code < 0x10000) return (words_[word_of_[code >> 6]] >> (code & 63) & 1) != 0;
    return above_.Contains(code);
  }
  FirstBytes first_bytes() const;

 private:
  std::array<Answer, 256> of_byte_{};
  std::array<uint16_t, 1024> word_of_{};  // by code / 64, below U+10000
  std::vector<uint64_t> words_;           // a bit for each of 64 characters
  CharSet above_;                         // from U+10000 on
};

}  // namespace text

#endif  // TEXT_SET_TABLE_H_
