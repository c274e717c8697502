#include "native/addon/event_loop_queue.h"

#include <utility>

namespace addon {

std::shared_ptr<EventLoopQueue> EventLoopQueue::Open(Napi::Env env, Napi::Function callback, const char* name) {
  std::shared_ptr<EventLoopQueue> queue(new EventLoopQueue);
  // Node's handle keeps the queue too, until Ended.
  auto held = std::make_unique<std::shared_ptr<EventLoopQueue>>(queue);
  const napi_status status = napi_create_threadsafe_function(env, callback, nullptr, Napi::String::New(env, name), 0, 1,
                                                             held.get(), Ended, nullptr, Run, &queue->function_);
  if (status != napi_ok) throw Napi::Error::New(env);
  (void)held.release();
  return queue;
}

void EventLoopQueue::Post(Job job) {
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

bool EventLoopQueue::IsOpen() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return function_ != nullptr;
}

void EventLoopQueue::Close() { Release(napi_tsfn_abort); }

void EventLoopQueue::Finish() { Release(napi_tsfn_release); }

void EventLoopQueue::Release(napi_threadsafe_function_release_mode mode) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (function_ == nullptr) return;
  napi_release_threadsafe_function(function_, mode);
  function_ = nullptr;
}

void EventLoopQueue::Ref(Napi::Env env) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (function_ != nullptr) napi_ref_threadsafe_function(env, function_);
}

void EventLoopQueue::Unref(Napi::Env env) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (function_ != nullptr) napi_unref_threadsafe_function(env, function_);
}

void EventLoopQueue::Run(napi_env env, napi_value callback, void* /*context*/, void* job) {
  const std::unique_ptr<Job> owned(static_cast<Job*>(job));
  if (env == nullptr) return;  // the environment has ended
  try {
    (*owned)(Napi::Env(env), Napi::Function(env, callback));
  } catch (const Napi::Error& error) {
    // An exception left pending here would be a deprecation warning; this is process.on('uncaughtException').
    napi_fatal_exception(env, error.Value());
  } catch (const std::exception& unexpected) {
    napi_fatal_exception(env, Napi::Error::New(env, unexpected.what()).Value());
  }
}

void EventLoopQueue::Ended(napi_env /*env*/, void* queue, void* /*context*/) {
  const std::unique_ptr<std::shared_ptr<EventLoopQueue>> held(static_cast<std::shared_ptr<EventLoopQueue>*>(queue));
  const std::lock_guard<std::mutex> lock((*held)->mutex_);
  (*held)->function_ = nullptr;
}

}  // namespace addon
