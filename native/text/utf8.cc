#include "native/text/utf8.h"

#include <cstring>

#include "native/text/unicode.h"

namespace text {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";  // U+FFFD

size_t AsciiPrefix(const char* bytes, size_t size) {
  size_t i = 0;
  for (uint64_t eight; i + sizeof(eight) <= size; i += sizeof(eight)) {
    std::memcpy(&eight, bytes + i, sizeof(eight));
    if ((eight & 0x8080808080808080) != 0) break;
  }
  while (i < size && static_cast<uint8_t>(bytes[i]) < 0x80) ++i;
  return i;
}

}  // namespace

void Utf8Decoder::Append(std::string_view bytes, std::string* out) {
  while (!bytes.empty()) {
    if (missing_ == 0) {
      const size_t ascii = AsciiPrefix(bytes.data(), bytes.size());
      out->append(bytes.data(), ascii);
      bytes.remove_prefix(ascii);
      if (bytes.empty()) return;
    }
    AppendByte(static_cast<uint8_t>(bytes.front()), out);
    bytes.remove_prefix(1);
  }
}

// The ranges are those of table 3-7 of the Unicode standard: they leave out overlong forms, surrogates and what is
// above U+10FFFF at the first byte that shows it, which is what makes the replaced part maximal.
void Utf8Decoder::AppendByte(uint8_t byte, std::string* out) {
  if (missing_ > 0) {
    if (byte < lowest_ || byte > highest_) {
      Finish(out);
      AppendByte(byte, out);
      return;
    }
    unfinished_[unfinished_size_++] = static_cast<char>(byte);
    lowest_ = 0x80;
    highest_ = 0xBF;
    if (--missing_ == 0) out->append(unfinished_, unfinished_size_);
    return;
  }
  if (byte < 0x80) {
    out->push_back(static_cast<char>(byte));
    return;
  }
  if (byte < 0xC2 || byte > 0xF4) {
    out->append(kReplacement);
    return;
  }
  missing_ = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
  lowest_ = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
  highest_ = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
  unfinished_[0] = static_cast<char>(byte);
  unfinished_size_ = 1;
}

void Utf8Decoder::Finish(std::string* out) {
  if (missing_ > 0) out->append(kReplacement);
  missing_ = 0;
}

void AppendUtf16(std::u16string_view utf16, std::string* out) {
  for (size_t i = 0; i < utf16.size(); ++i) {
    const char32_t unit = utf16[i];
    if (unit < 0x80) {
      out->push_back(static_cast<char>(unit));
    } else if (unit < 0xD800 || unit > 0xDFFF) {
      AppendUtf8(unit, out);
    } else if (unit < 0xDC00 && i + 1 < utf16.size() && utf16[i + 1] >= 0xDC00 && utf16[i + 1] <= 0xDFFF) {
      AppendUtf8(0x10000 + ((unit - 0xD800) << 10) + (utf16[++i] - 0xDC00), out);
    } else {
      out->append(kReplacement);
    }
  }
}

std::string ToUtf8(std::string_view bytes) {
  Utf8Decoder decoder;
  std::string valid;
  decoder.Append(bytes, &valid);
  decoder.Finish(&valid);
  return valid;
}

size_t Utf16Length(std::string_view utf8) {
  size_t units = 0;
  for (const char c : utf8) {
    const auto byte = static_cast<uint8_t>(c);
    units += (byte & 0xC0) != 0x80;  // a character's first byte
    units += byte >= 0xF0;           // above U+FFFF: a surrogate pair
  }
  return units;
}

}  // namespace text
