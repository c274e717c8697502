#include "native/text/text_stream.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace text {

TextStream::TextStream(std::shared_ptr<const Vocabulary> vocabulary, TextSettings settings, size_t min_tokens)
    : vocabulary_(std::move(vocabulary)),
      settings_(std::move(settings)),
      tokens_left_(min_tokens),
      strip_space_(vocabulary_->leading_space() == LeadingSpace::kStrip) {
  if (settings_.stops) matcher_.emplace(*settings_.stops);
}

void TextStream::ContinueFrom(const int32_t* tokens, size_t count) {
  strip_space_ = strip_space_ && std::none_of(tokens, tokens + count, [&](int32_t token) {
                   return IsShown(token) && !vocabulary_->Bytes(token).empty();
                 });
}

std::optional<StopMatch> TextStream::Push(const int32_t* tokens, size_t count, std::string* out) {
  out->append(held_);
  held_.clear();
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = out->size();
    if (tokens_left_ > 0) --tokens_left_;
    std::optional<size_t> stop;
    if (IsShown(tokens[i])) {
      AppendToken(tokens[i], out);
      stop = FindStop(std::string_view(*out).substr(begin), out);
    } else {
      stop = FindStopInHidden(vocabulary_->Bytes(tokens[i]), out);
    }
    if (stop) return StopMatch{*stop, i + 1};
  }
  if (!matcher_) return std::nullopt;
  size_t held = matcher_->held().size();
  if (with_hidden_) {
    std::string& shown = with_hidden_->shown;
    shown.erase(0, shown.size() - with_hidden_->matcher.held().size());
    held = std::max(held, static_cast<size_t>(std::count(shown.begin(), shown.end(), 1)));
  }
  held_.assign(*out, out->size() - held, held);
  out->resize(out->size() - held);
  return std::nullopt;
}

void TextStream::Finish(std::string* out) {
  out->append(held_);
  const size_t begin = out->size();
  decoder_.Finish(out);
  FindStop(std::string_view(*out).substr(begin), out);
}

bool TextStream::IsShown(int32_t token) const {
  const auto& [stops, special_tokens, shown] = settings_;
  return special_tokens == SpecialTokens::kKeep || !vocabulary_->IsSpecial(token) ||
         std::find(shown.begin(), shown.end(), token) != shown.end();
}

void TextStream::AppendToken(int32_t token, std::string* out) {
  std::string_view bytes = vocabulary_->Bytes(token);
  if (bytes.empty()) return;
  if (strip_space_ && bytes.front() == ' ') bytes.remove_prefix(1);
  strip_space_ = false;
  decoder_.Append(bytes, out);
}

std::optional<size_t> TextStream::FindStop(std::string_view text, std::string* out) {
  if (!matcher_) return std::nullopt;
  if (tokens_left_ > 0) {
    matcher_->Skip(text);
    if (with_hidden_) {
      with_hidden_->shown.append(text.size(), 1);
      with_hidden_->matcher.Skip(text);
    }
    return std::nullopt;
  }
  const auto match = matcher_->Scan(text);
  std::optional<StopMatcher::Match> match_with_hidden;
  if (with_hidden_) {
    with_hidden_->shown.append(text.size(), 1);
    match_with_hidden = with_hidden_->matcher.Scan(text);
  }
  if (match && (!match_with_hidden || match->end <= match_with_hidden->end)) {
    out->resize(out->size() - text.size() + match->end - match->size);
    return match->index;
  }
  if (!match_with_hidden) return std::nullopt;
  with_hidden_->Cut(text.size() - match_with_hidden->end + match_with_hidden->size, out);
  return match_with_hidden->index;
}

std::optional<size_t> TextStream::FindStopInHidden(std::string_view name, std::string* out) {
  if (!matcher_) return std::nullopt;
  if (!with_hidden_) with_hidden_.emplace(WithHidden{*matcher_, std::string(matcher_->held().size(), 1)});
  with_hidden_->shown.append(name.size(), 0);
  if (tokens_left_ > 0) {
    with_hidden_->matcher.Skip(name);
    return std::nullopt;
  }
  const auto match = with_hidden_->matcher.Scan(name);
  if (!match) return std::nullopt;
  with_hidden_->Cut(name.size() - match->end + match->size, out);
  return match->index;
}

void TextStream::WithHidden::Cut(size_t size, std::string* out) const {
  const auto cut = std::count(shown.end() - static_cast<std::ptrdiff_t>(size), shown.end(), 1);
  out->resize(out->size() - static_cast<size_t>(cut));
}

}  // namespace text
