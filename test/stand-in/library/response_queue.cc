#include "response_queue.h"

#include <stdexcept>
#include <string>
#include <utility>

namespace stand_in {

void ResponseQueue::Append(std::vector<tle::Response> responses) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (tle::Response& response : responses) responses_[response.getRequestId()].push_back(std::move(response));
  changed_.notify_all();
}

void ResponseQueue::Close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  is_closed_ = true;
  changed_.notify_all();
}

std::vector<tle::Response> ResponseQueue::Await(const Timeout& timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto is_ready = [this] { return !responses_.empty() || is_closed_; };
  if (timeout)
    changed_.wait_for(lock, *timeout, is_ready);
  else
    changed_.wait(lock, is_ready);
  std::vector<tle::Response> all;
  while (!responses_.empty())
    for (tle::Response& response : Take(responses_.begin())) all.push_back(std::move(response));
  return all;
}

std::vector<tle::Response> ResponseQueue::Await(IdType id, const Timeout& timeout) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (terminated_.count(id) > 0)
    return {tle::Response(id, "ReqId " + std::to_string(id) + " has already been processed and was terminated.")};
  const auto is_ready = [&] { return responses_.count(id) > 0 || is_closed_; };
  if (!timeout)
    changed_.wait(lock, is_ready);
  else if (!changed_.wait_for(lock, *timeout, is_ready))
    return {};
  if (responses_.count(id) == 0) throw std::out_of_range("map::at");  // as it is in NVIDIA's library: no TllmException
  return Take(responses_.find(id));
}

size_t ResponseQueue::Count(const std::optional<IdType>& id) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t count = 0;
  for (const auto& [request_id, responses] : responses_)
    if (!id || *id == request_id) count += responses.size();
  return count;
}

bool ResponseQueue::IsTerminated(IdType id) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return terminated_.count(id) > 0;
}

std::vector<tle::Response> ResponseQueue::Take(std::map<IdType, std::vector<tle::Response>>::iterator entry) {
  for (const tle::Response& response : entry->second)
    if (response.hasError() || response.getResult().isFinal) terminated_.insert(entry->first);
  return std::move(responses_.extract(entry).mapped());
}

}  // namespace stand_in
