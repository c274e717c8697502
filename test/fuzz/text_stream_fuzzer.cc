// However tokens are cut into Push calls, TextStream gives the text that plain code makes of all of them at once: valid
// UTF-8 up to the first stop string, which is in the text or in that with the special tokens that are left out.
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

bool IsHidden(const Case& read, size_t place) {
  const auto token = static_cast<size_t>(read.output[place]);
  return token < read.tokens.size() && read.special[token] != 0 && read.special_tokens == text::SpecialTokens::kSkip;
}

struct Expected {
  std::string text;
  std::optional<size_t> stop;
  size_t tokens = 0;  // up to the one that completed the stop string
};

// Both texts byte by byte: the one that is given out, and the one with what is left out of it.
Expected PlainStop(const Case& read) {
  std::string shown, all;
  std::vector<size_t> shown_before;  // by place in `all`: bytes of `shown` before it
  for (size_t i = 0; i <= read.output.size(); ++i) {
    const bool is_end = i == read.output.size(), is_hidden = !is_end && IsHidden(read, i);
    const std::string now = is_end ? PlainText(read, i, fuzz::End::kFinal) : PlainText(read, i + 1, fuzz::End::kOpen);
    for (const char byte : is_hidden ? read.tokens[static_cast<size_t>(read.output[i])] : now.substr(shown.size())) {
      shown_before.push_back(shown.size());
      all += byte;
      if (!is_hidden) shown += byte;
      const auto match = is_hidden ? std::nullopt : fuzz::PlainFind(shown, read.stops);
      if (match) return {shown.substr(0, match->end - match->size), match->index, i + 1};
      if (const auto other = fuzz::PlainFind(all, read.stops))
        return {shown.substr(0, shown_before[other->end - other->size]), other->index, i + 1};
    }
  }
  return {shown, std::nullopt, 0};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  const Case read = ReadCase(&input);
  const Expected expected = PlainStop(read);

  text::TextStream stream(VocabularyOf(read), {std::make_shared<text::StopStrings>(read.stops), read.special_tokens});
  std::string text;
  std::optional<text::StopMatch> match;
  size_t pushed = 0;
  while (pushed < read.output.size() && !match) {
    const size_t left = read.output.size() - pushed;
    const size_t count = input.remaining_bytes() > 0 ? input.ConsumeIntegralInRange<size_t>(0, left) : left;
    match = stream.Push(read.output.data() + pushed, count, &text);
    fuzz::Require(text == expected.text.substr(0, text.size()), "what was given out is the start of the text:", text);
    if (match) match->tokens += pushed;
    pushed += count;
  }
  if (!match) stream.Finish(&text);

  fuzz::Require(text == expected.text, "the text is that of all tokens at once:", text + " / " + expected.text);
  fuzz::Require(fuzz::IsUtf8(text), "the text is UTF-8:", text);
  for (const std::string& stop : read.stops)
    fuzz::Require(text.find(stop) == std::string::npos, "no stop string is in the text:", text);

  // Only an unfinished character at the end can complete a stop string that no token did.
  const bool by_token = expected.stop && expected.tokens <= read.output.size();
  fuzz::Require(match.has_value() == by_token, "Push tells of the stop string");
  if (!match) return 0;
  fuzz::Require(match->stop_index == *expected.stop, "Push tells which stop string it was");
  fuzz::Require(match->tokens == expected.tokens, "Push tells which token completed it");
  return 0;
}
