#include "native/addon/loop_port.h"

#include <utility>

namespace addon {

std::shared_ptr<LoopPort> LoopPort::Open(Napi::Env env, Napi::Function callback, const char* name) {
  std::shared_ptr<LoopPort> port(new LoopPort);
  // Node's handle keeps the port too, until Ended.
  auto held = std::make_unique<std::shared_ptr<LoopPort>>(port);
  const napi_status status = napi_create_threadsafe_function(env, callback, nullptr, Napi::String::New(env, name), 0, 1,
                                                             held.get(), Ended, nullptr, Run, &port->function_);
  if (status != napi_ok) throw Napi::Error::New(env);
  (void)held.release();
  return port;
}

void LoopPort::Post(Job job) {
  auto owned = std::make_unique<Job>(std::move(job));
  // The lock is held over the call: Ended, which takes it, is Node's last word before it frees the function.
  const std::lock_guard<std::mutex> lock(mutex_);
  if (function_ == nullptr) return;
  if (napi_call_threadsafe_function(function_, owned.get(), napi_tsfn_nonblocking) == napi_ok) {
    (void)owned.release();
  } else {
    function_ = nullptr;  // it is closing, and this call was its last use
  }
}

bool LoopPort::IsOpen() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return function_ != nullptr;
}

void LoopPort::Close() { Release(napi_tsfn_abort); }

void LoopPort::Finish() { Release(napi_tsfn_release); }

void LoopPort::Release(napi_threadsafe_function_release_mode mode) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (function_ == nullptr) return;
  napi_release_threadsafe_function(function_, mode);
  function_ = nullptr;
}

void LoopPort::KeepAlive(Napi::Env env, bool keep) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (function_ == nullptr) return;
  if (keep) {
    napi_ref_threadsafe_function(env, function_);
  } else {
    napi_unref_threadsafe_function(env, function_);
  }
}

void LoopPort::Run(napi_env env, napi_value callback, void* /*context*/, void* job) {
  const std::unique_ptr<Job> owned(static_cast<Job*>(job));
  if (env == nullptr) return;  // the environment has ended
  const Napi::HandleScope scope(env);
  try {
    (*owned)(Napi::Env(env), Napi::Function(env, callback));
  } catch (const Napi::Error& error) {
    // An exception left pending here would be a deprecation warning; this is process.on('uncaughtException').
    napi_fatal_exception(env, error.Value());
  } catch (const std::exception& unexpected) {
    napi_fatal_exception(env, Napi::Error::New(env, unexpected.what()).Value());
  }
}

void LoopPort::Ended(napi_env /*env*/, void* port, void* /*context*/) {
  const std::unique_ptr<std::shared_ptr<LoopPort>> held(static_cast<std::shared_ptr<LoopPort>*>(port));
  const std::lock_guard<std::mutex> lock((*held)->mutex_);
  (*held)->function_ = nullptr;
}

}  // namespace addon
