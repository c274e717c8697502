#include "native/addon/session_binding.h"

#include <chrono>
#include <utility>
#include <vector>

#include "native/addon/failure.h"
#include "native/addon/kv_events_object.h"
#include "native/addon/request_reader.h"
#include "native/addon/shared_sessions.h"
#include "native/addon/stats_object.h"

namespace addon {
namespace {

std::chrono::milliseconds Milliseconds(const Napi::Value& value) {
  return std::chrono::milliseconds(value.As<Napi::Number>().Int64Value());
}

}  // namespace

Napi::Function SessionBinding::Define(Napi::Env env) {
  return DefineClass(env, "NativeSession",
                     {
                         InstanceMethod<&SessionBinding::NextId>("nextId"),
                         InstanceMethod<&SessionBinding::Submit>("submit"),
                         InstanceMethod<&SessionBinding::Cancel>("cancel"),
                         InstanceMethod<&SessionBinding::RefLoop>("ref"),
                         InstanceMethod<&SessionBinding::UnrefLoop>("unref"),
                         InstanceMethod<&SessionBinding::ShareId>("shareId"),
                         InstanceMethod<&SessionBinding::Info>("info"),
                         InstanceMethod<&SessionBinding::Stats>("stats"),
                         InstanceMethod<&SessionBinding::KvEvents>("kvEvents"),
                         InstanceMethod<&SessionBinding::Close>("close"),
                         InstanceMethod<&SessionBinding::BeginClose>("beginClose"),
                         InstanceMethod<&SessionBinding::AwaitClosed>("awaitClosed"),
                     });
}

SessionBinding::SessionBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<SessionBinding>(info) {
  // Moved out of `loaded`, which would otherwise hold the session until it is garbage-collected.
  session_ = std::exchange(*info[0].As<Napi::External<std::shared_ptr<ExecutorSession>>>().Data(), nullptr);
  queue_ = EventLoopQueue::Open(info.Env(), info[1].As<Napi::Function>(), "node-tensorrt-llm");
  queue_->Unref(info.Env());
  // Jobs run only while the queue is open, and the destructor closes it: `this` is alive in all of them.
  sink_ = std::make_shared<EnvironmentSink>([this, queue = queue_] {
    queue->Post([this](Napi::Env env, Napi::Function on_events) {
      sink_->Take(&events_);
      if (!events_.empty()) encoder_.Send(env, on_events, &events_);
    });
  });
  napi_add_env_cleanup_hook(info.Env(), EnvironmentEnds, this);
}

SessionBinding::~SessionBinding() {
  std::shared_ptr<ExecutorSession> session = Leave();
  napi_remove_env_cleanup_hook(Env(), EnvironmentEnds, this);
  // Garbage collection must not wait for an executor.
  if (session != nullptr) Release(std::move(session), ExecutorSession::kCloseDeadline);
}

// A worker that ends, or a natural exit: the last environment to leave closes the session, here and now.
void SessionBinding::EnvironmentEnds(void* binding) {
  std::shared_ptr<ExecutorSession> session = static_cast<SessionBinding*>(binding)->Leave();
  if (session != nullptr) session = Release(std::move(session), ExecutorSession::kCloseDeadline);
  if (session != nullptr) session->AwaitClosed();
}

std::shared_ptr<ExecutorSession> SessionBinding::Leave() {
  if (session_ == nullptr) return nullptr;
  queue_->Close();
  sink_->Close();
  session_->CancelAbandoned();
  return std::exchange(session_, nullptr);
}

ExecutorSession& SessionBinding::session() {
  if (session_ == nullptr) {
    throw executor::Failure(EXECUTOR_CLOSED, executor::kClosedMessage);
  }
  return *session_;
}

Napi::Value SessionBinding::NextId(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(NextRequestId()));
}

// submit(id, tokens, fields)
void SessionBinding::Submit(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const RequestReader reader(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()),
                               info[1].As<Napi::Int32Array>(), info[2].As<Napi::Object>());
    session().Submit(reader.request, reader.text, sink_);
  });
}

// cancel(ids)
void SessionBinding::Cancel(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    if (session_ == nullptr) return;
    const auto ids = info[0].As<Napi::Float64Array>();
    session_->Cancel(std::vector<uint64_t>(ids.Data(), ids.Data() + ids.ElementLength()));
  });
}

void SessionBinding::RefLoop(const Napi::CallbackInfo& info) { queue_->Ref(info.Env()); }

void SessionBinding::UnrefLoop(const Napi::CallbackInfo& info) { queue_->Unref(info.Env()); }

Napi::Value SessionBinding::ShareId(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] { return Napi::Number::New(info.Env(), static_cast<double>(session().share_id())); });
}

Napi::Value SessionBinding::Info(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const ExecutorInfo& facts = session().info();
    const Napi::Env env = info.Env();
    auto object = Napi::Object::New(env);
    const auto number = [&](const char* name, uint64_t value) {
      object[name] = Napi::Number::New(env, static_cast<double>(value));
    };
    object["executor"] = Napi::String::New(env, facts.name);
    object["executorVersion"] = Napi::String::New(env, facts.version);
    object["device"] = Napi::String::New(env, facts.device);
    object["dataType"] = Napi::String::New(env, facts.data_type);
    object["guidedAfterReasoning"] = Napi::Boolean::New(env, facts.guided_after_reasoning != 0);
    object["isolated"] = Napi::Boolean::New(env, session().isolation() == Isolation::kProcess);
    number("capabilities", facts.capabilities);
    number("vocabSize", facts.vocab_size);
    number("maxBatchSize", facts.max_batch_size);
    number("maxBeamWidth", facts.max_beam_width);
    number("maxNumTokens", facts.max_num_tokens);
    number("maxInputLen", facts.max_input_len);
    number("maxSeqLen", facts.max_seq_len);
    number("tensorParallelSize", facts.tensor_parallel_size);
    number("rank", facts.rank);
    number("hiddenSize", facts.hidden_size);
    number("tokensPerBlock", facts.tokens_per_block);
    number("kvBlocks", facts.kv_blocks);
    number("weightBytes", facts.weight_bytes);
    number("kvCacheBytes", facts.kv_cache_bytes);
    return object;
  });
}

Napi::Value SessionBinding::Stats(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(),
                 [&] { return StatsObject(info.Env(), session().Stats(), session().counters(), sink_->wakeups()); });
}

Napi::Value SessionBinding::KvEvents(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    Napi::Object object;
    session().ReadKvEvents([&](const ExecutorKvEvents& events) { object = KvEventsObject(info.Env(), events); });
    return object;
  });
}

// close(deadlineMs): a promise of the end. This environment gets no more events; if it was the last to use the session,
// the session closes.
Napi::Value SessionBinding::Close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto deferred = Napi::Promise::Deferred::New(env);
  if (session_ == nullptr) {
    deferred.Resolve(env.Undefined());
    return deferred.Promise();
  }
  const auto nothing = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  std::shared_ptr<EventLoopQueue> queue = EventLoopQueue::Open(env, nothing, "node-tensorrt-llm close");
  Release(Leave(), Milliseconds(info[0]), [queue, deferred] {
    queue->Post([queue, deferred](Napi::Env loop_env, Napi::Function) {
      deferred.Resolve(loop_env.Undefined());
      queue->Close();
    });
  });
  return deferred.Promise();
}

// beginClose(deadlineMs, ending): does not wait, so that several sessions close at the same time. At the end of a 'thread' the
// last environment to leave closes the session; at the end of the 'process' this one closes it for all.
void SessionBinding::BeginClose(const Napi::CallbackInfo& info) {
  std::shared_ptr<ExecutorSession> session = Leave();
  if (session == nullptr) return;
  const auto deadline = Milliseconds(info[0]);
  if (info[1].As<Napi::String>().Utf8Value() == "process") {
    session->BeginClose(deadline);
    closing_ = std::move(session);
  } else {
    closing_ = Release(std::move(session), deadline);
  }
}

// awaitClosed(): blocks until what beginClose began has ended.
void SessionBinding::AwaitClosed(const Napi::CallbackInfo& /*info*/) {
  if (closing_ != nullptr) std::exchange(closing_, nullptr)->AwaitClosed();
}

}  // namespace addon
