#include "native/addon/load.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "native/addon/config_reader.h"
#include "native/addon/event_loop_queue.h"
#include "native/addon/executor_session.h"
#include "native/addon/failure.h"
#include "native/addon/shared_sessions.h"
#include "native/addon/tokenizer_binding.h"
#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/start_thread.h"
#include "native/executor/cpp/until_memory_suffices.h"
#include "native/executors/open.h"
#include "native/isolation/host_environment.h"
#include "native/isolation/proxy_table.h"

namespace addon {
namespace {

// All that the loading thread needs, and what the executor's callbacks refer to; it touches no JavaScript value.
struct LoadTask {
  LoadTask() = default;
  ~LoadTask() {
    if (queue != nullptr) queue->Close();
    if (log_queue != nullptr) log_queue->Finish();  // the last lines say why a load failed
  }
  LoadTask(const LoadTask&) = delete;
  LoadTask& operator=(const LoadTask&) = delete;

  std::string executor_path;  // of its shared library; empty: the CPU's
  std::string host_program;   // empty: the executor runs in this process
  std::vector<std::string> host_environment;
  std::optional<uint64_t> share_id;  // of the session that this one replaces
  Owner config_owner;
  ExecutorConfig config{};
  std::shared_ptr<const text::Vocabulary> vocabulary;
  ExecutorGuidedDecodingConfig guided_decoding{};
  std::atomic<bool> aborted{false};
  std::shared_ptr<EventLoopQueue> queue;      // its callback is onProgress
  std::shared_ptr<EventLoopQueue> log_queue;  // its callback is onLog; null: no logger was given
  double reported = 0;                        // by the loading thread
};

std::vector<std::string> ReadTexts(const Napi::Value& value) {
  std::vector<std::string> texts;
  if (value.IsUndefined()) return texts;
  const auto array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); ++i) texts.push_back(array.Get(i).As<Napi::String>().Utf8Value());
  return texts;
}

// What memory does not suffice for is left out: nothing thrown crosses the table's callbacks.
template <typename Body>
void Tell(Body body) {
  ExecutorError ignored = executor::EmptyError();
  (void)executor::Guarded(&ignored, body);
}

uint32_t Progress(void* context, double done) {
  auto* task = static_cast<LoadTask*>(context);
  if (done - task->reported >= 0.01 || done >= 1) {
    task->reported = done;
    Tell([&] {
      task->queue->Post(
          [done](Napi::Env env, Napi::Function on_progress) { on_progress.Call({Napi::Number::New(env, done)}); });
    });
  }
  const bool environment_ended = !task->queue->IsOpen();
  return task->aborted || environment_ended ? 0 : 1;
}

void Log(void* context, ExecutorLogLevel level, const char* message) {
  Tell([&] {
    static_cast<LoadTask*>(context)->log_queue->Post(
        [level, line = std::string(message)](Napi::Env env, Napi::Function on_log) {
          on_log.Call({Napi::Number::New(env, level), Napi::String::New(env, line)});
        });
  });
}

// What the promise gives: the constructor of NativeSession takes it.
Napi::Value LoadedSession(Napi::Env env, std::shared_ptr<ExecutorSession> session) {
  auto owned = std::make_unique<std::shared_ptr<ExecutorSession>>(std::move(session));
  const auto loaded = Napi::External<std::shared_ptr<ExecutorSession>>::New(
      env, owned.get(), [](Napi::BasicEnv, std::shared_ptr<ExecutorSession>* data) {
        const std::unique_ptr<std::shared_ptr<ExecutorSession>> last(data);
      });
  (void)owned.release();
  return loaded;
}

void AddTokenBytes(LoadTask* task) {
  const text::Vocabulary& vocabulary = *task->vocabulary;
  task->guided_decoding = executor::CopySized(task->config.guided_decoding);
  task->guided_decoding.token_bytes = vocabulary.bytes().data();
  task->guided_decoding.token_offsets = vocabulary.offsets().data();
  task->guided_decoding.token_special = vocabulary.special().data();
  task->guided_decoding.token_count = static_cast<uint32_t>(vocabulary.size());
  task->config.guided_decoding = &task->guided_decoding;
}

std::shared_ptr<ExecutorSession> LoadSession(const std::shared_ptr<LoadTask>& task) {
  OwnedExecutor executor;
  const Isolation isolation = task->host_program.empty() ? Isolation::kNone : Isolation::kProcess;
  if (isolation == Isolation::kNone) {
    const ExecutorTable* const table = executors::OpenExecutor(task->executor_path);
    Executor* created = nullptr;
    ExecutorError error = executor::EmptyError();
    executor::ThrowOnFailure(table->create(&task->config, &created, &error), error);
    executor = OwnedExecutor(created, {table});
  } else {
    executor = OwnedExecutor(isolation::CreateProxy(task->config, task->host_program, task->executor_path,
                                                    std::move(task->host_environment)),
                             {isolation::ProxyTable()});
  }
  auto session = ExecutorSession::Open(std::move(executor), isolation, task->vocabulary, task, task->share_id);
  Share(session);
  return session;
}

// The loading thread. `session` is empty: what it gets goes with the job that settles the promise, run or not.
void LoadAndSettle(const std::shared_ptr<LoadTask>& task, std::shared_ptr<std::shared_ptr<ExecutorSession>> session,
                   const Napi::Promise::Deferred& deferred) {
  ExecutorError error = executor::EmptyError();
  const ExecutorCode code = executor::Guarded(&error, [&] { *session = LoadSession(task); });
  const auto post_settle = [&] {
    EventLoopQueue::Job settle = [task, session, deferred, code, error](Napi::Env env, Napi::Function) {
      if (code == EXECUTOR_OK) {
        deferred.Resolve(LoadedSession(env, std::move(*session)));
      } else {
        deferred.Reject(ToJavaScript(env, executor::FailureOf(code, error)).Value());
      }
      task->queue->Close();
    };
    if (task->log_queue == nullptr) {
      task->queue->Post(std::move(settle));
    } else {  // behind what was logged, and then behind the progress
      task->log_queue->Post([task, settle = std::move(settle)](Napi::Env, Napi::Function) mutable {
        task->queue->Post(std::move(settle));
      });
    }
  };
  executor::UntilMemorySuffices(post_settle, [] { return false; });
}

}  // namespace

Napi::Value Load(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return Guarded(env, [&] {
    const auto options = info[0].As<Napi::Object>();
    auto task = std::make_shared<LoadTask>();
    const Napi::Value library = options.Get("library");
    if (!library.IsUndefined()) task->executor_path = library.As<Napi::String>().Utf8Value();
    const Napi::Value host_program = options.Get("hostProgram");
    if (!host_program.IsUndefined()) task->host_program = host_program.As<Napi::String>().Utf8Value();
    // Here, on the thread that may change the environment.
    if (!task->host_program.empty())
      task->host_environment = isolation::HostEnvironment(ReadTexts(options.Get("hostVariables")));
    const Napi::Value share_id = options.Get("shareId");
    if (!share_id.IsUndefined()) task->share_id = static_cast<uint64_t>(share_id.As<Napi::Number>().Int64Value());
    const Napi::Value tokenizer = options.Get("tokenizer");
    if (!tokenizer.IsUndefined())
      task->vocabulary = TokenizerBinding::Unwrap(tokenizer.As<Napi::Object>())->tokenizer()->parts().vocabulary;
    task->config = ReadConfig(options, &task->config_owner);
    if (task->config.guided_decoding != nullptr && task->vocabulary != nullptr) AddTokenBytes(task.get());
    task->config.on_progress = Progress;
    task->config.context = task.get();

    task->queue = EventLoopQueue::Open(env, info[1].As<Napi::Function>(), "node-tensorrt-llm load");
    if (info[2].IsFunction()) {
      task->log_queue = EventLoopQueue::Open(env, info[2].As<Napi::Function>(), "node-tensorrt-llm log");
      task->log_queue->Unref(env);
      task->config.on_log = Log;
    }
    const auto deferred = Napi::Promise::Deferred::New(env);
    try {
      auto session = std::make_shared<std::shared_ptr<ExecutorSession>>();
      executor::StartThread([task, session = std::move(session), deferred] {
        LoadAndSettle(task, session, deferred);
      }).detach();
    } catch (const executor::Failure& failure) {
      deferred.Reject(ToJavaScript(env, failure).Value());
    }

    auto pending = Napi::Object::New(env);
    pending["promise"] = deferred.Promise();
    // A weak pointer, because onLog may refer to `pending`, and lives as long as the task.
    pending["abort"] = Napi::Function::New(env, [weak = std::weak_ptr(task)](const Napi::CallbackInfo&) {
      if (const auto loading = weak.lock()) loading->aborted = true;
    });
    pending["leave"] = Napi::Function::New(env, [weak = std::weak_ptr(task)](const Napi::CallbackInfo& call) {
      if (const auto loading = weak.lock()) loading->queue->Unref(call.Env());
    });
    return pending;
  });
}

Napi::Value Attach(const Napi::CallbackInfo& info) {
  return Guarded(info.Env(), [&] {
    const auto share_id = static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value());
    return LoadedSession(info.Env(), FindShared(share_id));
  });
}

}  // namespace addon
