// When requests run out of time.
#ifndef EMBEDDED_DEADLINES_H_
#define EMBEDDED_DEADLINES_H_

#include <algorithm>
#include <optional>
#include <utility>

#include "native/embedded/request.h"

namespace embedded {

// In order, so that a look between two steps costs the same however many there are. Not synchronised: the executor's lock
// is held.
class Deadlines {
 public:
  using Clock = Request::Clock;

  // Of a request that has one, until Remove.
  void Add(Request* request) {
    if (request->deadline) request->deadline_at = requests_.emplace(*request->deadline, request);
  }
  void Remove(Request* request) {
    if (request->deadline_at) requests_.erase(*std::exchange(request->deadline_at, std::nullopt));
  }
  // One that has no time left; null: there is none.
  Request* Overdue() const {
    const bool is_over = !requests_.empty() && requests_.begin()->first <= Clock::now();
    return is_over ? requests_.begin()->second : nullptr;
  }
  // Until one is overdue, at most `longest`.
  Clock::duration TimeLeft(Clock::duration longest) const {
    return requests_.empty() ? longest : std::min(longest, requests_.begin()->first - Clock::now());
  }

 private:
  RequestDeadlines requests_;
};

}  // namespace embedded

#endif  // EMBEDDED_DEADLINES_H_
