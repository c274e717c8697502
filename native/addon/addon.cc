#include <napi.h>

#include "native/addon/load.h"
#include "native/addon/session_binding.h"
#include "native/addon/tokenizer_binding.h"

namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports["NativeSession"] = addon::SessionBinding::Define(env);
  exports["NativeTokenizer"] = addon::TokenizerBinding::Define(env);
  exports["openTokenizer"] = Napi::Function::New<addon::OpenTokenizer>(env, "openTokenizer");
  exports["openTokenizerNow"] = Napi::Function::New<addon::OpenTokenizerNow>(env, "openTokenizerNow");
  exports["load"] = Napi::Function::New<addon::Load>(env, "load");
  exports["attach"] = Napi::Function::New<addon::Attach>(env, "attach");
  return exports;
}

}  // namespace

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
