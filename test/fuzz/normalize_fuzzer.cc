// Normalized text is text, stays as it is when it is normalized again, and is no longer than the header says.
#include "native/text/normalize.h"

#include <string>

#include "fuzz.h"
#include "input.h"
#include "plain_utf8.h"

namespace {

using text::NormalizationForm;

std::string Normalized(NormalizationForm form, const std::string& utf8) {
  std::string out;
  text::Normalize(form, utf8, &out);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text = fuzz::PlainDecode({reinterpret_cast<const char*>(data), size}, fuzz::End::kFinal);
  const std::string nfd = Normalized(NormalizationForm::kNfd, text);
  const std::string nfkd = Normalized(NormalizationForm::kNfkd, text);
  for (const NormalizationForm form :
       {NormalizationForm::kNfc, NormalizationForm::kNfd, NormalizationForm::kNfkc, NormalizationForm::kNfkd}) {
    const bool is_compatible = form == NormalizationForm::kNfkc || form == NormalizationForm::kNfkd;
    const std::string once = Normalized(form, text);
    fuzz::Require(fuzz::PlainDecode(once, fuzz::End::kFinal) == once, "normalized text is UTF-8", text);
    fuzz::Require(Normalized(form, once) == once, "normalized text stays as it is", text);
    fuzz::Require(Normalized(form, is_compatible ? nfkd : nfd) == once, "what is equivalent becomes the same", text);
    fuzz::Require(once.size() <= text.size() * (is_compatible ? 11 : 3), "text grows within its bound", text);
    fuzz::Require(!text::IsNormalized(form, text) || once == text, "what is normalized does not change", text);
  }
  return 0;
}
