// C++ only: collects rows until the reader takes all of them at once.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_BATCH_BUILDER_H_
#define NODE_TENSORRT_LLM_EXECUTOR_BATCH_BUILDER_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "native/executor/cpp/batch_row.h"

namespace executor {

// The fields of an ExecutorBatch, with their memory. Not synchronised.
class BatchBuilder {
 public:
  explicit BatchBuilder(int vocab_size) : vocab_size_(vocab_size) {}

  bool empty() const { return request_ids_.empty(); }
  // The step is the one that brought the row.
  void Add(BatchRow row, uint64_t step);
  // The rows so far as the table gives them; valid until the next Add or Clear.
  const ExecutorBatch* Batch();
  void Clear();

 private:
  // A row's details, and what they point to beside their own memory. In a deque, so that pointers to it stay.
  struct Details {
    std::unique_ptr<BatchRowDetails> row;
    ExecutorTensor context_logits;
    ExecutorTensor generation_logits;
    std::vector<ExecutorNamedTensor> additional_outputs;
    ExecutorContextPhase context_phase;
  };

  const ExecutorRowDetails* AddDetails(std::unique_ptr<BatchRowDetails> details);
  ExecutorTensor LogitsTensor(const std::vector<float>& logits) const;

  int vocab_size_;
  uint64_t step_ = 0;
  bool has_logprobs_ = false;
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

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_BATCH_BUILDER_H_
