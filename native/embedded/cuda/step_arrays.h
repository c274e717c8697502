// What a step uploads: one piece of memory, laid out alike in pinned and in device memory.
#ifndef EMBEDDED_CUDA_STEP_ARRAYS_H_
#define EMBEDDED_CUDA_STEP_ARRAYS_H_

#include <cstddef>
#include <cstdint>

#include "native/embedded/cuda/sampling.h"

namespace embedded::cuda {

struct StepArrays {
  int32_t* tokens;           // [tokens]; below 0: padding, or the newest token of a slot is meant
  int32_t* newest_slots;     // [tokens] the slot whose newest token is meant, or below 0
  int32_t* positions;        // [tokens]; below 0: padding
  int32_t* table_rows;       // [tokens] row of the block table
  int32_t* adapter_slots;    // [tokens] below 0: no adapter; filled where a row has one
  int32_t* context_lengths;  // [sequences] of the rows of one token, that token included; 0: padding
  int32_t* logits_rows;      // [sequences] tokens that logits are wanted of; below 0: padding
  SamplingRow* sampling;     // [sequences]
  size_t bytes;

  // Null gives `bytes` alone.
  StepArrays(void* base, int token_count, int sequence_count);
};

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_STEP_ARRAYS_H_
