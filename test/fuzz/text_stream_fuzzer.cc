// However tokens are cut into Push calls, TextStream gives the text that plain code makes of all of them at once: valid
// UTF-8 up to the first stop string.
#include "native/text/text_stream.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fuzz.h"
#include "input.h"
#include "plain_stop_strings.h"

namespace {

struct Case {
  std::vector<std::string> tokens;
  std::vector<uint8_t> special;
  text::LeadingSpace leading_space;
  text::SpecialTokens special_tokens;
  std::vector<std::string> stops;
  std::vector<int32_t> output;
};

Case ReadCase(FuzzedDataProvider* input) {
  Case read;
  fuzz::Strings strings(input);
  read.stops = strings.Stops(8);
  read.leading_space = input->ConsumeBool() ? text::LeadingSpace::kStrip : text::LeadingSpace::kKeep;
  read.special_tokens = input->ConsumeBool() ? text::SpecialTokens::kKeep : text::SpecialTokens::kSkip;
  for (int left = input->ConsumeIntegralInRange(1, 24); left > 0; --left) {
    read.tokens.push_back(strings.Bytes(6));
    read.special.push_back(input->ConsumeIntegralInRange(0, 7) == 0 ? 1 : 0);
  }
  const auto vocab_size = static_cast<int32_t>(read.tokens.size());
  for (int left = input->ConsumeIntegralInRange(0, 64); left > 0; --left)
    read.output.push_back(input->ConsumeIntegralInRange(-1, vocab_size));  // one id too low, one too high
  return read;
}

std::shared_ptr<const text::Vocabulary> VocabularyOf(const Case& read) {
  std::vector<uint8_t> bytes;
  std::vector<uint32_t> offsets = {0};
  for (const std::string& token : read.tokens) {
    bytes.insert(bytes.end(), token.begin(), token.end());
    offsets.push_back(static_cast<uint32_t>(bytes.size()));
  }
  return std::make_shared<text::Vocabulary>(std::move(bytes), std::move(offsets), read.special, read.leading_space);
}

// The text of the first `count` tokens, without regard to stop strings.
std::string PlainText(const Case& read, size_t count, fuzz::End end) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i) {
    const auto token = static_cast<size_t>(read.output[i]);  // -1 becomes an id above any vocabulary
    if (token >= read.tokens.size()) continue;
    if (read.special[token] != 0 && read.special_tokens == text::SpecialTokens::kSkip) continue;
    bytes += read.tokens[token];
  }
  if (read.leading_space == text::LeadingSpace::kStrip && !bytes.empty() && bytes.front() == ' ') bytes.erase(0, 1);
  return fuzz::PlainDecode(bytes, end);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  const Case read = ReadCase(&input);
  const std::string whole = PlainText(read, read.output.size(), fuzz::End::kFinal);
  const auto expected = fuzz::PlainFind(whole, read.stops);
  const std::string expected_text = expected ? whole.substr(0, expected->end - expected->size) : whole;

  text::TextStream stream(VocabularyOf(read), std::make_shared<text::StopStrings>(read.stops), read.special_tokens);
  std::string text;
  std::optional<text::StopMatch> match;
  size_t pushed = 0;
  while (pushed < read.output.size() && !match) {
    const size_t left = read.output.size() - pushed;
    const size_t count = input.remaining_bytes() > 0 ? input.ConsumeIntegralInRange<size_t>(0, left) : left;
    match = stream.Push(read.output.data() + pushed, count, &text);
    fuzz::Require(text == expected_text.substr(0, text.size()), "what was given out is the start of the text:", text);
    if (match) match->tokens += pushed;
    pushed += count;
  }
  if (!match) stream.Finish(&text);

  fuzz::Require(text == expected_text, "the text is that of all tokens at once:", text + " / " + expected_text);
  fuzz::Require(fuzz::IsUtf8(text), "the text is UTF-8:", text);
  for (const std::string& stop : read.stops)
    fuzz::Require(text.find(stop) == std::string::npos, "no stop string is in the text:", text);

  // Only an unfinished character at the end can complete a stop string that no token did.
  const bool by_token = expected && expected->end <= PlainText(read, read.output.size(), fuzz::End::kOpen).size();
  fuzz::Require(match.has_value() == by_token, "Push tells of the stop string");
  if (!match) return 0;
  fuzz::Require(match->stop_index == expected->index, "Push tells which stop string it was");
  size_t tokens = 1;
  while (PlainText(read, tokens, fuzz::End::kOpen).size() < expected->end) ++tokens;
  fuzz::Require(match->tokens == tokens, "Push tells which token completed it");
  return 0;
}
