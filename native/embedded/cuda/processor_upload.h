// What the logits processors of a step's rows need on the GPU, packed into one piece of memory.
#ifndef EMBEDDED_CUDA_PROCESSOR_UPLOAD_H_
#define EMBEDDED_CUDA_PROCESSOR_UPLOAD_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "native/embedded/cuda/logits_processors.h"
#include "native/embedded/sampling.h"

namespace embedded::cuda {

// Gathers on the host; the addresses are those of where the bytes will lie on the device.
class ProcessorUpload {
 public:
  // A row whose history has `length` tokens; `known` is that history, needed only where the parameters look at it.
  void Add(const LogitsProcessorParams& params, int logits_row, const std::vector<int32_t>& known, size_t length);
  // The row that was added last processes log-probabilities.
  void SetOfLogprobs();

  // The mask of a Guide, of a row that was added.
  void SetMask(size_t row, const std::vector<uint32_t>& mask);

  int rows() const { return static_cast<int>(rows_.size()); }
  bool has_logprobs() const { return has_logprobs_; }
  size_t bytes() const;
  // Writes bytes() to `host`, to be copied to `device`.
  void Write(void* host, void* device) const;
  // Where Write's bytes are on the device; without logits, log_sums, counts and processed, which are the caller's.
  LogitsProcessorBuffers Buffers(void* device) const;

 private:
  struct Parts {
    size_t rows, biases, bad_words, end_ids, bad_word_tokens, masks, histories, bytes;
  };
  Parts LayOut() const;

  std::vector<ProcessorRow> rows_;
  bool has_logprobs_ = false;
  std::vector<size_t> history_begins_;  // by row, in histories_
  std::vector<DeviceTokenBias> biases_;
  std::vector<int32_t> end_ids_;
  std::vector<ListSlice> bad_words_;
  std::vector<int32_t> bad_word_tokens_;
  std::vector<uint32_t> masks_;
  std::vector<int32_t> histories_;
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_PROCESSOR_UPLOAD_H_
