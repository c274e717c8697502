// How the fuzzers of native/text make strings of their input.
#ifndef TEST_FUZZ_INPUT_H_
#define TEST_FUZZ_INPUT_H_

#include <fuzzer/FuzzedDataProvider.h>

#include <string>
#include <string_view>
#include <vector>

#include "plain_utf8.h"

namespace fuzz {

// Any bytes, or letters of a small alphabet, so that strings often share parts: two letters, a space, and the bytes of
// U+00E9, U+20AC, U+1F600 and U+FFFD in an order that has them whole.
class Strings {
 public:
  explicit Strings(FuzzedDataProvider* input) : input_(input), few_letters_(input->ConsumeBool()) {}

  std::string Bytes(size_t max_size) {
    std::string bytes = input_->ConsumeBytesAsString(input_->ConsumeIntegralInRange<size_t>(0, max_size));
    constexpr std::string_view kAlphabet = "ab \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xEF\xBF\xBDzz";
    static_assert(kAlphabet.size() == 17);
    if (few_letters_)
      for (char& byte : bytes) byte = kAlphabet[static_cast<unsigned char>(byte) % kAlphabet.size()];
    return bytes;
  }

  // Valid UTF-8, none empty, as StopStrings wants them.
  std::vector<std::string> Stops(size_t max_size) {
    std::vector<std::string> stops;
    for (int left = input_->ConsumeIntegralInRange(0, 4); left > 0; --left) {
      std::string stop = PlainDecode(Bytes(max_size), End::kFinal);
      if (!stop.empty()) stops.push_back(std::move(stop));
    }
    return stops;
  }

 private:
  FuzzedDataProvider* input_;
  bool few_letters_;
};

}  // namespace fuzz

#endif  // TEST_FUZZ_INPUT_H_
