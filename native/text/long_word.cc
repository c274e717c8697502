#include "native/text/long_word.h"

#include <utility>

namespace text {

LongWord::LongWord(const Bpe& bpe, std::vector<int32_t> symbols) : bpe_(bpe), symbols_(std::move(symbols)) {
  previous_.reserve(symbols_.size());
  following_.reserve(symbols_.size());
}

void LongWord::Places::Push(uint32_t place) {
  if (in_order.empty() || place > in_order.back()) {
    in_order.push_back(place);
  } else {
    late.push(place);
  }
}

uint32_t LongWord::Places::Pop() {
  if (next == in_order.size() || (!late.empty() && late.top() < in_order[next])) {
    const uint32_t place = late.top();
    late.pop();
    return place;
  }
  return in_order[next++];
}

bool LongWord::Continue(Slice* slice, std::vector<int32_t>* tokens) {
  return (phase_ != Phase::kStart || Start(slice)) && (phase_ != Phase::kMerge || Merge(slice)) &&
         Collect(slice, tokens);
}

void LongWord::Push(uint32_t at) {
  if (following_[at] == symbols_.size()) return;
  const uint32_t order = bpe_.OrderOf(bpe_.RankOf(symbols_[at], symbols_[following_[at]]));
  if (order == Bpe::kNoRank) return;
  const auto [places, is_new] = places_.try_emplace(order);
  if (is_new) orders_.push(order);
  places->second.Push(at);
}

bool LongWord::Start(Slice* slice) {
  while (previous_.size() < symbols_.size()) {
    const auto at = static_cast<uint32_t>(previous_.size());
    previous_.push_back(at - 1);  // that of the first one is not looked at
    following_.push_back(at + 1);
    Push(at);
    if (slice->IsOver(1)) return false;
  }
  phase_ = Phase::kMerge;
  return true;
}

bool LongWord::Merge(Slice* slice) {
  while (!orders_.empty()) {
    if (slice->IsOver(4)) return false;
    const uint32_t order = orders_.top();
    Places& places = places_.at(order);
    if (places.empty()) {
      places_.erase(order);
      orders_.pop();
      continue;
    }
    const uint32_t at = places.Pop();
    if (symbols_[at] < 0 || following_[at] == symbols_.size()) continue;
    const uint32_t right = following_[at];
    const uint32_t rank = bpe_.RankOf(symbols_[at], symbols_[right]);
    if (bpe_.OrderOf(rank) != order) continue;  // one of the two is another by now
    symbols_[at] = bpe_.joined_[rank];
    symbols_[right] = -1;
    following_[at] = following_[right];
    if (following_[at] < symbols_.size()) previous_[following_[at]] = at;
    if (at > 0) Push(previous_[at]);
    Push(at);
  }
  phase_ = Phase::kCollect;
  return true;
}

bool LongWord::Collect(Slice* slice, std::vector<int32_t>* tokens) {
  while (collected_ < symbols_.size()) {
    if (symbols_[collected_] >= 0) tokens->push_back(symbols_[collected_]);
    ++collected_;
    if (slice->IsOver(1) && collected_ < symbols_.size()) return false;
  }
  return true;
}

}  // namespace text
