// Beam search on the GPU: each output is as likely as the CPU executor finds it, and as those that it finds itself.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "../asked_request.h"
#include "gpu_test.h"
#include "native/executor/cpp/logprobs.h"

extern "C" const ExecutorTable* executor_table(uint32_t abi_version);

namespace embedded::cuda {
namespace {

constexpr int kVocabSize = 503;
constexpr double kLogprobTolerance = 0.15;  // of float16; another beam's keys and values would be wrong by several

class CudaBeams : public GpuTest {
 protected:
  void SetUp() override {
    GpuTest::SetUp();
    if (IsSkipped()) return;
    TinyModel model;
    model.dtype = "float16";
    model.hidden_size = 128;
    model.head_dim = 64;
    model.intermediate_size = 256;
    model.vocab_size = kVocabSize;
    model.max_positions = 2048;
    model.build_config = R"({"max_batch_size": 32, "max_num_tokens": 1024})";
    model.Fill().Write(directory_.path());
    cpu_ = std::make_unique<TableClient>(directory_.path());
    cuda_ = std::make_unique<TableClient>(directory_.path(), executor_table(EXECUTOR_ABI_VERSION));
    ASSERT_EQ(cuda_->code(), EXECUTOR_OK) << cuda_->message();
  }

  static AskedRequest Beams(uint64_t id, uint32_t width, int prompt_tokens) {
    AskedRequest request(id, RandomPrompt(prompt_tokens, kVocabSize, static_cast<uint32_t>(id)), 24);
    request.sampling.set |= SAMPLING_BEAM_WIDTH;
    request.sampling.beam_width = width;
    request.output.flags = OUTPUT_LOGPROBS;
    return request;
  }

  // Its logprobs are those of its tokens after the prompt, so no beam has read another's keys and values.
  void ExpectLogprobsOfTheCpu(const TestRequest& request, const TestSequence& output) {
    std::vector<int32_t> all = request.tokens;
    all.insert(all.end(), output.tokens.begin(), output.tokens.end());
    TestRequest check(1000 + request.id, all, 1);
    check.output.flags = OUTPUT_PROMPT_LOGPROBS;
    const TestResult result = cpu_->Run(check);
    ASSERT_EQ(output.logprobs.size(), output.tokens.size());
    for (size_t i = 0; i < output.tokens.size(); ++i)
      EXPECT_NEAR(output.logprobs[i], result.prompt_logprobs[request.tokens.size() + i], kLogprobTolerance) << i;
  }

  static void ExpectNoPairTwice(const std::vector<int32_t>& tokens) {
    std::set<std::pair<int32_t, int32_t>> pairs;
    for (size_t i = 1; i < tokens.size(); ++i) EXPECT_TRUE(pairs.insert({tokens[i - 1], tokens[i]}).second) << i;
  }

  static double Sum(const TestSequence& output) {
    return std::accumulate(output.logprobs.begin(), output.logprobs.end(), 0.0);
  }

  // Nearly equal choices may differ, and all that follows from them: then the sums are nearly equal still.
  void ExpectTheCpusOutputs(AskedRequest request) {
    SCOPED_TRACE(request.sampling.beam_width);
    const TestResult got = cuda_->Run(request.Wire()), expected = cpu_->Run(request.Wire());
    ASSERT_FALSE(got.error.has_value()) << got.error->message;
    ASSERT_EQ(got.sequences.size(), request.sampling.beam_width);
    std::set<std::vector<int32_t>> texts;
    for (const auto& [index, output] : got.sequences) {
      SCOPED_TRACE(index);
      ExpectLogprobsOfTheCpu(request, output);
      const TestSequence& cpu = expected.sequences.at(index);
      if (!(request.sampling.set & SAMPLING_REPETITION_PENALTY)) {  // else the sum is not the score
        EXPECT_NEAR(Sum(output), Sum(cpu), kLogprobTolerance * static_cast<double>(cpu.tokens.size()));
      }
      if (request.sampling.set & SAMPLING_NO_REPEAT_NGRAM_SIZE) ExpectNoPairTwice(output.tokens);
      texts.insert(output.tokens);
    }
    EXPECT_EQ(texts.size(), got.sequences.size());
    EXPECT_EQ(cuda_->stats().kv_blocks_used, 0u);
  }

  TemporaryDirectory directory_;
  std::unique_ptr<TableClient> cpu_, cuda_;
};

TEST_F(CudaBeams, AreThoseOfTheCpu) {
  uint64_t id = 0;
  for (const uint32_t width : {2u, 4u, 8u, 31u})
    for (const int prompt_tokens : {3, 64, 150}) ExpectTheCpusOutputs(Beams(++id, width, prompt_tokens));
}

TEST_F(CudaBeams, WithPenaltiesAreThoseOfTheCpu) {
  AskedRequest request = Beams(1, 8, 20);
  request.sampling.set |= SAMPLING_REPETITION_PENALTY | SAMPLING_NO_REPEAT_NGRAM_SIZE;
  request.sampling.repetition_penalty = 1.3f;
  request.sampling.no_repeat_ngram_size = 2;
  ExpectTheCpusOutputs(request);
  request.id = 2;
  request.bad_tokens.lists = {{5}, {7, 8}};
  request.output.top_logprobs = 5;  // of other tokens than the candidates
  ExpectTheCpusOutputs(request);
}

TEST_F(CudaBeams, WithLikelyTokensAndLogitsHaveThoseOfTheirTokens) {
  AskedRequest request = Beams(1, 4, 20);
  request.output.flags |= OUTPUT_RETURN_GENERATION_LOGITS;
  request.output.top_logprobs = 7;
  const TestResult result = cuda_->Run(request.Wire());
  ASSERT_FALSE(result.error.has_value()) << result.error->message;
  for (const auto& [index, output] : result.sequences) {
    ASSERT_EQ(output.generation_logits.size(), output.tokens.size() * kVocabSize);
    for (size_t i = 0; i < output.tokens.size(); ++i) {
      const float* const logits = output.generation_logits.data() + i * kVocabSize;
      EXPECT_NEAR(output.logprobs[i], logits[output.tokens[i]] - executor::LogSumExp(logits, kVocabSize), 1e-4);
    }
  }
}

// Beams beside other requests, some of both cancelled: what is left is as it would be alone.
TEST_F(CudaBeams, AmongOtherRequestsAllEndOnceAndLeaveNoBlock) {
  std::vector<AskedRequest> requests;
  for (uint64_t id = 1; id <= 24; ++id) {
    requests.push_back(Beams(id, id % 3 == 0 ? 1 : 2 + id % 6, 5 + static_cast<int>(id * 7)));
    requests.back().request.streaming = id % 2;
  }
  std::vector<TestRequest*> pointers;
  for (AskedRequest& request : requests) pointers.push_back(&request.Wire());
  ASSERT_EQ(cuda_->Submit(pointers), EXECUTOR_OK) << cuda_->message();
  for (uint64_t id = 4; id <= 24; id += 4) {
    if (cuda_->ended() < 24) cuda_->WaitOnce();
    cuda_->Cancel(id);
  }
  cuda_->WaitForEnds(24);
  for (const AskedRequest& request : requests) {
    SCOPED_TRACE(request.id);
    const TestResult& result = cuda_->results[request.id];
    EXPECT_EQ(result.finals, 1);
    ASSERT_EQ(result.sequences.size(), request.sampling.beam_width);
    for (const auto& [index, output] : result.sequences) {
      EXPECT_EQ(output.finals, 1);
      if (output.finish != FINISH_CANCELLED) ExpectLogprobsOfTheCpu(request, output);
    }
  }
  EXPECT_EQ(cuda_->stats().kv_blocks_used, 0u);
}

}  // namespace
}  // namespace embedded::cuda
