// The prefix cache, through the executor's table.
#include <gtest/gtest.h>

#include <vector>

#include "table_client.h"

namespace embedded {
namespace {

constexpr uint32_t kTokensPerBlock = 32;

TestRequest Continued(uint64_t id, std::vector<int32_t> prompt, int32_t last) {
  prompt.push_back(last);
  return TestRequest(id, std::move(prompt));
}

ExecutorKvCacheConfig off{};

void WithoutReuse(ExecutorConfig* config) {
  off.size = sizeof(off);
  off.set = KV_CACHE_BLOCK_REUSE;
  config->kv_cache = &off;
}

TEST(PrefixCache, GivesTheSameTokensAndCountsWhatItFound) {
  const std::vector<int32_t> prefix = RandomPrompt(3 * kTokensPerBlock + 4, 101, 1);
  TableClient with(DefaultModel()), without(DefaultModel(), WithoutReuse);
  for (uint64_t id = 1; id <= 3; ++id) {
    const TestResult cached = with.Run(Continued(id, prefix, static_cast<int32_t>(id)));
    const TestResult computed = without.Run(Continued(id, prefix, static_cast<int32_t>(id)));
    EXPECT_EQ(cached.tokens, computed.tokens) << id;
    EXPECT_EQ(cached.details->cached_tokens, id == 1 ? 0u : prefix.size());
    EXPECT_EQ(cached.details->kv_blocks_reused, id == 1 ? 0u : 4u) << "three, and a part of one";
    EXPECT_EQ(cached.details->kv_blocks_missed, id == 1 ? 4u : 0u);
    EXPECT_EQ(computed.details->cached_tokens, 0u);
  }
  const ExecutorStats stats = with.stats();
  EXPECT_EQ(stats.kv_blocks_used, 0u);
  EXPECT_EQ(stats.kv_blocks_free, stats.kv_blocks) << "what is kept can be used";
  EXPECT_EQ(stats.kv_blocks_reused, 4u + 4);
  EXPECT_EQ(stats.kv_blocks_missed, 4u);
  EXPECT_EQ(without.stats().kv_blocks_reused, 0u);
}

TEST(PrefixCache, TheFirstTokensOfABlockGiveTheSameTokensToo) {
  const std::vector<int32_t> prompt = RandomPrompt(2 * kTokensPerBlock, 101, 1);
  const auto cut = [&](size_t tokens) {
    return std::vector<int32_t>(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(tokens));
  };
  TableClient with(DefaultModel()), without(DefaultModel(), WithoutReuse);
  with.Run(TestRequest(1, prompt));
  uint64_t id = 2;
  for (const size_t same : {size_t{1}, size_t{17}, size_t{kTokensPerBlock + 5}, size_t{2 * kTokensPerBlock - 1}}) {
    const TestResult cached = with.Run(Continued(id, cut(same), 100));
    EXPECT_EQ(cached.details->cached_tokens, same);
    EXPECT_EQ(cached.tokens, without.Run(Continued(id++, cut(same), 100)).tokens) << same;
  }
  const TestResult again = with.Run(TestRequest(id, prompt));
  EXPECT_EQ(again.details->cached_tokens, 2 * kTokensPerBlock - 1);
  EXPECT_EQ(again.tokens, without.Run(TestRequest(id, prompt)).tokens);
}

TEST(PrefixCache, PartialReuseCanBeTurnedOff) {
  static ExecutorKvCacheConfig kv{};
  kv.size = sizeof(kv);
  kv.set = KV_CACHE_PARTIAL_REUSE;
  TableClient client(DefaultModel(), [](ExecutorConfig* config) { config->kv_cache = &kv; });
  const std::vector<int32_t> prompt = RandomPrompt(2 * kTokensPerBlock, 101, 1);
  client.Run(TestRequest(1, prompt));
  EXPECT_EQ(client.Run(TestRequest(2, prompt)).details->cached_tokens, kTokensPerBlock);
}

TEST(PrefixCache, ASaltSeparatesRequests) {
  TableClient client(DefaultModel());
  const auto cached_tokens = [&](uint64_t id, std::optional<uint64_t> salt) {
    TestRequest request(id, RandomPrompt(kTokensPerBlock + 1, 101, 1), 2);
    if (salt) {
      request.request.set |= REQUEST_CACHE_SALT;
      request.request.cache_salt = *salt;
    }
    return client.Run(request).details->cached_tokens;
  };
  EXPECT_EQ(cached_tokens(1, 5), 0u);
  EXPECT_EQ(cached_tokens(2, std::nullopt), 0u);
  EXPECT_EQ(cached_tokens(3, 0), 0u);
  EXPECT_EQ(cached_tokens(4, 5), kTokensPerBlock);
  EXPECT_EQ(cached_tokens(5, std::nullopt), kTokensPerBlock);
}

TEST(PrefixCache, ARequestThatAsksAboutItsPromptHasItComputed) {
  TableClient client(DefaultModel());
  const std::vector<int32_t> prompt = RandomPrompt(2 * kTokensPerBlock, 101, 1);
  for (uint64_t id = 1; id <= 2; ++id) {
    TestRequest request(id, prompt, 2);
    request.output.flags |= OUTPUT_RETURN_CONTEXT_LOGITS;
    const TestResult result = client.Run(request);
    EXPECT_EQ(result.details->cached_tokens, 0u);
    EXPECT_EQ(result.context_logits.size(), prompt.size() * 101);
  }
}

TEST(PrefixCache, SeveralSequencesStartFromIt) {
  TableClient client(DefaultModel());
  const auto run = [&](uint64_t id) {
    TestRequest request(id, RandomPrompt(2 * kTokensPerBlock + 3, 101, 1));
    request.sampling.set |= SAMPLING_N | SAMPLING_SEED;
    request.sampling.n = 3;
    request.sampling.temperature = 3;
    request.sampling.seed = 5;
    return client.Run(request);
  };
  const TestResult first = run(1), second = run(2);
  EXPECT_EQ(second.details->cached_tokens, 2 * kTokensPerBlock + 2) << "all but the last";
  for (const auto& [index, sequence] : first.sequences)
    EXPECT_EQ(second.sequences.at(index).tokens, sequence.tokens) << index;
}

TEST(PrefixCache, AKvRetentionThatOnlyAnotherExecutorHasIsRefused) {
  TableClient client(DefaultModel());
  ExecutorKvRetention retention{};
  retention.size = sizeof(retention);
  TestRequest request(1);
  request.request.kv_retention = &retention;
  retention.directory = "/tmp";
  EXPECT_EQ(client.Submit(request), EXECUTOR_UNSUPPORTED);
  EXPECT_STREQ(client.error().field, "kv_retention.directory");
  retention.directory = nullptr;
  retention.set = KV_RETENTION_TRANSFER_MODE;
  retention.transfer_mode = TRANSFER_GDS;
  EXPECT_EQ(client.Submit(request), EXECUTOR_UNSUPPORTED);
  EXPECT_STREQ(client.error().field, "kv_retention.transfer_mode");
  retention.set = KV_RETENTION_DECODE_PRIORITY;
  retention.decode_priority = 101;
  EXPECT_EQ(client.Submit(request), EXECUTOR_INVALID_OPTION);
  EXPECT_STREQ(client.error().field, "kv_retention.decode_priority");
}

}  // namespace
}  // namespace embedded
