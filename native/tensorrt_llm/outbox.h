// Rows between whoever adds them and the reader, who takes all there are at once. Not synchronised.
#ifndef ADAPTER_OUTBOX_H_
#define ADAPTER_OUTBOX_H_

#include <cstdint>
#include <vector>

#include "executor/response.h"
#include "tensorrt_llm/row.h"

namespace adapter {

class Outbox {
 public:
  explicit Outbox(int vocab_size) : vocab_size_(vocab_size) {}

  bool empty() const { return rows_.empty(); }
  void Add(Row row) { rows_.push_back(std::move(row)); }
  // The rows as the contract gives them; valid until the next Add or Clear.
  const ExecutorBatch* Batch(uint64_t step);
  void Clear() { rows_.clear(); }

 private:
  struct Tensors {
    ExecutorTensor context_logits;
    ExecutorTensor generation_logits;
    std::vector<ExecutorNamedTensor> additional_outputs;
    ExecutorContextPhase context_phase;
  };

  void AddTokens(const Row& row);
  const ExecutorRowDetails* Link(RowDetails* details, Tensors* tensors) const;
  ExecutorTensor LogitsTensor(const std::vector<float>& logits) const;

  int vocab_size_;
  std::vector<Row> rows_;
  // What the batch points to, beside the rows' own memory.
  std::vector<uint64_t> request_ids_;
  std::vector<uint32_t> sequences_;
  std::vector<uint8_t> finish_;
  std::vector<uint8_t> flags_;
  std::vector<uint32_t> token_offsets_;
  std::vector<int32_t> tokens_;
  std::vector<float> logprobs_;
  std::vector<uint32_t> top_offsets_;
  std::vector<int32_t> top_tokens_;
  std::vector<float> top_logprobs_;
  std::vector<const ExecutorRowDetails*> details_;
  std::vector<Tensors> tensors_;
  bool has_logprobs_ = false;
  ExecutorBatch batch_{};
};

}  // namespace adapter

#endif  // ADAPTER_OUTBOX_H_
