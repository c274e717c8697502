// kv_cache.dtype KV_DTYPE_INT8, from the outside: how near logits stay, and what the cache takes.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "../table_client.h"
#include "native/embedded/cpu/dispatch.h"

namespace embedded::cpu {
namespace {

std::function<void(ExecutorConfig*)> With(ExecutorKvDtype dtype, uint32_t max_num_tokens = 64) {
  return [=](ExecutorConfig* config) {
    static ExecutorKvCacheConfig kv{};
    kv.size = sizeof(kv);
    kv.set = KV_CACHE_DTYPE | KV_CACHE_MAX_TOKENS | KV_CACHE_MAX_BYTES;
    kv.max_tokens = 1 << 20;
    kv.dtype = dtype;
    kv.max_bytes = 4 << 20;
    config->kv_cache = &kv;
    config->set |= CONFIG_MAX_NUM_TOKENS | CONFIG_MAX_BATCH_SIZE;
    config->max_num_tokens = max_num_tokens;
    config->max_batch_size = 1;
  };
}

std::vector<float> LogitsOf(TableClient* client, int vocab_size) {
  TestRequest request(1, RandomPrompt(130, vocab_size, 11), 12);
  request.output.flags = OUTPUT_RETURN_CONTEXT_LOGITS;
  return client->Run(std::move(request)).context_logits;
}

double RootMeanSquare(const std::vector<float>& x) {
  double squares = 0;
  for (const float each : x) squares += double{each} * each;
  return std::sqrt(squares / static_cast<double>(x.size()));
}

TEST(Int8KvCache, LogitsStayWithinThreePercentOfThoseOfAFloatCacheAndChunksChangeNoBit) {
  const TinyModel model = TinyModel().Fill();
  for (const Kernels* kernels : SupportedKernels()) {
    setenv("NODE_TENSORRT_LLM_CPU_KERNELS", kernels->name, 1);
    TableClient floats(model, With(KV_DTYPE_AUTO)), bytes(model, With(KV_DTYPE_INT8)),
        chunks(model, With(KV_DTYPE_INT8, 7));
    unsetenv("NODE_TENSORRT_LLM_CPU_KERNELS");
    const std::vector<float> expected = LogitsOf(&floats, model.vocab_size);
    const std::vector<float> actual = LogitsOf(&bytes, model.vocab_size);
    const std::vector<float> in_chunks = LogitsOf(&chunks, model.vocab_size);
    ASSERT_FALSE(actual.empty());
    ASSERT_EQ(actual.size(), expected.size());
    std::vector<float> error = actual;
    for (size_t i = 0; i < error.size(); ++i) error[i] -= expected[i];
    EXPECT_LT(RootMeanSquare(error), 0.03 * RootMeanSquare(expected)) << kernels->name;
    EXPECT_GT(RootMeanSquare(error), 0) << kernels->name << " did not round";
    EXPECT_EQ(std::memcmp(in_chunks.data(), actual.data(), actual.size() * sizeof(float)), 0) << kernels->name;
  }
}

TEST(Int8KvCache, TheSameMemoryHoldsNearlyTwiceTheTokensOfFloat16) {
  TinyModel model;
  model.dtype = "float16";
  model.head_dim = 64;
  model.Fill();
  const TableClient halves(model, With(KV_DTYPE_AUTO)), bytes(model, With(KV_DTYPE_INT8));
  EXPECT_GT(bytes.info().kv_blocks, 1.85 * halves.info().kv_blocks);
  // A token and head: keys and values of 64, and two scales.
  EXPECT_EQ(bytes.info().kv_cache_bytes,
            uint64_t{bytes.info().kv_blocks} * bytes.info().tokens_per_block * (2 * 64 + 8) * 2 * 2);
}

}  // namespace
}  // namespace embedded::cpu
