// Some neighbouring rows of a batch, as a batch of their own.
#ifndef ISOLATION_BATCH_SLICE_H_
#define ISOLATION_BATCH_SLICE_H_

#include <vector>

#include "native/executor/executor.h"

namespace isolation {

class BatchSlice {
 public:
  // Rows [first, end). It points into the batch, and lives no longer.
  BatchSlice(const ExecutorBatch& batch, uint32_t first, uint32_t end);
  BatchSlice(const BatchSlice&) = delete;
  BatchSlice& operator=(const BatchSlice&) = delete;

  const ExecutorBatch& batch() const { return slice_; }

 private:
  std::vector<uint32_t> token_offsets_;
  std::vector<uint32_t> top_offsets_;
  ExecutorBatch slice_;
};

// Whether the row has more than a few numbers for each token, so that its memory is its request's own concern.
bool IsLargeRow(const ExecutorBatch& batch, uint32_t row);

}  // namespace isolation

#endif  // ISOLATION_BATCH_SLICE_H_
