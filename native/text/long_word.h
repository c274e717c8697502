#ifndef TEXT_LONG_WORD_H_
#define TEXT_LONG_WORD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <unordered_map>
#include <vector>

#include "native/text/bpe.h"
#include "native/text/slice.h"

namespace text {

// The merges of a word of any length, step by step: n log n at worst, and in practice linear. Takes some 16 bytes for a symbol.
class LongWord {
 public:
  LongWord(const Bpe& bpe, std::vector<int32_t> symbols);

  // Appends the tokens, and is true once all are there.
  bool Continue(Slice* slice, std::vector<int32_t>* tokens);

 private:
  // Where the left one of two symbols is that a merge could join, from left to right. Most come in order, those of the
  // word's start even all; one heap for all ranks and places would take many times as long.
  struct Places {
    std::vector<uint32_t> in_order;
    size_t next = 0;  // of in_order
    std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> late;

    bool empty() const { return next == in_order.size() && late.empty(); }
    void Push(uint32_t place);
    uint32_t Pop();
  };
  enum class Phase { kStart, kMerge, kCollect };

  bool Start(Slice* slice);
  bool Merge(Slice* slice);
  bool Collect(Slice* slice, std::vector<int32_t>* tokens);
  void Push(uint32_t at);

  const Bpe& bpe_;
  Phase phase_ = Phase::kStart;
  std::vector<int32_t> symbols_;  // -1: joined to the one before
  std::vector<uint32_t> previous_, following_;
  std::unordered_map<uint32_t, Places> places_;                                  // by Bpe::OrderOf
  std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> orders_;  // of places_
  size_t collected_ = 0;
};

}  // namespace text

#endif  // TEXT_LONG_WORD_H_
