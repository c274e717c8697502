// Responses that wait to be fetched, by request, with NVIDIA's rules of waiting for them.
#ifndef STAND_IN_RESPONSE_QUEUE_H_
#define STAND_IN_RESPONSE_QUEUE_H_

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "tensorrt_llm/executor/executor.h"

namespace stand_in {

namespace tle = tensorrt_llm::executor;
using tle::IdType;
using Timeout = std::optional<std::chrono::milliseconds>;

class ResponseQueue {
 public:
  void Append(std::vector<tle::Response> responses);
  // Wakes who waits, and lets nobody wait again.
  void Close();

  // All of all requests; none after the timeout, or after Close.
  std::vector<tle::Response> Await(const Timeout& timeout);
  // Those of one request; an error response at once if its final one has been fetched. Throws std::out_of_range if Close
  // comes first.
  std::vector<tle::Response> Await(IdType id, const Timeout& timeout);
  size_t Count(const std::optional<IdType>& id) const;
  // Whether the final response of a request has been fetched.
  bool IsTerminated(IdType id) const;

 private:
  std::vector<tle::Response> Take(std::map<IdType, std::vector<tle::Response>>::iterator entry);

  mutable std::mutex mutex_;  // of all below
  std::condition_variable changed_;
  std::map<IdType, std::vector<tle::Response>> responses_;
  std::set<IdType> terminated_;
  bool is_closed_ = false;
};

}  // namespace stand_in

#endif  // STAND_IN_RESPONSE_QUEUE_H_
