// Drives an executor through its table, as the addon does.
#ifndef TEST_EMBEDDED_TABLE_CLIENT_H_
#define TEST_EMBEDDED_TABLE_CLIENT_H_

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "native/embedded/cpu/executor_table.h"
#include "native/executor/executor.h"
#include "tiny_checkpoint.h"

namespace embedded {

// A request's structs, wired up; change what matters to the test before Get.
struct TestRequest {
  uint64_t id = 1;
  std::vector<int32_t> tokens{1, 2, 3};
  std::vector<int32_t> end_ids;
  std::vector<int32_t> draft_tokens;
  ExecutorSampling sampling{};
  ExecutorOutputConfig output{};
  ExecutorDraft draft{};
  ExecutorRequest request{};

  explicit TestRequest(uint64_t request_id, std::vector<int32_t> prompt = {1, 2, 3}, uint32_t max_tokens = 8)
      : id(request_id), tokens(std::move(prompt)) {
    sampling.size = sizeof(sampling);
    sampling.set = SAMPLING_TEMPERATURE;  // 0: greedy
    output.size = sizeof(output);
    request.size = sizeof(request);
    request.streaming = 1;
    request.max_tokens = max_tokens;
  }
  const ExecutorRequest* Get() {
    request.id = id;
    request.tokens = tokens.data();
    request.token_count = static_cast<uint32_t>(tokens.size());
    request.end_ids = end_ids.data();
    request.end_id_count = static_cast<uint32_t>(end_ids.size());
    request.sampling = &sampling;
    request.output = &output;
    draft.size = sizeof(draft);
    draft.tokens = draft_tokens.data();
    draft.token_count = static_cast<uint32_t>(draft_tokens.size());
    if (!draft_tokens.empty()) request.draft = &draft;
    return &request;
  }
};

struct TestRow {
  uint32_t sequence;
  uint32_t tokens;
  ExecutorFinish finish;
  uint8_t flags;  // ROW_*
  bool has_usage;
  bool has_prompt_logprobs;
};

// All that came for one of a request's sequences.
struct TestSequence {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  std::vector<float> generation_logits;
  ExecutorFinish finish = FINISH_NONE;
  int finals = 0;
};

// All that came for one request.
struct TestResult {
  std::map<uint32_t, TestSequence> sequences;
  std::vector<TestRow> row_list;
  // Of all sequences together:
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  std::vector<std::pair<int32_t, float>> top;
  std::vector<float> context_logits;
  std::vector<float> prompt_logprobs;
  std::vector<int32_t> prompt_top_tokens;
  std::vector<float> prompt_top_logprobs;
  std::vector<float> generation_logits;
  std::vector<float> embedding;
  int rows = 0;
  int finals = 0;
  ExecutorFinish finish = FINISH_NONE;
  std::optional<ExecutorRowDetails> details;  // of the last row; its pointers are dead
  std::optional<ExecutorError> error;
  int rows_with_usage = 0;
};

class TableClient {
 public:
  explicit TableClient(const TinyModel& model, const std::function<void(ExecutorConfig*)>& change = {}) {
    model.Write(directory_.path());
    Open(directory_.path(), change);
  }
  explicit TableClient(const std::string& directory, const ExecutorTable* table = cpu::CpuExecutorTable(),
                       const std::function<void(ExecutorConfig*)>& change = {})
      : table_(table) {
    Open(directory, change);
  }
  ~TableClient() {
    if (executor_ != nullptr) table_->destroy(executor_);
  }
  TableClient(const TableClient&) = delete;
  TableClient& operator=(const TableClient&) = delete;

  ExecutorCode code() const { return code_; }
  std::string message() const { return error_.message; }
  const ExecutorError& error() const { return error_; }
  Executor* executor() const { return executor_; }
  const ExecutorTable& table() const { return *table_; }
  const ExecutorInfo& info() const {
    const ExecutorInfo* info = nullptr;
    table_->describe(executor_, &info, nullptr);
    return *info;
  }
  ExecutorStats stats() const {
    ExecutorStats stats{};
    stats.size = sizeof(stats);
    EXPECT_EQ(table_->stats(executor_, &stats, nullptr), EXECUTOR_OK);
    return stats;
  }

  ExecutorCode Submit(std::vector<TestRequest*> requests) {
    std::vector<const ExecutorRequest*> pointers;
    for (TestRequest* request : requests) pointers.push_back(request->Get());
    return code_ = table_->submit(executor_, pointers.data(), static_cast<uint32_t>(pointers.size()), &error_);
  }
  ExecutorCode Submit(TestRequest request) { return Submit({&request}); }
  void Cancel(uint64_t id) { EXPECT_EQ(table_->cancel(executor_, &id, 1, nullptr), EXECUTOR_OK); }

  // One wait; its rows are added to results.
  ExecutorCode WaitOnce(uint32_t timeout_ms = 10000) {
    const ExecutorBatch* batch = nullptr;
    code_ = table_->wait(executor_, timeout_ms, &batch, &error_);
    if (code_ == EXECUTOR_OK) Read(*batch);
    return code_;
  }
  int ended() const { return ended_; }
  // Waits until this many requests have ended.
  void WaitForEnds(int ends) {
    while (ended_ < ends) ASSERT_EQ(WaitOnce(), EXECUTOR_OK) << message();
  }
  // Submits it and waits for its end.
  TestResult Run(TestRequest request) {
    const uint64_t id = request.id;
    EXPECT_EQ(Submit({&request}), EXECUTOR_OK) << message();
    while (code_ == EXECUTOR_OK && results[id].finals == 0) WaitOnce();
    const auto node = results.extract(id);
    return node.empty() ? TestResult() : node.mapped();
  }

  std::map<uint64_t, TestResult> results;

 private:
  void Open(const std::string& directory, const std::function<void(ExecutorConfig*)>& change) {
    ExecutorConfig config{};
    config.size = sizeof(config);
    config.engine_dir = directory.c_str();
    if (change) change(&config);
    error_.size = sizeof(error_);
    code_ = table_->create(&config, &executor_, &error_);
  }

  void Read(const ExecutorBatch& batch) {
    for (uint32_t row = 0; row < batch.row_count; ++row) {
      TestResult& result = results[batch.request_ids[row]];
      ++result.rows;
      TestSequence& sequence = result.sequences[batch.sequences[row]];
      const uint32_t begin = batch.token_offsets[row], end = batch.token_offsets[row + 1];
      Append(batch.tokens + begin, end - begin, &result.tokens);
      Append(batch.tokens + begin, end - begin, &sequence.tokens);
      if (batch.logprobs != nullptr) {
        Append(batch.logprobs + begin, end - begin, &result.logprobs);
        Append(batch.logprobs + begin, end - begin, &sequence.logprobs);
      }
      TestRow& listed = result.row_list.emplace_back();
      listed = {batch.sequences[row], end - begin, static_cast<ExecutorFinish>(batch.finish[row]),
                batch.flags[row],     false,       false};
      if (batch.top_offsets != nullptr)
        for (uint32_t i = batch.top_offsets[begin]; i < batch.top_offsets[end]; ++i)
          result.top.push_back({batch.top_tokens[i], batch.top_logprobs[i]});
      if (batch.details != nullptr && batch.details[row] != nullptr) {
        result.details = *batch.details[row];
        if (result.details->error != nullptr) result.error = *result.details->error;
        const ExecutorRowDetails& details = *result.details;
        listed.has_usage = details.set & DETAILS_USAGE;
        listed.has_prompt_logprobs = details.prompt_logprobs != nullptr;
        result.rows_with_usage += listed.has_usage;
        Append(details.context_logits, &result.context_logits);
        Append(details.generation_logits, &result.generation_logits);
        Append(details.generation_logits, &sequence.generation_logits);
        Append(details.embedding, details.embedding_size, &result.embedding);
        if (listed.has_prompt_logprobs) {
          const size_t top_count = size_t{details.prompt_tokens} * details.prompt_top_count;
          Append(details.prompt_logprobs, details.prompt_tokens, &result.prompt_logprobs);
          Append(details.prompt_top_tokens, top_count, &result.prompt_top_tokens);
          Append(details.prompt_top_logprobs, top_count, &result.prompt_top_logprobs);
        }
      }
      if (batch.flags[row] & ROW_SEQUENCE_FINAL) {
        sequence.finish = listed.finish;
        ++sequence.finals;
      }
      if (batch.flags[row] & ROW_REQUEST_FINAL) {
        result.finish = static_cast<ExecutorFinish>(batch.finish[row]);
        ++result.finals;
        ++ended_;
      }
    }
  }
  static void Append(const ExecutorTensor* tensor, std::vector<float>* out) {
    if (tensor != nullptr)
      Append(static_cast<const float*>(tensor->data), static_cast<size_t>(tensor->shape[0] * tensor->shape[1]), out);
  }
  template <typename T>
  static void Append(const T* data, size_t count, std::vector<T>* out) {
    out->insert(out->end(), data, data + count);
  }

  const ExecutorTable* table_ = cpu::CpuExecutorTable();
  TemporaryDirectory directory_;
  Executor* executor_ = nullptr;
  ExecutorCode code_ = EXECUTOR_OK;
  ExecutorError error_{};
  int ended_ = 0;
};

// A prompt of random tokens.
inline std::vector<int32_t> RandomPrompt(int tokens, int vocab_size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> prompt;
  for (int i = 0; i < tokens; ++i) prompt.push_back(static_cast<int32_t>(random() % static_cast<uint32_t>(vocab_size)));
  return prompt;
}

}  // namespace embedded

#endif  // TEST_EMBEDDED_TABLE_CLIENT_H_
