// A GPU that is lost while requests run: each in a process of its own, which has no other use afterwards.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "../table_client.h"
#include "gpu_model.h"
#include "gpu_test.h"
#include "trap.h"

extern "C" const ExecutorTable* executor_table(uint32_t abi_version);

namespace embedded::cuda {
namespace {

// A failed EXPECT_* of a process that is waited for is not seen.
void Require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what.c_str());
  std::_Exit(1);
}

TinyModel Model() { return GpuModel("float16").Fill(); }

// By the CPU's logits each of `tokens`, which follow the prompt, is the likeliest or nearly so.
void RequireGreedy(TableClient* cpu, const std::vector<int32_t>& prompt, const std::vector<int32_t>& tokens) {
  std::vector<int32_t> all = prompt;
  all.insert(all.end(), tokens.begin(), tokens.end());
  TestRequest request(1, all, 1);
  request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
  const std::vector<float> logits = cpu->Run(request).context_logits;
  const size_t width = cpu->info().vocab_size;
  Require(logits.size() == all.size() * width, "the CPU has logits of all tokens");
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>((prompt.size() + i - 1) * width);
    const float best = *std::max_element(row, row + static_cast<std::ptrdiff_t>(width));
    float largest = 0;
    for (size_t token = 0; token < width; ++token)
      largest = std::max(largest, std::fabs(row[static_cast<long>(token)]));
    Require(row[tokens[i]] >= best - 0.02f * largest, "token " + std::to_string(i) + " is the model's");
  }
}

[[noreturn]] void LoseTheGpuWhileRequestsRun() {
  constexpr int kRequests = 4;
  const auto require_lost = [](const std::string& message, const std::string& whose) {
    Require(message.find("The GPU is lost to this process") != std::string::npos, whose + " says: " + message);
  };
  TemporaryDirectory directory;
  Model().Write(directory.path());
  TableClient cpu(directory.path());
  {
    TableClient cuda(directory.path(), executor_table(EXECUTOR_ABI_VERSION));
    Require(cuda.code() == EXECUTOR_OK, cuda.message());
    std::vector<TestRequest> requests;
    for (uint64_t id = 1; id <= kRequests; ++id)
      requests.emplace_back(id, RandomPrompt(20 * static_cast<int>(id), 503, static_cast<uint32_t>(id)), 1900);
    for (TestRequest& request : requests) Require(cuda.Submit({&request}) == EXECUTOR_OK, cuda.message());
    while (cuda.results[kRequests].tokens.size() < 5) Require(cuda.WaitOnce() == EXECUTOR_OK, cuda.message());
    LaunchTrap(0);
    while (cuda.ended() < kRequests) Require(cuda.WaitOnce() == EXECUTOR_OK, "each request ends by a row of its own");

    for (TestRequest& request : requests) {
      const TestResult& result = cuda.results[request.id];
      Require(result.finals == 1 && result.finish == FINISH_ERROR, "a request ends once, and fails");
      Require(result.error->code == EXECUTOR_FAILED, "the code is EXECUTOR_FAILED");
      require_lost(result.error->message, "a request that ran");
      RequireGreedy(&cpu, request.tokens, result.tokens);
    }
    Require(cuda.Submit(TestRequest(9)) == EXECUTOR_FAILED, "a further request is refused");
    require_lost(cuda.message(), "the refusal");
    Require(cuda.WaitOnce() == EXECUTOR_FAILED, "nothing more comes");
    Require(cuda.table().shutdown(cuda.executor(), 10'000, nullptr) == EXECUTOR_OK, "it shuts down");
  }
  TableClient again(directory.path(), executor_table(EXECUTOR_ABI_VERSION));
  Require(again.code() == EXECUTOR_FAILED, "another load of this process fails: " + again.message());
  require_lost(again.message(), "another load");
  std::exit(0);
}

class LostGpuDeathTest : public GpuTest {};

TEST_F(LostGpuDeathTest, FailsWhatRunsAndWhatComesAndClosesCleanly) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // CUDA does not outlive a fork
  EXPECT_EXIT(LoseTheGpuWhileRequestsRun(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace embedded::cuda
