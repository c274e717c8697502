// What is refused before the GPU is asked for its memory; none of these tests needs a GPU.
#include "native/embedded/cuda/memory_plan.h"

#include "expect_failure.h"

namespace embedded::cuda {
namespace {

TEST(MemoryPlan, ForAStepThatIsTooLargeNamesItsOption) {
  const ExecutorConfig config{};
  ModelConfig model{};
  model.hidden_size = model.head_dim = 64;
  model.heads = 1;
  Limits limits{};
  limits.max_num_tokens = 65536;
  ExpectFailure(
      [&] {
        PlanMemory({config, "", model, limits, nullptr}, Device());
      },
      EXECUTOR_INVALID_OPTION, "maxNumTokens is 65536; expected at most 65472.", "max_num_tokens");
}

}  // namespace
}  // namespace embedded::cuda
