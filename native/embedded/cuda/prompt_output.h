// What was asked about a prompt's tokens: their logits and log-probabilities, computed on the host from copied logits.
#ifndef EMBEDDED_CUDA_PROMPT_OUTPUT_H_
#define EMBEDDED_CUDA_PROMPT_OUTPUT_H_

#include <cstddef>

#include "native/embedded/request.h"

namespace embedded::cuda {

// Makes room in request.prompt_output for the whole prompt, unless it has it.
void PreparePromptOutput(Request* request, size_t vocab_size);

// Notes the logits of prompt tokens [first, first + count) of `sequence`, whose request has its room: logits
// [count, vocab_size].
void NotePromptLogits(const RequestSequence& sequence, size_t first, size_t count, const float* logits,
                      size_t vocab_size);

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_PROMPT_OUTPUT_H_
