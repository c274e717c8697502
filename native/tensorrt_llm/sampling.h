// From the contract's ExecutorSampling to TensorRT-LLM's SamplingConfig.
#ifndef ADAPTER_SAMPLING_H_
#define ADAPTER_SAMPLING_H_

#include "native/executor/request.h"
#include "native/tensorrt_llm/features.h"

namespace adapter {

// How many outputs the request has: beams or independent samples.
uint32_t SequenceCount(const ExecutorSampling& given);
uint32_t BeamWidth(const ExecutorSampling& given);

// Draws a seed where none is set. Throws executor::Failure: EXECUTOR_INVALID_OPTION, or EXECUTOR_UNSUPPORTED for what this
// version lacks, naming the field.
tle::SamplingConfig MakeSampling(const ExecutorSampling& given, int vocab_size);

}  // namespace adapter

#endif  // ADAPTER_SAMPLING_H_
