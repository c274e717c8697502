// What one environment holds of an engine: the JavaScript object `NativeEngine` of lib/addon/addon.ts.
#ifndef ADDON_ENGINE_BINDING_H_
#define ADDON_ENGINE_BINDING_H_

#include <napi.h>

#include <memory>

#include "native/addon/delivery.h"
#include "native/addon/engine.h"
#include "native/addon/loop_port.h"

namespace addon {

class EngineBinding : public Napi::ObjectWrap<EngineBinding> {
 public:
  static Napi::Function Define(Napi::Env env);

  // new NativeEngine(loaded, deliver): `loaded` comes from load() or attach(), `deliver` is called with the environment's mail, see
  // Delivery. It must not refer to the object itself, or garbage collection never finds it.
  explicit EngineBinding(const Napi::CallbackInfo& info);
  ~EngineBinding() override;

 private:
  Napi::Value NextId(const Napi::CallbackInfo& info);
  void Submit(const Napi::CallbackInfo& info);
  void Cancel(const Napi::CallbackInfo& info);
  void KeepAlive(const Napi::CallbackInfo& info);
  Napi::Value ShareId(const Napi::CallbackInfo& info);
  Napi::Value Info(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);
  void CloseNow(const Napi::CallbackInfo& info);

  static void EnvironmentEnds(void* binding);
  Engine& engine();
  // Ends this environment's part in the engine: its requests are cancelled and it hears no more.
  std::shared_ptr<Engine> Leave();

  std::shared_ptr<Engine> engine_;  // null once closed
  std::shared_ptr<Mailbox> mailbox_;
  std::shared_ptr<LoopPort> port_;
  Mail mail_;
  Delivery delivery_;
};

}  // namespace addon

#endif  // ADDON_ENGINE_BINDING_H_
