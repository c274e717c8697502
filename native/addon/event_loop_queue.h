// Runs jobs on one environment's event loop, from any thread; safe to hold after the environment has ended.
#ifndef ADDON_EVENT_LOOP_QUEUE_H_
#define ADDON_EVENT_LOOP_QUEUE_H_

#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>

namespace addon {

class EventLoopQueue {
 public:
  // Runs on the event loop, with the callback that the queue was opened with.
  using Job = std::function<void(Napi::Env, Napi::Function)>;

  // On the loop's thread. `name` is what async hooks show. While it is open it keeps the process alive.
  static std::shared_ptr<EventLoopQueue> Open(Napi::Env env, Napi::Function callback, const char* name);
  ~EventLoopQueue() { Close(); }

  // Any thread. The job runs soon; where the queue is closed, or the environment ends first, it is destroyed unrun.
  void Post(Job job);
  // Any thread. False once it was closed or the environment has ended.
  bool IsOpen() const;
  // Any thread, any number of times. Jobs that have not run are destroyed unrun.
  void Close();
  // The same, but they run.
  void Finish();
  // On the loop's thread, as for a timer: from now on the open queue keeps the process alive, or does not.
  void Ref(Napi::Env env);
  void Unref(Napi::Env env);

 private:
  EventLoopQueue() = default;
  void Release(napi_threadsafe_function_release_mode mode);
  static void Run(napi_env env, napi_value callback, void* context, void* job);
  static void Ended(napi_env env, void* queue, void* context);

  mutable std::mutex mutex_;
  napi_threadsafe_function function_ = nullptr;  // null: closed. Node frees it when the environment ends
};

}  // namespace addon

#endif  // ADDON_EVENT_LOOP_QUEUE_H_
