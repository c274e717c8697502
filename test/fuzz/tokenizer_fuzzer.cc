// Any bytes as tokenizer.json are read or refused, and any text is encoded or refused, with the same ids however often it stops.
#include "native/text/tokenizer.h"

#include <fuzzer/FuzzedDataProvider.h>

#include <optional>
#include <vector>

#include "native/text/tokenizer_error.h"
#include "fuzz.h"
#include "input.h"
#include "plain_utf8.h"

namespace {

using Tokens = std::optional<std::vector<int32_t>>;

// Nothing where the text is refused.
Tokens Encode(const std::shared_ptr<const text::Tokenizer>& tokenizer, const std::string& text, uint32_t step,
              size_t max_tokens) {
  text::EncodeOptions options;
  options.max_tokens = max_tokens;
  text::EncodeTask task(tokenizer, text, options);
  try {
    for (;;) {
      text::Slice slice(text::Slice::Clock::time_point::min(), step);
      if (task.Run(&slice)) return task.TakeTokens();
    }
  } catch (const text::TokenizerError& error) {
    fuzz::Require(fuzz::IsUtf8(error.what()), "the message is UTF-8:", error.what());
    return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  const size_t repeats = input.ConsumeIntegralInRange<size_t>(1, 200);
  const std::string part = fuzz::PlainDecode(input.ConsumeRandomLengthString(64), fuzz::End::kFinal);
  std::string text;
  for (size_t i = 0; i < repeats; ++i) text += part;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  try {
    tokenizer = std::make_shared<const text::Tokenizer>(
        text::ReadTokenizerFile("tokenizer.json", input.ConsumeRemainingBytesAsString()));
  } catch (const text::TokenizerError& error) {
    fuzz::Require(fuzz::IsUtf8(error.what()), "the message is UTF-8:", error.what());
    return 0;
  }
  const Tokens tokens = Encode(tokenizer, text, 1 << 20, SIZE_MAX);
  fuzz::Require(Encode(tokenizer, text, 1, SIZE_MAX) == tokens, "stopping changes nothing");
  if (!tokens) return 0;
  for (const int32_t token : *tokens) fuzz::Require(token >= 0 && token <= text::kMaxTokenId, "ids are in their range");
  fuzz::Require(tokenizer->MayFit(text.size(), tokens->size()), "a text that fits may fit");
  fuzz::Require(Encode(tokenizer, text, 1, tokens->size()) == tokens, "a text of as many tokens as it may have is encoded");
  if (!tokens->empty())
    fuzz::Require(!Encode(tokenizer, text, 1 << 20, tokens->size() - 1), "one of more is refused");
  return 0;
}
