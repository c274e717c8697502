#include "native/addon/load.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "native/addon/config_reader.h"
#include "native/addon/event_loop_queue.h"
#include "native/addon/executor_session.h"
#include "native/addon/failure.h"
#include "native/addon/shared_sessions.h"
#include "native/addon/tokenizer_binding.h"
#include "native/executors/open.h"
#include "native/isolation/proxy_table.h"

namespace addon {
namespace {

// All that the loading thread needs, and what the executor's callbacks refer to; it touches no JavaScript value.
struct LoadTask {
  LoadTask() = default;
  ~LoadTask() {
    if (log_queue != nullptr) log_queue->Finish();  // the last lines say why a load failed
  }
  LoadTask(const LoadTask&) = delete;
  LoadTask& operator=(const LoadTask&) = delete;

  std::string executor_path;  // of its shared library; empty: the CPU's
  std::string host_program;   // empty: the executor runs in this process
  Owner config_owner;
  ExecutorConfig config{};
  std::shared_ptr<const text::Vocabulary> vocabulary;
  std::atomic<bool> aborted{false};
  std::shared_ptr<EventLoopQueue> queue;      // its callback is onProgress
  std::shared_ptr<EventLoopQueue> log_queue;  // its callback is onLog; null: no logger was given
  double reported = 0;                        // by the loading thread
};

uint32_t Progress(void* context, double done) {
  auto* task = static_cast<LoadTask*>(context);
  if (done - task->reported >= 0.01 || done >= 1) {
    task->reported = done;
    task->queue->Post(
        [done](Napi::Env env, Napi::Function on_progress) { on_progress.Call({Napi::Number::New(env, done)}); });
  }
  const bool environment_ended = !task->queue->IsOpen();
  return task->aborted || environment_ended ? 0 : 1;
}

void Log(void* context, ExecutorLogLevel level, const char* message) {
  static_cast<LoadTask*>(context)->log_queue->Post(
      [level, line = std::string(message)](Napi::Env env, Napi::Function on_log) {
        on_log.Call({Napi::Number::New(env, level), Napi::String::New(env, line)});
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

std::shared_ptr<ExecutorSession> LoadSession(const std::shared_ptr<LoadTask>& task) {
  const ExecutorTable* table = nullptr;
  Executor* executor = nullptr;
  const Isolation isolation = task->host_program.empty() ? Isolation::kNone : Isolation::kProcess;
  if (isolation == Isolation::kNone) {
    table = executors::OpenExecutor(task->executor_path);
    ExecutorError error = executor::EmptyError();
    executor::ThrowOnFailure(table->create(&task->config, &executor, &error), error);
  } else {
    table = isolation::ProxyTable();
    executor = isolation::CreateProxy(task->config, task->host_program, task->executor_path);
  }
  auto session = std::make_shared<ExecutorSession>(table, executor, isolation, task->vocabulary, task);
  Share(session);
  return session;
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
    const Napi::Value tokenizer = options.Get("tokenizer");
    if (!tokenizer.IsUndefined())
      task->vocabulary = TokenizerBinding::Unwrap(tokenizer.As<Napi::Object>())->tokenizer()->parts().vocabulary;
    task->config = ReadConfig(options, &task->config_owner);
    task->config.on_progress = Progress;
    task->config.context = task.get();

    task->queue = EventLoopQueue::Open(env, info[1].As<Napi::Function>(), "node-tensorrt-llm load");
    if (info[2].IsFunction()) {
      task->log_queue = EventLoopQueue::Open(env, info[2].As<Napi::Function>(), "node-tensorrt-llm log");
      task->log_queue->Unref(env);
      task->config.on_log = Log;
    }
    const auto deferred = Napi::Promise::Deferred::New(env);
    std::thread([task, deferred] {
      std::shared_ptr<ExecutorSession> session;
      std::optional<executor::Failure> failed;
      try {
        session = LoadSession(task);
      } catch (const executor::Failure& failure) {
        failed = failure;
      } catch (const std::exception& unexpected) {
        failed.emplace(EXECUTOR_INTERNAL, unexpected.what());
      }
      // Moved, so that the closing thread holds the last reference.
      EventLoopQueue::Job settle = [task, deferred, session = std::move(session), failed](Napi::Env loop_env,
                                                                                          Napi::Function) mutable {
        if (failed) {
          deferred.Reject(ToJavaScript(loop_env, *failed).Value());
        } else {
          deferred.Resolve(LoadedSession(loop_env, std::move(session)));
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
    }).detach();

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
