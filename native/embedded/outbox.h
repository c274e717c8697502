// Rows between the step thread, which adds them, and the reader, who takes all there are at once.
#ifndef EMBEDDED_OUTBOX_H_
#define EMBEDDED_OUTBOX_H_

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "embedded/request.h"
#include "executor/executor.h"

namespace embedded {

// The fields of an ExecutorBatch, with their memory. Not synchronised.
class Outbox {
 public:
  struct Row {
    uint64_t request_id;
    uint32_t sequence;
    ExecutorFinish finish = FINISH_NONE;
    uint8_t flags = 0;  // ROW_*
    Output output;
    PromptOutput prompt;
    std::optional<ExecutorRowDetails> details;  // without the pointers, which Add fills in
    std::unique_ptr<ExecutorError> error;       // null: none
  };

  explicit Outbox(int vocab_size) : vocab_size_(vocab_size) {}

  bool empty() const { return request_ids_.empty(); }
  void Add(Row row, uint64_t step);
  // The rows so far as the table gives them; valid until Clear.
  const ExecutorBatch* Batch();
  void Clear();

 private:
  // A row's details and what they point to. In a deque, so that pointers to it stay.
  struct Details {
    ExecutorRowDetails details;
    std::unique_ptr<ExecutorError> error;
    PromptOutput prompt;
    std::vector<float> generation_logits;
    ExecutorTensor context_tensor;
    ExecutorTensor generation_tensor;
  };

  const ExecutorRowDetails* AddDetails(Row* row);
  ExecutorTensor LogitsTensor(const std::vector<float>& logits) const;

  int vocab_size_;
  uint64_t step_ = 0;
  bool has_logprobs_ = false;
  bool has_top_logprobs_ = false;
  std::vector<uint64_t> request_ids_;
  std::vector<uint32_t> sequences_;
  std::vector<uint8_t> finish_;
  std::vector<uint8_t> flags_;
  std::vector<uint32_t> token_offsets_{0};
  std::vector<int32_t> tokens_;
  std::vector<float> logprobs_;
  std::vector<uint32_t> top_offsets_{0};
  std::vector<int32_t> top_tokens_;
  std::vector<float> top_logprobs_;
  std::vector<const ExecutorRowDetails*> details_;
  std::deque<Details> details_memory_;
  ExecutorBatch batch_{};
};

}  // namespace embedded

#endif  // EMBEDDED_OUTBOX_H_
