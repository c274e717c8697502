#ifndef TEXT_UTF8_H_
#define TEXT_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace text {

// Turns bytes that come in pieces into UTF-8 text. Bytes that are no UTF-8 become U+FFFD, one for each maximal subpart
// of a character (Unicode 16, section 3.9; what WHATWG's TextDecoder does), wherever the pieces were cut.
class Utf8Decoder {
 public:
  // Appends whole characters only; the bytes of an unfinished one wait for the next call.
  void Append(std::string_view bytes, std::string* out);

  // The bytes are at their end: an unfinished character becomes U+FFFD.
  void Finish(std::string* out);

 private:
  void AppendByte(uint8_t byte, std::string* out);

  char unfinished_[4];  // the first bytes of a character, unfinished_size_ of them
  uint8_t unfinished_size_ = 0;
  uint8_t missing_ = 0;    // bytes until it is whole
  uint8_t lowest_ = 0x80;  // the range its next byte must be in
  uint8_t highest_ = 0xBF;
};

// Appends UTF-16 as UTF-8; a surrogate without its other half becomes U+FFFD.
void AppendUtf16(std::u16string_view utf16, std::string* out);

// The bytes as valid UTF-8, with U+FFFD as above.
std::string ToUtf8(std::string_view bytes);

// How many UTF-16 code units, JavaScript's unit of length, valid UTF-8 text has.
size_t Utf16Length(std::string_view utf8);

}  // namespace text

#endif  // TEXT_UTF8_H_
