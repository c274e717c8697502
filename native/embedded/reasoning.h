// Whether an output is still in its reasoning, which a grammar does not hold.
#ifndef EMBEDDED_REASONING_H_
#define EMBEDDED_REASONING_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace embedded {

// The bytes of each token, back to back.
struct TokenBytes {
  std::vector<uint8_t> bytes;
  std::vector<uint32_t> offsets;  // [tokens + 1]
};

// ExecutorReasoning.
struct ReasoningMarks {
  std::vector<int32_t> begins;
  std::vector<std::string> ends;
};

class Reasoning {
 public:
  // `tokens` are borrowed.
  Reasoning(ReasoningMarks marks, const TokenBytes* tokens);

  // A token of the output came; false where the reasoning is over and it is the grammar's.
  bool Take(int32_t token);
  // The next token may be one that begins it, or the grammar's first.
  bool may_begin() const { return state_ == State::kMayBegin; }
  bool is_over() const { return state_ == State::kOver; }
  const std::vector<int32_t>& begins() const { return marks_.begins; }

 private:
  enum class State { kMayBegin, kInside, kOver };

  ReasoningMarks marks_;
  const TokenBytes* tokens_;
  State state_;
  std::string tail_;  // of its text: what an end can still begin in
  size_t longest_end_ = 0;
};

}  // namespace embedded

#endif  // EMBEDDED_REASONING_H_
