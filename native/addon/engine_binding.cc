#include "native/addon/engine_binding.h"

#include <chrono>
#include <thread>
#include <utility>

#include "native/addon/failure.h"
#include "native/addon/request_reader.h"
#include "native/addon/shared_engines.h"

namespace addon {
namespace {

// For an engine that nobody closed.
constexpr auto kCloseDeadline = std::chrono::seconds(5);

std::chrono::milliseconds Milliseconds(const Napi::Value& value) {
  return std::chrono::milliseconds(value.As<Napi::Number>().Int64Value());
}

}  // namespace

Napi::Function EngineBinding::Define(Napi::Env env) {
  return DefineClass(env, "NativeEngine",
                     {
                         InstanceMethod<&EngineBinding::NextId>("nextId"),
                         InstanceMethod<&EngineBinding::Submit>("submit"),
                         InstanceMethod<&EngineBinding::Cancel>("cancel"),
                         InstanceMethod<&EngineBinding::KeepAlive>("keepAlive"),
                         InstanceMethod<&EngineBinding::ShareId>("shareId"),
                         InstanceMethod<&EngineBinding::Info>("info"),
                         InstanceMethod<&EngineBinding::Stats>("stats"),
                         InstanceMethod<&EngineBinding::Close>("close"),
                         InstanceMethod<&EngineBinding::CloseNow>("closeNow"),
                     });
}

EngineBinding::EngineBinding(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineBinding>(info) {
  // Taken out of `loaded`, or it would hold the engine until it is collected as garbage.
  engine_ = std::exchange(*info[0].As<Napi::External<std::shared_ptr<Engine>>>().Data(), nullptr);
  port_ = LoopPort::Open(info.Env(), info[1].As<Napi::Function>(), "node-tensorrt-llm");
  port_->KeepAlive(info.Env(), false);
  // Jobs run while the port is open, and the destructor closes it: `this` is alive in all of them.
  mailbox_ = std::make_shared<Mailbox>([this, port = port_] {
    port->Post([this](Napi::Env env, Napi::Function deliver) {
      mailbox_->Take(&mail_);
      if (!mail_.empty()) delivery_.Deliver(env, deliver, &mail_);
    });
  });
  napi_add_env_cleanup_hook(info.Env(), EnvironmentEnds, this);
}

EngineBinding::~EngineBinding() {
  std::shared_ptr<Engine> engine = Leave();
  napi_remove_env_cleanup_hook(Env(), EnvironmentEnds, this);
  // Garbage collection must not wait for an executor.
  if (engine != nullptr) {
    std::thread([last = std::move(engine)]() mutable { Release(std::move(last), kCloseDeadline); }).detach();
  }
}

// A worker that ends, or a natural exit: the last environment to leave closes the engine, here and now.
void EngineBinding::EnvironmentEnds(void* binding) {
  std::shared_ptr<Engine> engine = static_cast<EngineBinding*>(binding)->Leave();
  if (engine != nullptr) Release(std::move(engine), kCloseDeadline);
}

std::shared_ptr<Engine> EngineBinding::Leave() {
  if (engine_ == nullptr) return nullptr;
  port_->Close();
  mailbox_->Close();
  engine_->CancelAll(mailbox_.get());
  return std::exchange(engine_, nullptr);
}

Engine& EngineBinding::engine() {
  if (engine_ == nullptr) {
    throw executor::Failure(EXECUTOR_CLOSED, "the engine is closed; load it again with LLM.load()");
  }
  return *engine_;
}

Napi::Value EngineBinding::NextId(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(NextRequestId()));
}

// submit(id, tokens, fields)
void EngineBinding::Submit(const Napi::CallbackInfo& info) {
  Guarded(info.Env(), [&] {
    const RequestReader reader(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()),
                               info[1].As<Napi::Int32Array>(), info[2].As<Napi::Object>());
    engine().Submit(reader.request, reader.stops, reader.special_tokens, mailbox_);
  });
}

void EngineBinding::Cancel(const Napi::CallbackInfo& info) {
  if (engine_ != nullptr) engine_->Cancel(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()));
}

void EngineBinding::KeepAlive(const Napi::CallbackInfo& info) { port_->KeepAlive(info.Env(), info[0].ToBoolean()); }

Napi::Value EngineBinding::ShareId(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] { return Napi::Number::New(info.Env(), static_cast<double>(engine().share_id())); });
}

Napi::Value EngineBinding::Info(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const ExecutorInfo& facts = engine().info();
    const Napi::Env env = info.Env();
    auto object = Napi::Object::New(env);
    const auto number = [&](const char* name, uint64_t value) {
      object[name] = Napi::Number::New(env, static_cast<double>(value));
    };
    object["executor"] = Napi::String::New(env, facts.name);
    object["executorVersion"] = Napi::String::New(env, facts.version);
    object["device"] = Napi::String::New(env, facts.device);
    object["dataType"] = Napi::String::New(env, facts.data_type);
    object["isolated"] = Napi::Boolean::New(env, engine().isolated());
    number("capabilities", facts.capabilities);
    number("vocabSize", facts.vocab_size);
    number("maxBatchSize", facts.max_batch_size);
    number("maxBeamWidth", facts.max_beam_width);
    number("maxNumTokens", facts.max_num_tokens);
    number("maxInputLen", facts.max_input_len);
    number("maxSeqLen", facts.max_seq_len);
    number("tensorParallel", facts.tensor_parallel_size);
    number("rank", facts.rank);
    number("tokensPerBlock", facts.tokens_per_block);
    number("kvBlocks", facts.kv_blocks);
    number("weightBytes", facts.weight_bytes);
    number("kvCacheBytes", facts.kv_cache_bytes);
    return object;
  });
}

Napi::Value EngineBinding::Stats(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    ExecutorStats stats{};
    stats.size = sizeof(stats);
    engine().Stats(&stats);
    const EngineCounters counters = engine().counters();
    const Napi::Env env = info.Env();
    auto object = Napi::Object::New(env);
    const auto number = [&](const char* name, double value) { object[name] = Napi::Number::New(env, value); };
    number("activeRequests", stats.active_requests);
    number("queuedRequests", stats.queued_requests);
    number("completedRequests", static_cast<double>(stats.completed_requests));
    number("steps", static_cast<double>(stats.steps));
    number("stepMs", stats.step_ms);
    number("kvBlocks", stats.kv_blocks);
    number("kvBlocksUsed", stats.kv_blocks_used);
    number("preemptions", static_cast<double>(stats.preemptions));
    number("discardedTokens", static_cast<double>(counters.discarded_tokens));
    number("unknownRows", static_cast<double>(counters.unknown_rows));
    number("wakeups", static_cast<double>(mailbox_->wakeups()));
    return object;
  });
}

// close(deadlineMs): a promise of the end. This environment hears nothing of its requests any more; if it was the last to
// use the engine, that is closed on a thread of its own.
Napi::Value EngineBinding::Close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto deferred = Napi::Promise::Deferred::New(env);
  std::shared_ptr<Engine> engine = Leave();
  if (engine == nullptr) {
    deferred.Resolve(env.Undefined());
    return deferred.Promise();
  }
  const auto nothing = Napi::Function::New(env, [](const Napi::CallbackInfo&) {});
  std::shared_ptr<LoopPort> port = LoopPort::Open(env, nothing, "node-tensorrt-llm close");
  std::thread([engine = std::move(engine), port, deferred, deadline = Milliseconds(info[0])]() mutable {
    Release(std::move(engine), deadline);
    port->Post([port, deferred](Napi::Env loop_env, Napi::Function) {
      deferred.Resolve(loop_env.Undefined());
      port->Close();
    });
  }).detach();
  return deferred.Promise();
}

// closeNow(deadlineMs, processEnds): blocks; for the end of a thread or, closing the engine for all who use it, of the process.
void EngineBinding::CloseNow(const Napi::CallbackInfo& info) {
  std::shared_ptr<Engine> engine = Leave();
  if (engine == nullptr) return;
  const auto deadline = Milliseconds(info[0]);
  if (info[1].ToBoolean()) engine->Close(deadline);
  Release(std::move(engine), deadline);
}

}  // namespace addon
