// C++ only: starts threads, which a system at its limit refuses.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_START_THREAD_H_
#define NODE_TENSORRT_LLM_EXECUTOR_START_THREAD_H_

#include <system_error>
#include <thread>
#include <utility>

#include "native/executor/cpp/failure.h"

namespace executor {

// Every thread of this package is started here. What the system refuses becomes a Failure; `body` is lost then.
template <typename Body>
std::thread StartThread(Body&& body) {
  try {
    return std::thread(std::forward<Body>(body));
  } catch (const std::system_error& refused) {
    throw Failure(
        EXECUTOR_UNAVAILABLE,
        "A thread could not be started: " + refused.code().message() +
            ". Raise the limit of threads: ulimit -u, a container's --pids-limit, a service's TasksMax. Or run "
            "less in this process and for this user.");
  }
}

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_START_THREAD_H_
