#ifndef STAND_IN_REQUEST_SEQUENCES_H_
#define STAND_IN_REQUEST_SEQUENCES_H_

#include "tensorrt_llm/executor/executor.h"

namespace stand_in {

// How many sequences a request has, each with an id of its own; the beams of a search share one.
inline tensorrt_llm::executor::SizeType32 SequencesOf(const tensorrt_llm::executor::Request& request) {
  const tensorrt_llm::executor::SamplingConfig config = request.getSamplingConfig();
  if (config.getBeamWidth() > 1) return 1;
#if STAND_IN_1_2
  return config.getNumReturnSequences().value_or(1);
#else
  return request.getNumReturnSequences();
#endif
}

}  // namespace stand_in

#endif  // STAND_IN_REQUEST_SEQUENCES_H_
