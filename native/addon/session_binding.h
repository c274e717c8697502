// An environment's hold on a session: the JavaScript object `NativeSession` of lib/addon/addon.ts.
#ifndef ADDON_SESSION_BINDING_H_
#define ADDON_SESSION_BINDING_H_

#include <napi.h>

#include <memory>

#include "native/addon/event_encoder.h"
#include "native/addon/event_loop_queue.h"
#include "native/addon/executor_session.h"

namespace addon {

class SessionBinding : public Napi::ObjectWrap<SessionBinding> {
 public:
  static Napi::Function Define(Napi::Env env);

  // new NativeSession(loaded, onEvents): `loaded` comes from load() or attach(); `onEvents` is called with the
  // environment's events, see EventEncoder. It must not refer to the object itself, which would then never be collected.
  explicit SessionBinding(const Napi::CallbackInfo& info);
  ~SessionBinding() override;

 private:
  Napi::Value NextId(const Napi::CallbackInfo& info);
  void Submit(const Napi::CallbackInfo& info);
  void Cancel(const Napi::CallbackInfo& info);
  void RefLoop(const Napi::CallbackInfo& info);
  void UnrefLoop(const Napi::CallbackInfo& info);
  Napi::Value ShareId(const Napi::CallbackInfo& info);
  Napi::Value Info(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);
  Napi::Value KvEvents(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  void BeginClose(const Napi::CallbackInfo& info);
  void AwaitClosed(const Napi::CallbackInfo& info);

  static void EnvironmentEnds(void* binding);
  ExecutorSession& session();
  // This environment gets no more events. Who takes the session cancels the requests that it still has.
  std::shared_ptr<ExecutorSession> Leave();

  std::shared_ptr<ExecutorSession> session_;  // null once closed
  std::shared_ptr<ExecutorSession> closing_;  // what BeginClose began to close
  std::shared_ptr<EnvironmentSink> sink_;
  std::shared_ptr<EventLoopQueue> queue_;
  Events events_;
  EventEncoder encoder_;
};

}  // namespace addon

#endif  // ADDON_SESSION_BINDING_H_
