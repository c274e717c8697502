#include <napi.h>

#include "native/addon/load.h"
#include "native/addon/session_binding.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports["NativeSession"] = addon::SessionBinding::Define(env);
  exports["load"] = Napi::Function::New<addon::Load>(env, "load");
  exports["attach"] = Napi::Function::New<addon::Attach>(env, "attach");
  return exports;
}

}  // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
