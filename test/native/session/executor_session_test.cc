#include "native/addon/executor_session.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "memory_limit.h"
#include "native/executor/cpp/failure.h"
#include "scripted_table.h"
#include "thread_limit.h"

namespace addon {
namespace {

using std::chrono::milliseconds;

// What a reader of events was told, by request id.
struct Told {
  std::vector<uint64_t> ended;
  std::map<uint64_t, double> errors;  // ExecutorCode
  std::map<uint64_t, std::vector<int32_t>> tokens;
  std::map<uint64_t, uint32_t> logits_rows;
};

// An environment that reads when the test asks it to.
class Reader {
 public:
  Reader() : sink_(std::make_shared<EnvironmentSink>([this] { Wake(); })) {}

  std::shared_ptr<EnvironmentSink> sink() const { return sink_; }

  // Reads until so many requests have ended, by an end or an error.
  const Told& ReadUntilEnded(size_t requests) {
    while (told_.ended.size() + told_.errors.size() < requests) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait_for(lock, std::chrono::hours(1), [this] { return awake_; });
        awake_ = false;
      }
      Events events;
      sink_->Take(&events);
      Read(events);
    }
    return told_;
  }

 private:
  void Wake() {
    const std::lock_guard<std::mutex> lock(mutex_);
    awake_ = true;
    changed_.notify_all();
  }
  void Read(const Events& events) {
    size_t token = 0, matrix = 0;
    for (size_t at = 0; at < events.numbers.size();) {
      const double* event = &events.numbers[at];
      const auto id = static_cast<uint64_t>(event[1]);
      switch (static_cast<EventKind>(event[0])) {
        case kTokens:
          for (size_t i = 0; i < static_cast<size_t>(event[1]); ++i)
            told_.tokens[static_cast<uint64_t>(event[2 + 2 * i])].push_back(events.tokens[token++]);
          at += 2 + 2 * static_cast<size_t>(event[1]);
          break;
        case kText:
          for (int i = 0; i < static_cast<int>(event[4]); ++i) told_.tokens[id].push_back(events.tokens[token++]);
          if (event[9] == 1) ++matrix;
          at += 10;
          break;
        case kStart:
          at += 5;
          break;
        case kMetrics:
          at += 8;
          break;
        case kEnd:
          told_.ended.push_back(id);
          at += 2;
          break;
        case kError:
          told_.errors[id] = event[2];
          at += 5;
          break;
        case kContextLogits:
          told_.logits_rows[id] = events.logits[matrix++].rows;
          at += 2;
          break;
        case kEmbedding:
          ++matrix;
          at += 2;
          break;
        case kPromptLogprobs:
          at += 3;
          break;
        case kAdditionalOutputs:
          at += 4;
          break;
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool awake_ = false;
  Told told_;
  std::shared_ptr<EnvironmentSink> sink_;
};

std::shared_ptr<ExecutorSession> Open(ScriptedTable* script) {
  return ExecutorSession::Open(script->Create(), Isolation::kNone, nullptr, nullptr);
}

void Submit(ExecutorSession* session, uint64_t id, Reader* reader) {
  const int32_t tokens[] = {1, 2, 3};
  ExecutorOutputConfig output{};
  output.size = sizeof(output);
  output.flags = OUTPUT_PROMPT_LOGPROBS;
  ExecutorRequest request{};
  request.size = sizeof(request);
  request.id = id;
  request.tokens = tokens;
  request.token_count = 3;
  request.output = &output;
  request.max_tokens = 1;
  session->Submit(request, {nullptr, text::SpecialTokens::kKeep}, reader->sink());
}

void CloseAndWait(const std::shared_ptr<ExecutorSession>& session) {
  session->BeginClose(milliseconds(1000));
  session->AwaitClosed();
}

TEST(ExecutorSession, AnExecutorWhosePumpCannotStartIsDestroyedAndTheFailureSaysWhatToRaise) {
  ScriptedTable script;
  const ThreadLimit limit(0);
  try {
    Open(&script);
    FAIL() << "it was opened";
  } catch (const executor::Failure& failure) {
    EXPECT_EQ(failure.code(), EXECUTOR_UNAVAILABLE);
    EXPECT_NE(std::string(failure.what()).find("ulimit -u"), std::string::npos) << failure.what();
  }
  EXPECT_EQ(script.destroyed(), 1);
}

TEST(ExecutorSession, AnExecutorThatDoesNotDescribeItselfIsDestroyed) {
  ScriptedTable script;
  script.FailDescribe();
  EXPECT_THROW(Open(&script), executor::Failure);
  EXPECT_EQ(script.destroyed(), 1);
}

TEST(ExecutorSession, ClosesAndIsDroppedWithoutAThreadToStart) {
  for (const bool closes : {true, false}) {
    ScriptedTable script;
    auto session = Open(&script);
    const ThreadLimit limit(0);
    if (closes) CloseAndWait(session);
    session.reset();
    script.AwaitDestroyed();
    EXPECT_FALSE(limit.was_met());
  }
}

TEST(ExecutorSession, CallsBackWhenItHasClosedAndAtOnceAfterwards) {
  ScriptedTable script;
  const auto session = Open(&script);
  std::atomic<int> calls{0};
  session->BeginClose(milliseconds(1000), [&] { calls += script.destroyed(); });
  session->AwaitClosed();
  while (calls == 0) std::this_thread::yield();
  session->BeginClose(milliseconds(1000), [&] { ++calls; });
  EXPECT_EQ(calls, 2);
}

TEST(ExecutorSession, AnEarlierDeadlineShortensAClose) {
  ScriptedTable script;
  script.IgnoreCancel();
  const auto session = Open(&script);
  Reader reader;
  Submit(session.get(), 1, &reader);
  session->BeginClose(std::chrono::hours(1));
  session->BeginClose(milliseconds(10));
  session->AwaitClosed();
  EXPECT_EQ(script.destroyed(), 1);
}

TEST(ExecutorSession, AnExecutorWithoutANameIsRefused) {
  ScriptedTable script;
  script.info()->name = nullptr;
  EXPECT_THROW(Open(&script), executor::Failure);
  EXPECT_EQ(script.destroyed(), 1);
}

TEST(ExecutorSession, ABatchThatTheContractDoesNotAllowFailsEveryRequestAndTheNext) {
  ScriptedTable script;
  const auto session = Open(&script);
  Reader reader;
  for (const uint64_t id : {1, 2}) Submit(session.get(), id, &reader);
  script.Give(BatchOf(LastRow(1, {kVocabSize})));
  EXPECT_EQ(reader.ReadUntilEnded(2).errors, (std::map<uint64_t, double>{{1, EXECUTOR_FAILED}, {2, EXECUTOR_FAILED}}));
  EXPECT_THROW(Submit(session.get(), 3, &reader), executor::Failure);
  CloseAndWait(session);
}

TEST(ExecutorSession, ARowOfAnOutputThatWasNotAskedForFailsItsRequestAlone) {
  ScriptedTable script;
  const auto session = Open(&script);
  Reader reader;
  for (const uint64_t id : {1, 2}) Submit(session.get(), id, &reader);
  executor::BatchRow row = LastRow(1, {1});
  row.sequence = 7;
  script.Give(BatchOf(std::move(row), LastRow(2, {2})));
  const Told& told = reader.ReadUntilEnded(2);
  EXPECT_EQ(told.errors, (std::map<uint64_t, double>{{1, EXECUTOR_FAILED}}));
  EXPECT_EQ(told.ended, std::vector<uint64_t>{2});
  CloseAndWait(session);
}

// A row with all that takes memory, and a batch in which it comes between others.
executor::BatchRow LargeRow(uint64_t id) {
  executor::BatchRow row = LastRow(id, {5, 6});
  row.logprobs = {-1, -2};
  const executor::TokenLogprob top = {5, -1};
  row.top_logprobs = {{top, top}, {top}};
  executor::BatchRowDetails* details = DetailsOf(&row);
  details->numbers.set = DETAILS_USAGE;
  details->context_logits.assign(3 * kVocabSize, 0.5f);
  details->generation_logits.assign(2 * kVocabSize, 0.5f);
  details->prompt_logprobs.assign(3, -1);
  details->prompt_top_tokens.assign(3, 1);
  details->prompt_top_logprobs.assign(3, -1);
  details->embedding.assign(64, 0.5f);
  executor::HostTensor tensor{{1, 2, 3, 4}, {nullptr, DATA_TYPE_INT32, 1, {1, 0, 0, 0}}};
  details->additional_outputs.emplace_back("a tensor", std::move(tensor));
  executor::HostTensor& kept = details->additional_outputs.back().second;
  kept.view.data = kept.bytes.data();
  return row;
}

TEST(PumpOutOfMemory, EndsTheRequestWhoseLogitsDoNotFitAndNoOther) {
  ScriptedTable script;
  const auto session = Open(&script);
  Reader reader;
  for (const uint64_t id : {1, 2, 3}) Submit(session.get(), id, &reader);
  executor::BatchRow first = LastRow(2, {7});
  first.finish = FINISH_NONE;
  first.flags = 0;
  DetailsOf(&first)->context_logits.assign(1000 * kVocabSize, 0.5f);
  const auto batch = BatchOf(LastRow(1, {1}), std::move(first), LastRow(3, {3}));
  {
    const MemoryLimit limit = MemoryLimit::OfBytes(1000 * kVocabSize * sizeof(float));
    script.Give(batch);
    const Told& told = reader.ReadUntilEnded(3);
    EXPECT_EQ(told.errors, (std::map<uint64_t, double>{{2, EXECUTOR_OUT_OF_MEMORY}}));
    EXPECT_EQ(told.tokens.at(1), std::vector<int32_t>{1});
    EXPECT_EQ(told.tokens.at(3), std::vector<int32_t>{3});
    EXPECT_EQ(told.tokens.count(2), 0u);
    EXPECT_TRUE(limit.was_met());
  }
  Submit(session.get(), 4, &reader);
  script.Give(BatchOf(LastRow(4, {4})));
  EXPECT_EQ(reader.ReadUntilEnded(4).tokens.at(4), std::vector<int32_t>{4});
  CloseAndWait(session);
  EXPECT_EQ(script.cancelled(), std::set<uint64_t>{2});
}

TEST(PumpOutOfMemory, EndsNoMoreRequestsThanAllocationsFailedWhicheverTheyWere) {
  for (const size_t failures : {1, 3}) {
    bool was_met = true;
    for (int64_t allocations = 0; was_met; ++allocations) {
      ScriptedTable script;
      const auto session = Open(&script);
      Reader reader;
      for (const uint64_t id : {1, 2, 3}) Submit(session.get(), id, &reader);
      const auto batch = BatchOf(LastRow(1, {1}), LargeRow(2), LastRow(3, {3}));
      {
        const MemoryLimit limit = MemoryLimit::After(allocations, static_cast<int64_t>(failures));
        script.Give(batch);
        const Told& told = reader.ReadUntilEnded(3);
        was_met = limit.was_met();
        for (const auto& [id, code] : told.errors) EXPECT_EQ(code, EXECUTOR_OUT_OF_MEMORY) << id;
        EXPECT_LE(told.errors.size(), failures);
      }
      Submit(session.get(), 4, &reader);
      script.Give(BatchOf(LastRow(4, {4})));
      EXPECT_EQ(reader.ReadUntilEnded(4).tokens.at(4), std::vector<int32_t>{4}) << "after " << allocations;
      CloseAndWait(session);
    }
  }
}

}  // namespace
}  // namespace addon
