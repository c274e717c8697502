#include "native/text/normalize.h"

#include <algorithm>

namespace text {

bool IsNormalized(NormalizationForm, std::string_view utf8) {
  return std::all_of(utf8.begin(), utf8.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

void Normalize(NormalizationForm, std::string_view utf8, std::string* out) { out->append(utf8); }

}  // namespace text
