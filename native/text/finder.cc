#include "native/text/finder.h"

#include <string.h>

#include <algorithm>

#include "native/text/unicode.h"

namespace text {
namespace {

constexpr size_t kWindow = size_t{1} << 16;  // bytes between two looks at the slice

bool Is(Finder::Characters characters, char32_t code) {
  switch (characters) {
    case Finder::Characters::kNumeric:
      return IsNumeric(code);
    case Finder::Characters::kWhitespace:
      return IsWhitespace(code);
    case Finder::Characters::kPunctuation:
      return IsPunctuation(code);
  }
  return false;
}

}  // namespace

MatchReader::State MatchReader::Next(Slice* slice, Pattern::Match* match) {
  if (const auto* text = std::get_if<std::string>(&finder_.target_)) return NextString(*text, slice, match);
  if (const auto* pattern = std::get_if<Pattern>(&finder_.target_)) return NextPattern(*pattern, slice, match);
  if (std::holds_alternative<Finder::Words>(finder_.target_)) return NextWord(slice, match);
  return NextCharacter(std::get<Finder::Characters>(finder_.target_), slice, match);
}

MatchReader::State MatchReader::NextCharacter(Finder::Characters characters, Slice* slice, Pattern::Match* match) {
  while (at_ < utf8_.size()) {
    const size_t begin = at_;
    const size_t stop = std::min(utf8_.size(), begin + kWindow);
    while (at_ < stop) {
      const Utf8Character character = CharacterAt(utf8_, at_);
      at_ += character.size;
      if (!Is(characters, character.code)) continue;
      *match = {at_ - character.size, at_};
      return State::kMatch;
    }
    if (slice->IsOver(at_ - begin)) return State::kPending;
  }
  return State::kEnd;
}

MatchReader::State MatchReader::NextWord(Slice* slice, Pattern::Match* match) {
  while (at_ < utf8_.size()) {
    const Utf8Character character = CharacterAt(utf8_, at_);
    const bool is_space = IsWhitespace(character.code);
    if (word_begin_ && (is_space || IsWord(character.code) != IsWord(CharacterAt(utf8_, *word_begin_).code))) break;
    if (!word_begin_ && !is_space) word_begin_ = at_;
    at_ += character.size;
    if (slice->IsOver(character.size)) return State::kPending;
  }
  if (!word_begin_) return State::kEnd;
  *match = {*word_begin_, at_};
  word_begin_.reset();
  return State::kMatch;
}

MatchReader::State MatchReader::NextString(const std::string& text, Slice* slice, Pattern::Match* match) {
  while (at_ < utf8_.size()) {
    const size_t window = std::min(utf8_.size() - at_, kWindow + text.size() - 1);
    const void* found = memmem(utf8_.data() + at_, window, text.data(), text.size());
    if (found != nullptr) {
      const auto begin = static_cast<size_t>(static_cast<const char*>(found) - utf8_.data());
      at_ = begin + text.size();
      *match = {begin, at_};
      return State::kMatch;
    }
    const bool is_last = window == utf8_.size() - at_;
    at_ = is_last ? utf8_.size() : at_ + kWindow;
    if (!is_last && slice->IsOver(kWindow)) return State::kPending;
  }
  return State::kEnd;
}

// An empty match directly behind the match before is left out, as the Rust crate `onig` does.
MatchReader::State MatchReader::NextPattern(const Pattern& pattern, Slice* slice, Pattern::Match* match) {
  while (at_ <= utf8_.size()) {
    // One search cannot be interrupted. It may pass over all that is left a few times.
    StepBudget search{std::min<uint64_t>(budget_->left, 16 * (utf8_.size() - at_) + 50'000)};
    const uint64_t before = search.left;
    const auto found = pattern.Find(utf8_, at_, &search);
    budget_->left -= before - search.left;
    if (!found) break;
    const bool is_again = found->begin == found->end && last_end_ == found->end;
    if (is_again) {
      at_ = found->end + (found->end < utf8_.size() ? CharacterAt(utf8_, found->end).size : 1);
      if (slice->IsOver(1)) return State::kPending;
      continue;
    }
    at_ = found->end;
    last_end_ = found->end;
    *match = *found;
    return State::kMatch;
  }
  at_ = utf8_.size() + 1;
  return State::kEnd;
}

}  // namespace text
