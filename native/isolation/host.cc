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
#include <unordered_set>

#include "native/executor/cpp/batch_check.h"
#include "native/executor/cpp/start_thread.h"
#include "native/executors/calibrate.h"
#include "native/executors/open.h"
#include "native/isolation/batch_slice.h"
#include "native/isolation/config_fields.h"
#include "native/isolation/ended_rows.h"
#include "native/isolation/host_process.h"
#include "native/isolation/message_socket.h"
#include "native/isolation/request_fields.h"
#include "native/isolation/response_fields.h"

namespace isolation {
namespace {

constexpr uint32_t kWaitMs = 60'000;
// Some executors give KV events later than the rows that they came with.
constexpr uint32_t kKvEventsWaitMs = 100;

class Host {
 public:
  // Returns when the addon has closed its end of the socket.
  void Run() {
    const ExecutorInfo* const info = Load();
    executor::CheckInfo(*info);
    vocab_size_ = info->vocab_size;
    has_kv_events_ = info->capabilities & CAN_KV_EVENTS;
    const Bytes loaded = Encode(MessageType::kLoaded, *info);
    std::thread waiter = executor::StartThread([this] { SendBatches(); });
    SendOrEnd(loaded);
    ExecutorError error = executor::EmptyError();
    const ExecutorCode code = executor::Guarded(&error, [&] {
      while (AnswerMessage()) continue;
    });
    if (code != EXECUTOR_OK) {
      SendFailure(error);
      _exit(1);
    }
    stop_ = true;
    table_->interrupt(executor_);
    waiter.join();
    table_->destroy(executor_);
  }

  void SendFailure(const ExecutorError& error) noexcept { SendOrEnd(Encode(MessageType::kFailed, error)); }

 private:
  // Under a mutex, because the executor's threads log too.
  void SendOrEnd(const Bytes& message) {
    const std::lock_guard<std::mutex> lock(sending_);
    if (!Send(kHostSocket, message)) _exit(0);
  }

  // A type of 0: there is none.
  Message Next() {
    if (receiver_.Receive(kHostSocket, 0) == MessageReceiver::State::kMessage) return receiver_.Take();
    return {};
  }

  const ExecutorInfo* Load() {
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
    return info;
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
      ExecutorCode code = table_->wait(executor_, has_kv_events_ ? kKvEventsWaitMs : kWaitMs, &batch, &error);
      if (code == EXECUTOR_OK) {
        if (has_kv_events_) SendKvEvents();
        code = executor::Guarded(&error, [&] {
          executor::CheckBatch(*batch, vocab_size_);
          SendBatch(*batch);
        });
      }
      if (code != EXECUTOR_OK) {
        SendFailure(error);
        _exit(1);
      }
    }
  }

  // Where memory runs out they are lost, which their ids show.
  void SendKvEvents() {
    ExecutorError error = executor::EmptyError();
    (void)executor::Guarded(&error, [&] {
      const ExecutorKvEvents* events = nullptr;
      executor::ThrowOnFailure(table_->kv_events(executor_, &events, &error), error);
      if (events->event_count > 0) SendOrEnd(Encode(MessageType::kKvEvents, *events));
    });
  }

  // In parts: a row with much data is one, so that where memory runs out only its request ends.
  void SendBatch(const ExecutorBatch& batch) {
    uint32_t first = 0;  // of those to send
    const auto send_until = [&](uint32_t end) {
      if (first < end) SendOrEnd(Encode(MessageType::kBatch, BatchSlice(batch, first, end).batch()));
      first = end;
    };
    for (uint32_t row = 0; row < batch.row_count; ++row) {
      const auto lost = lost_.find(batch.request_ids[row]);
      if (lost == lost_.end() && !IsLargeRow(batch, row)) continue;
      send_until(row);
      first = row + 1;
      if (lost == lost_.end()) SendLargeRow(batch, row);
      if (batch.flags[row] & ROW_REQUEST_FINAL) lost_.erase(batch.request_ids[row]);
    }
    send_until(batch.row_count);
  }
  void SendLargeRow(const ExecutorBatch& batch, uint32_t row) {
    const uint64_t id = batch.request_ids[row];
    try {
      SendOrEnd(Encode(MessageType::kBatch, BatchSlice(batch, row, row + 1).batch(), id));
    } catch (const executor::Failure&) {
      throw;
    } catch (const std::exception&) {  // std::bad_alloc, or std::length_error: more than any memory holds
      SendOrEnd(Encode(MessageType::kBatch, *FailedRows({id}, executor::OutOfOutputMemory(id))));
      lost_.insert(id);
      ExecutorError error = executor::EmptyError();
      table_->cancel(executor_, &id, 1, &error);
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
  uint32_t vocab_size_ = 0;
  bool has_kv_events_ = false;
  double reported_ = 0;
  MessageReceiver receiver_{MessageReceiver::From::kAddon};
  std::unordered_set<uint64_t> lost_;  // requests that ended for want of memory here; of the thread that waits
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

// The exit status is an ExecutorCode.
template <typename Body>
[[noreturn]] void PrintAndExit(const Body& body) {
  ExecutorError error = executor::EmptyError();
  const ExecutorCode code = executor::Guarded(&error, [&] { std::puts(body().c_str()); });
  if (code != EXECUTOR_OK) std::fputs(error.message, stderr);
  std::fflush(stdout);
  _exit(code);  // past the exit handlers of what was opened
}

// For lib/machine/cuda.ts: what an executor's library finds on this machine. What its drivers leave behind ends with this process.
[[noreturn]] void PrintMachine(const char* library) {
  PrintAndExit([&] { return executors::DescribeMachine(library); });
}

// For lib/engine/convert/calibrate.ts. Progress goes to standard error, a line each.
[[noreturn]] void PrintInputMaxima(const char* engine_dir, const char* texts_path) {
  PrintAndExit([&] {
    return executors::DescribeInputMaxima(engine_dir, texts_path,
                                          [](int done, int total) { std::fprintf(stderr, "%d of %d\n", done, total); });
  });
}

}  // namespace
}  // namespace isolation

int main(int count, char** arguments) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (count == 3 && std::string(arguments[1]) == "--machine") isolation::PrintMachine(arguments[2]);
  if (count == 4 && std::string(arguments[1]) == "--calibrate") isolation::PrintInputMaxima(arguments[2], arguments[3]);
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
