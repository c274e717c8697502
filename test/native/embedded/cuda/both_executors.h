// The CUDA executor and the CPU executor over one model, for tests that hold the one to the other.
#ifndef TEST_NATIVE_EMBEDDED_CUDA_BOTH_EXECUTORS_H_
#define TEST_NATIVE_EMBEDDED_CUDA_BOTH_EXECUTORS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../table_client.h"

extern "C" const ExecutorTable* executor_table(uint32_t abi_version);

namespace embedded::cuda {

inline const ExecutorTable* CudaTable() { return executor_table(EXECUTOR_ABI_VERSION); }

struct Shape {
  const char* name;
  const char* dtype;
  int hidden_size, heads, kv_heads, head_dim, intermediate_size, vocab_size;
  bool tied_head;
  const char* rotary_scaling = "null";
  TinyModel::Layers layers_have = TinyModel::Layers::kPlain;
};
inline void PrintTo(const Shape& shape, std::ostream* out) { *out << shape.name; }

inline TinyModel ModelOf(const Shape& shape) {
  TinyModel model;
  model.dtype = shape.dtype;
  model.hidden_size = shape.hidden_size;
  model.heads = shape.heads;
  model.kv_heads = shape.kv_heads;
  model.head_dim = shape.head_dim;
  model.intermediate_size = shape.intermediate_size;
  model.vocab_size = shape.vocab_size;
  model.tied_head = shape.tied_head;
  model.rotary_scaling = shape.rotary_scaling;
  model.layers_have = shape.layers_have;
  model.max_positions = 2048;
  model.build_config = R"({"max_batch_size": 32, "max_num_tokens": 1024})";
  return model.Fill();
}

constexpr char kYarn[] = R"({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512})";
const Shape kWithAllThereIs{
    "fp16_all_there_is", "float16", 128, 4, 2, 64, 250, 503, true, kYarn, TinyModel::Layers::kWithAllThereIs};

const Shape kHalf{"half", "float16", 128, 4, 2, 64, 256, 503, true};

// One model in a directory, on both executors.
class Both {
 public:
  using Change = std::function<void(ExecutorConfig*)>;

  explicit Both(const Shape& shape, const Change& change = {}, const Change& change_of_cpu = {})
      : vocab_size_(shape.vocab_size) {
    ModelOf(shape).Write(directory_.path());
    cpu_ = std::make_unique<TableClient>(directory_.path(), cpu::CpuExecutorTable(), change_of_cpu);
    cuda_ = std::make_unique<TableClient>(directory_.path(), CudaTable(), change);
    EXPECT_EQ(cuda_->code(), EXECUTOR_OK) << cuda_->message();
    tolerance_ = std::string(shape.dtype) == "float16" ? 0.01 : 0.08;
  }
  TableClient& cpu() { return *cpu_; }
  TableClient& cuda() { return *cuda_; }
  double tolerance() const { return tolerance_; }
  void set_tolerance(double tolerance) { tolerance_ = tolerance; }
  int vocab_size() const { return vocab_size_; }

  // The logits that the CPU has for the tokens after each of `tokens`.
  std::vector<float> CpuLogits(const std::vector<int32_t>& tokens) {
    TestRequest request(1000 + next_++, tokens, 1);
    request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
    return cpu().Run(request).context_logits;
  }
  // Each of `tokens`, which follow the prompt, is the likeliest or nearly so by the CPU's logits.
  void ExpectGreedy(const std::vector<int32_t>& prompt, const std::vector<int32_t>& tokens, const std::string& what) {
    std::vector<int32_t> all = prompt;
    all.insert(all.end(), tokens.begin(), tokens.end());
    const std::vector<float> logits = CpuLogits(all);
    ASSERT_EQ(logits.size(), all.size() * static_cast<size_t>(vocab_size_));
    for (size_t i = 0; i < tokens.size(); ++i) {
      const float* row = logits.data() + (prompt.size() + i - 1) * static_cast<size_t>(vocab_size_);
      const float best = *std::max_element(row, row + vocab_size_);
      ASSERT_GE(row[tokens[i]], best - Scale(row) * tolerance_) << what << ": token " << i << " of " << tokens.size();
    }
  }
  // How far logits are spread.
  double Scale(const float* row) const {
    double squares = 0;
    for (int i = 0; i < vocab_size_; ++i) squares += double{row[i]} * row[i];
    return std::sqrt(squares / vocab_size_) + 1e-6;
  }

 private:
  TemporaryDirectory directory_;
  std::unique_ptr<TableClient> cpu_, cuda_;
  double tolerance_;
  int vocab_size_;
  uint64_t next_ = 0;
};

inline double WorstError(const std::vector<float>& got, const std::vector<float>& expected, size_t width) {
  double worst = 0;
  for (size_t row = 0; row * width < expected.size(); ++row) {
    double difference = 0, norm = 0;
    for (size_t i = row * width; i < (row + 1) * width; ++i) {
      difference += (double{got[i]} - expected[i]) * (double{got[i]} - expected[i]);
      norm += double{expected[i]} * expected[i];
    }
    const double error = std::sqrt(difference / norm);
    if (!(error <= worst)) worst = error;
    if (std::isnan(worst)) break;
  }
  return worst;
}

inline std::vector<TestRequest> SeveralRequests(int count, int vocab_size, uint32_t max_tokens) {
  std::vector<TestRequest> requests;
  for (int i = 0; i < count; ++i)
    requests.emplace_back(static_cast<uint64_t>(i + 1),
                          RandomPrompt(1 + 37 * i % 150, vocab_size, static_cast<uint32_t>(i)), max_tokens);
  return requests;
}

inline void RunAndExpectGreedy(Both* both, std::vector<TestRequest> requests) {
  std::vector<TestRequest*> pointers;
  for (TestRequest& request : requests) pointers.push_back(&request);
  both->cuda().results.clear();
  ASSERT_EQ(both->cuda().Submit(pointers), EXECUTOR_OK) << both->cuda().message();
  both->cuda().WaitForEnds(both->cuda().ended() + static_cast<int>(requests.size()));
  for (const TestRequest& request : requests) {
    const TestResult& result = both->cuda().results[request.id];
    ASSERT_FALSE(result.error.has_value()) << result.error->message;
    EXPECT_EQ(result.tokens.size(), request.request.max_tokens);
    both->ExpectGreedy(request.tokens, result.tokens, "request " + std::to_string(request.id));
  }
}

}  // namespace embedded::cuda

#endif  // TEST_NATIVE_EMBEDDED_CUDA_BOTH_EXECUTORS_H_
