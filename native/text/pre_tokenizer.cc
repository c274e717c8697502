#include "native/text/pre_tokenizer.h"

#include <algorithm>
#include <utility>

#include "native/text/byte_level.h"
#include "native/text/unicode.h"

namespace text {
namespace {

constexpr size_t kChunk = size_t{1} << 16;

const SplitStep* SplitOf(const PreTokenizer::Step& step) {
  if (const auto* split = std::get_if<SplitStep>(&step)) return split;
  const auto* metaspace = std::get_if<MetaspaceStep>(&step);
  const auto& split = metaspace != nullptr ? metaspace->split : std::get<ByteLevelStep>(step).split;
  return split ? &*split : nullptr;
}

}  // namespace

bool PreTokenizer::MayShrink() const {
  return std::any_of(steps.begin(), steps.end(), [](const Step& step) {
    const SplitStep* split = SplitOf(step);
    return split != nullptr && split->behavior == SplitBehavior::kRemoved;
  });
}

PieceCutter::PieceCutter(const PreTokenizer& pre_tokenizer, StepBudget* budget) {
  levels_.reserve(pre_tokenizer.steps.size());
  for (const PreTokenizer::Step& step : pre_tokenizer.steps) levels_.emplace_back(step, budget);
}

void PieceCutter::Begin(std::string_view utf8, size_t first) {
  text_ = utf8;
  depth_ = 0;
  if (!levels_.empty()) levels_[0].Begin(utf8, first);
}

PieceCutter::State PieceCutter::Next(Slice* slice, std::string_view* piece) {
  if (levels_.empty()) {
    *piece = std::exchange(text_, {});
    return piece->empty() ? State::kEnd : State::kPiece;
  }
  for (;;) {
    size_t first = 0;
    switch (levels_[depth_].Next(slice, piece, &first)) {
      case State::kPending:
        return State::kPending;
      case State::kEnd:
        if (depth_ == 0) return State::kEnd;
        --depth_;
        continue;
      case State::kPiece:
        break;
    }
    if (depth_ + 1 == levels_.size()) return State::kPiece;
    levels_[++depth_].Begin(*piece, first);
  }
}

PieceCutter::Level::Level(const PreTokenizer::Step& step, StepBudget* budget)
    : step_(step), budget_(budget), split_(SplitOf(step)) {}

void PieceCutter::Level::Begin(std::string_view utf8, size_t first) {
  text_ = utf8;
  first_ = std::min(first, utf8.size());
  is_prepared_ = std::holds_alternative<SplitStep>(step_);
  own_.clear();
  read_ = 0;
  matches_.reset();
  match_.reset();
  at_ = 0;
  is_at_end_ = text_.empty();
  held_.reset();
}

bool PieceCutter::Level::Prepare(Slice* slice) {
  if (const auto* bytes = std::get_if<ByteLevelStep>(&step_)) {
    if (bytes->add_prefix_space && text_.front() != ' ') {
      own_.reserve(text_.size() + 1);
      own_.assign(1, ' ').append(text_);
      text_ = own_;
      first_ += first_ > 0 ? 1 : 0;
    }
    return true;
  }
  const auto& metaspace = std::get<MetaspaceStep>(step_);
  const std::string& replacement = metaspace.replacement;
  if (read_ == 0) {
    const bool wants = metaspace.prepend == MetaspaceStep::Prepend::kAlways ||
                       (metaspace.prepend == MetaspaceStep::Prepend::kFirst && first_ > 0);
    const bool has = text_.front() == ' ' || text_.substr(0, replacement.size()) == replacement;
    if (wants && !has) own_ = replacement;
  }
  while (read_ < text_.size()) {
    const size_t begin = read_, stop = std::min(text_.size(), begin + kChunk);
    for (; read_ < stop; ++read_) {
      if (text_[read_] == ' ') {
        own_.append(replacement);
      } else {
        own_.push_back(text_[read_]);
      }
      if (read_ + 1 == first_) own_first_ = own_.size();
    }
    if (slice->IsOver(read_ - begin) && read_ < text_.size()) return false;
  }
  if (first_ > 0) first_ = own_first_;
  text_ = own_;
  return true;
}

PieceCutter::State PieceCutter::Level::Next(Slice* slice, std::string_view* piece, size_t* first) {
  if (is_at_end_ && !held_ && !match_) return State::kEnd;
  if (!is_prepared_) {
    if (!Prepare(slice)) return State::kPending;
    is_prepared_ = true;
  }
  Range range{0, text_.size(), false};
  if (split_ == nullptr) {
    is_at_end_ = true;
  } else {
    do {
      const State state = NextPiece(slice, &range);
      if (state != State::kPiece) return state;
    } while (range.begin == range.end);
  }
  *piece = text_.substr(range.begin, range.end - range.begin);
  *first = first_ > range.begin ? first_ - range.begin : 0;
  const auto* bytes = std::get_if<ByteLevelStep>(&step_);
  if (bytes == nullptr || bytes->is_last) return State::kPiece;
  characters_.clear();
  for (const char byte : *piece) AppendUtf8(ByteLevelCharacter(static_cast<uint8_t>(byte)), &characters_);
  *piece = characters_;
  return State::kPiece;
}

// A match, or what is between two.
PieceCutter::State PieceCutter::Level::NextRange(Slice* slice, Range* range) {
  if (match_) {
    *range = *match_;
    match_.reset();
    return State::kPiece;
  }
  if (is_at_end_) return State::kEnd;
  if (!matches_) matches_.emplace(split_->finder, text_, budget_);
  Pattern::Match match{};
  switch (matches_->Next(slice, &match)) {
    case MatchReader::State::kPending:
      return State::kPending;
    case MatchReader::State::kEnd:
      is_at_end_ = true;
      if (at_ == text_.size()) return State::kEnd;
      *range = {at_, text_.size(), split_->invert};
      return State::kPiece;
    case MatchReader::State::kMatch:
      break;
  }
  *range = {match.begin, match.end, !split_->invert};
  if (match.begin > at_) {
    match_ = *range;
    *range = {at_, match.begin, split_->invert};
  }
  at_ = match.end;
  return State::kPiece;
}

PieceCutter::State PieceCutter::Level::NextPiece(Slice* slice, Range* piece) {
  const SplitBehavior behavior = split_->behavior;
  for (;;) {
    Range range{};
    const State state = NextRange(slice, &range);
    if (state == State::kPending) return State::kPending;
    if (state == State::kEnd) {
      if (!held_) return State::kEnd;
      *piece = *held_;
      held_.reset();
      return State::kPiece;
    }
    if (behavior == SplitBehavior::kIsolated || (behavior == SplitBehavior::kRemoved && !range.is_match)) {
      *piece = range;
      return State::kPiece;
    }
    if (behavior == SplitBehavior::kRemoved) {
      if (slice->IsOver(range.end - range.begin)) return State::kPending;
      continue;
    }
    if (held_) {
      const bool is_joined = behavior == SplitBehavior::kContiguous           ? held_->is_match == range.is_match
                             : behavior == SplitBehavior::kMergedWithPrevious ? range.is_match && !held_->is_match
                                                                              : held_->is_match && !range.is_match;
      if (!is_joined) {
        *piece = std::exchange(*held_, range);
        return State::kPiece;
      }
      held_->end = range.end;
      // Neither a match that took the text behind it nor a text that took the match behind it takes more.
      if (behavior == SplitBehavior::kMergedWithPrevious) held_->is_match = true;
      if (behavior == SplitBehavior::kMergedWithNext) held_->is_match = false;
    } else {
      held_ = range;
    }
    if (slice->IsOver(range.end - range.begin)) return State::kPending;
  }
}

}  // namespace text
