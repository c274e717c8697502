#ifndef TEXT_NORMALIZE_H_
#define TEXT_NORMALIZE_H_

#include <string>
#include <string_view>

namespace text {

enum class NormalizationForm { kNfc, kNfd, kNfkc, kNfkd };

// Appends the normalization form (Unicode Standard Annex 15) of valid UTF-8 to `out`. Time is n log n at worst, for text of
// combining marks alone. NFKC and NFKD take up to 11 times the bytes of `utf8`, NFC and NFD up to 3 times.
void Normalize(NormalizationForm form, std::string_view utf8, std::string* out);

// Whether a fast look finds that `utf8` is normalized already. False may be wrong, true is not.
bool IsNormalized(NormalizationForm form, std::string_view utf8);

}  // namespace text

#endif  // TEXT_NORMALIZE_H_
