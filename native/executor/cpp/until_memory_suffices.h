// C++ only: for threads that must go on when memory has run out.
#ifndef NODE_TENSORRT_LLM_EXECUTOR_UNTIL_MEMORY_SUFFICES_H_
#define NODE_TENSORRT_LLM_EXECUTOR_UNTIL_MEMORY_SUFFICES_H_

#include <chrono>
#include <new>
#include <thread>

namespace executor {

// Repeats `body` until memory suffices for it, or until `gives_up` returns true. `body` must be able to go on where it threw.
template <typename Body, typename GivesUp>
void UntilMemorySuffices(Body body, GivesUp gives_up) {
  for (;;) {
    try {
      return body();
    } catch (const std::bad_alloc&) {
      if (gives_up()) return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace executor

#endif  // NODE_TENSORRT_LLM_EXECUTOR_UNTIL_MEMORY_SUFFICES_H_
