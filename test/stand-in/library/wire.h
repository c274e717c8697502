// What an orchestrator and its workers send each other, as bytes. It carries what a request of text says; adapters, drafts,
// guides and the like stay behind.
#ifndef STAND_IN_WIRE_H_
#define STAND_IN_WIRE_H_

#include <string>
#include <vector>

#include "tensorrt_llm/executor/executor.h"

namespace stand_in {

namespace tle = tensorrt_llm::executor;

using Bytes = std::vector<char>;

struct Job {
  std::string engine_dir;
  tle::ExecutorConfig config;
};

// Ids are those of the requests, which the worker's leader has to give them too.
struct Submission {
  std::vector<tle::IdType> ids;
  std::vector<tle::Request> requests;
};

Bytes Encode(const Job& job);
Bytes Encode(const Submission& submission);
Bytes Encode(const std::vector<tle::Response>& responses);

Job DecodeJob(const Bytes& bytes);
Submission DecodeSubmission(const Bytes& bytes);
std::vector<tle::Response> DecodeResponses(const Bytes& bytes);

}  // namespace stand_in

#endif  // STAND_IN_WIRE_H_
