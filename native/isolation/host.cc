// The program node_tensorrt_llm_host: runs one executor in a process of its own, for an addon that talks to it over a socket
// (wire.h). It ends when the other end of the socket closes, and when its executor fails: only the end of the process frees
// what a failed executor leaves behind, such as a broken CUDA context.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>

#include "native/executors/open.h"
#include "native/isolation/config_fields.h"
#include "native/isolation/ended_rows.h"
#include "native/isolation/host_process.h"
#include "native/isolation/message_socket.h"
#include "native/isolation/request_fields.h"
#include "native/isolation/response_fields.h"

namespace isolation {
namespace {

constexpr uint32_t kWaitMs = 60'000;

class Host {
 public:
  // Returns when the addon has closed its end of the socket.
  void Run() {
    Load();
    std::thread waiter(&Host::SendBatches, this);
    while (AnswerMessage()) continue;
    stop_ = true;
    table_->interrupt(executor_);
    waiter.join();
    table_->destroy(executor_);
  }

  void SendFailure(const ExecutorError& error) { SendOrEnd(Encode(MessageType::kFailed, error)); }

 private:
  // Under a mutex, because the executor's threads log too.
  void SendOrEnd(const Bytes& message) {
    const std::lock_guard<std::mutex> lock(sending_);
    if (!Send(kHostSocket, message)) _exit(0);
  }

  Message Next() {
    if (receiver_.Receive(kHostSocket, 0) == MessageReceiver::State::kMessage) return receiver_.Take();
    return {};
  }

  void Load() {
    Message message = Next();
    if (message.type != MessageType::kCreate) _exit(0);
    const auto given = Decode<HostConfig>(std::move(message.payload));
    ExecutorConfig config = *given->config;
    config.on_progress = [](void* host, double done) { return static_cast<Host*>(host)->Progress(done); };
    config.on_log = [](void* host, ExecutorLogLevel level, const char* text) {
      static_cast<Host*>(host)->SendOrEnd(Encode(MessageType::kLog, LogLine{level, text}));
    };
    config.context = this;
    table_ = executors::OpenExecutor(given->executor_path);
    ExecutorError error = executor::EmptyError();
    executor::ThrowOnFailure(table_->create(&config, &executor_, &error), error);
    const ExecutorInfo* info = nullptr;
    executor::ThrowOnFailure(table_->describe(executor_, &info, &error), error);
    SendOrEnd(Encode(MessageType::kLoaded, *info));
  }

  // The addon aborts a load by closing its end of the socket.
  uint32_t Progress(double done) {
    if (done - reported_ >= 0.01) {
      reported_ = done;
      SendOrEnd(Encode(MessageType::kProgress, LoadProgress{done}));
    }
    char peeked;
    return recv(kHostSocket, &peeked, 1, MSG_PEEK | MSG_DONTWAIT) == 0 ? 0 : 1;
  }

  void SendBatches() {
    while (!stop_) {
      const ExecutorBatch* batch = nullptr;
      ExecutorError error = executor::EmptyError();
      ExecutorCode code = table_->wait(executor_, kWaitMs, &batch, &error);
      if (code == EXECUTOR_OK) {
        code = executor::Guarded(&error, [&] {
          if (batch->row_count > 0) SendOrEnd(Encode(MessageType::kBatch, *batch));
        });
      }
      if (code != EXECUTOR_OK) {
        SendFailure(error);
        _exit(1);
      }
    }
  }

  // Handles the next message. Returns whether there was one.
  bool AnswerMessage() {
    Message message = Next();
    ExecutorError error = executor::EmptyError();
    switch (message.type) {
      case MessageType::kSubmit: {
        const auto request = Decode<ExecutorRequest>(std::move(message.payload));
        const ExecutorRequest* const requests[] = {request.get()};
        const ExecutorCode code = table_->submit(executor_, requests, 1, &error);
        if (code != EXECUTOR_OK) {
          SendOrEnd(Encode(MessageType::kBatch, *FailedRows({request->id}, executor::FailureOf(code, error))));
        }
        return true;
      }
      case MessageType::kCancel: {
        const auto list = Decode<IdList>(std::move(message.payload));
        table_->cancel(executor_, list->ids, list->count, &error);  // if the executor failed, the next wait says so
        return true;
      }
      case MessageType::kAskStats: {
        StatsAnswer answer{};
        answer.stats.size = sizeof(answer.stats);
        answer.error = executor::EmptyError();
        table_->stats(executor_, &answer.stats, &answer.error);
        SendOrEnd(Encode(MessageType::kStats, answer));
        return true;
      }
      case MessageType::kShutdown: {
        const auto order = Decode<ShutdownOrder>(std::move(message.payload));
        table_->shutdown(executor_, order->deadline_ms, &error);  // the process ends anyway
        SendOrEnd(Writer(MessageType::kShutDown).Take());
        return true;
      }
      default:
        return false;
    }
  }

  const ExecutorTable* table_ = nullptr;
  Executor* executor_ = nullptr;
  double reported_ = 0;
  MessageReceiver receiver_;
  std::mutex sending_;
  std::atomic<bool> stop_{false};
};

// A terminal and systemd send these signals to the host too, while its parent may still be draining requests; the host ends
// with its parent. A handler instead of SIG_IGN, which programs that an executor starts would inherit.
void IgnoreSignals() {
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};
  nothing.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &nothing, nullptr);
}

// For lib/machine/cuda.ts: what an executor's library finds on this machine. What its drivers leave behind ends with this process.
[[noreturn]] void PrintMachine(const char* library) {
  ExecutorError error = executor::EmptyError();
  const ExecutorCode code = executor::Guarded(&error, [&] { std::puts(executors::DescribeMachine(library).c_str()); });
  if (code != EXECUTOR_OK) std::fputs(error.message, stderr);
  std::fflush(stdout);
  _exit(code == EXECUTOR_OK ? 0 : 1);  // past the exit handlers of what was opened
}

}  // namespace
}  // namespace isolation

int main(int count, char** arguments) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (count == 3 && std::string(arguments[1]) == "--machine") isolation::PrintMachine(arguments[2]);
  isolation::IgnoreSignals();
  if (fcntl(isolation::kHostSocket, F_SETFD, FD_CLOEXEC) != 0) {
    std::fputs(
        "node_tensorrt_llm_host was started by hand; expected LLM.load(dir, { isolation: 'process' }) to do so.\n",
        stderr);
    return 2;
  }
  isolation::Host host;
  ExecutorError error = executor::EmptyError();
  const ExecutorCode code = executor::Guarded(&error, [&] { host.Run(); });
  if (code == EXECUTOR_OK) return 0;
  host.SendFailure(error);
  _exit(1);  // its threads may still run
}
