#include "native/text/text_stream.h"

#include <string_view>
#include <utility>

namespace text {

TextStream::TextStream(std::shared_ptr<const Vocabulary> vocabulary, std::shared_ptr<const StopStrings> stops,
                       SpecialTokens special_tokens)
    : vocabulary_(std::move(vocabulary)),
      stops_(std::move(stops)),
      special_tokens_(special_tokens),
      strip_space_(vocabulary_->leading_space() == LeadingSpace::kStrip) {
  if (stops_) matcher_.emplace(*stops_);
}

std::optional<StopMatch> TextStream::Push(const int32_t* tokens, size_t count, std::string* out) {
  // The matcher holds back text that may be the start of a stop string. Append it first, and give its new end back to the
  // matcher afterwards, so that `out` is the only buffer.
  if (matcher_) out->append(matcher_->held());
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = out->size();
    AppendToken(tokens[i], out);
    if (!matcher_) continue;
    if (const auto match = matcher_->Scan(std::string_view(*out).substr(begin))) {
      out->resize(begin + match->end - match->size);
      return StopMatch{match->index, i + 1};
    }
  }
  if (matcher_) out->resize(out->size() - matcher_->held().size());
  return std::nullopt;
}

void TextStream::Finish(std::string* out) {
  if (matcher_) out->append(matcher_->held());
  const size_t begin = out->size();
  decoder_.Finish(out);
  if (!matcher_) return;
  if (const auto match = matcher_->Scan(std::string_view(*out).substr(begin)))
    out->resize(begin + match->end - match->size);
}

void TextStream::AppendToken(int32_t token, std::string* out) {
  if (special_tokens_ == SpecialTokens::kSkip && vocabulary_->IsSpecial(token)) return;
  std::string_view bytes = vocabulary_->Bytes(token);
  if (bytes.empty()) return;
  if (strip_space_ && bytes.front() == ' ') bytes.remove_prefix(1);
  strip_space_ = false;
  decoder_.Append(bytes, out);
}

}  // namespace text
