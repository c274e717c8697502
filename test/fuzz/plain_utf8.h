// UTF-8 by its definition, code point by code point: the plain twin of text::Utf8Decoder.
#ifndef TEST_FUZZ_PLAIN_UTF8_H_
#define TEST_FUZZ_PLAIN_UTF8_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fuzz {

// Whether bytes can follow `start` that make a character of it. None need to where it is whole.
inline bool StartsCharacter(std::string_view start, bool* whole) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(start[i]); };
  const size_t size = byte(0) < 0x80 ? 1 : byte(0) < 0xC0 ? 0 : byte(0) < 0xE0 ? 2 : byte(0) < 0xF0 ? 3 : 4;
  if (size == 0 || byte(0) >= 0xF8 || start.size() > size) return false;
  uint32_t lowest = size == 1 ? byte(0) : byte(0) & (0x7F >> size);
  uint32_t highest = lowest;
  for (size_t i = 1; i < size; ++i) {
    if (i < start.size() && (byte(i) & 0xC0) != 0x80) return false;
    lowest = lowest << 6 | (i < start.size() ? byte(i) & 0x3F : 0);
    highest = highest << 6 | (i < start.size() ? byte(i) & 0x3F : 0x3F);
  }
  *whole = start.size() == size;
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};  // a smaller one has a shorter form
  lowest = std::max(lowest, kSmallest[size]);
  highest = std::min<uint32_t>(highest, 0x10FFFF);
  const bool all_surrogates = lowest >= 0xD800 && highest <= 0xDFFF;
  return lowest <= highest && !all_surrogates;
}

enum class End { kOpen, kFinal };

// The text of the whole of `bytes`. An unfinished character at an open end is left out, at a final one it is U+FFFD.
inline std::string PlainDecode(std::string_view bytes, End end) {
  std::string text;
  while (!bytes.empty()) {
    size_t size = 0;
    bool whole = false;
    while (size < bytes.size() && !whole && StartsCharacter(bytes.substr(0, size + 1), &whole)) ++size;
    if (!whole && size == bytes.size() && end == End::kOpen) return text;
    text += whole ? std::string(bytes.substr(0, size)) : "\xEF\xBF\xBD";
    bytes.remove_prefix(std::max<size_t>(size, 1));
  }
  return text;
}

inline bool IsUtf8(std::string_view bytes) { return PlainDecode(bytes, End::kFinal) == bytes; }

}  // namespace fuzz

#endif  // TEST_FUZZ_PLAIN_UTF8_H_
