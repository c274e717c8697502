#include "native/embedded/reasoning.h"

#include <algorithm>
#include <utility>

namespace embedded {

Reasoning::Reasoning(ReasoningMarks marks, const TokenBytes* tokens)
    : marks_(std::move(marks)), tokens_(tokens), state_(marks_.begins.empty() ? State::kInside : State::kMayBegin) {
  for (const std::string& end : marks_.ends) longest_end_ = std::max(longest_end_, end.size());
}

bool Reasoning::Take(int32_t token) {
  if (state_ == State::kMayBegin) {
    const bool begins = std::find(marks_.begins.begin(), marks_.begins.end(), token) != marks_.begins.end();
    state_ = begins ? State::kInside : State::kOver;
    return begins;
  }
  if (state_ == State::kOver) return false;
  const auto id = static_cast<size_t>(token);
  if (token >= 0 && id + 1 < tokens_->offsets.size())
    tail_.append(tokens_->bytes.begin() + tokens_->offsets[id], tokens_->bytes.begin() + tokens_->offsets[id + 1]);
  // An end may lie within a token: what follows it there, white space as a rule, is nobody's.
  if (std::any_of(marks_.ends.begin(), marks_.ends.end(),
                  [&](const std::string& end) { return tail_.find(end) != std::string::npos; }))
    state_ = State::kOver;
  if (tail_.size() >= longest_end_) tail_.erase(0, tail_.size() - (longest_end_ - 1));
  return true;
}

}  // namespace embedded
