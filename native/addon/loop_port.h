// A way from any thread into one environment's event loop, safe to hold after the environment has ended.
#ifndef ADDON_LOOP_PORT_H_
#define ADDON_LOOP_PORT_H_

#include <napi.h>

#include <functional>
#include <memory>
#include <mutex>

namespace addon {

class LoopPort {
 public:
  // Runs on the event loop, with the callback the port was opened with.
  using Job = std::function<void(Napi::Env, Napi::Function)>;

  // On the loop's thread. `name` is what async hooks show. While it is open it keeps the process alive.
  static std::shared_ptr<LoopPort> Open(Napi::Env env, Napi::Function callback, const char* name);
  ~LoopPort() { Close(); }

  // Any thread. The job runs soon; where the port is closed, or the environment ends first, it is destroyed unrun.
  void Post(Job job);
  // Any thread. False once it was closed or the environment has ended.
  bool IsOpen() const;
  // Any thread, any number of times. Jobs that have not run are destroyed unrun.
  void Close();
  // The same, but they run.
  void Finish();
  // On the loop's thread: whether the open port keeps the process alive.
  void KeepAlive(Napi::Env env, bool keep);

 private:
  LoopPort() = default;
  void Release(napi_threadsafe_function_release_mode mode);
  static void Run(napi_env env, napi_value callback, void* context, void* job);
  static void Ended(napi_env env, void* port, void* context);

  mutable std::mutex mutex_;
  napi_threadsafe_function function_ = nullptr;  // null: closed. Node frees it when the environment ends
};

}  // namespace addon

#endif  // ADDON_LOOP_PORT_H_
