// Several sequences of one request: what each gets, its rows, and how they end.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "table_client.h"

namespace embedded {
namespace {

// Sequences whose tokens differ.
TestRequest Sampled(uint64_t id, uint32_t sequences, std::vector<int32_t> prompt = {1, 2, 3}, uint32_t max_tokens = 8) {
  TestRequest request(id, std::move(prompt), max_tokens);
  request.sampling.set |= SAMPLING_N | SAMPLING_SEED;
  request.sampling.n = sequences;
  request.sampling.temperature = 3;
  request.sampling.seed = 5;
  return request;
}

TestRequest LongSampled(uint64_t id, uint32_t sequences) { return Sampled(id, sequences, {1, 2, 3}, 1000000); }

// What every end must look like: each sequence ends once, the request with the last of them.
void ExpectEnds(const TestResult& result, uint32_t sequences) {
  EXPECT_EQ(result.finals, 1);
  EXPECT_EQ(result.sequences.size(), sequences);
  for (const auto& [index, sequence] : result.sequences) {
    EXPECT_LT(index, sequences);
    EXPECT_EQ(sequence.finals, 1) << index;
    EXPECT_NE(sequence.finish, FINISH_NONE) << index;
  }
  ASSERT_FALSE(result.row_list.empty());
  EXPECT_EQ(result.row_list.back().flags, ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL);
  for (size_t i = 0; i < result.row_list.size(); ++i) {
    const bool is_first_or_last = i == 0 || i + 1 == result.row_list.size();
    EXPECT_EQ(result.row_list[i].has_usage, is_first_or_last) << "row " << i;
  }
}

TEST(Sequences, OfAGreedyRequestAreAllWhatOneAloneWouldBe) {
  TableClient client(DefaultModel());
  const std::vector<int32_t> alone = client.Run(TestRequest(1)).tokens;
  TestRequest request = Sampled(2, 4);
  request.sampling.temperature = 0;
  const TestResult result = client.Run(request);
  ExpectEnds(result, 4);
  for (const auto& [index, sequence] : result.sequences) EXPECT_EQ(sequence.tokens, alone) << index;
}

TEST(Sequences, DrawByTheirIndexWhateverTheirNumber) {
  TableClient client(DefaultModel());
  const TestResult one = client.Run(Sampled(1, 1)), two = client.Run(Sampled(2, 2)), four = client.Run(Sampled(3, 4));
  EXPECT_EQ(two.sequences.at(0).tokens, one.tokens);
  for (uint32_t i = 0; i < 2; ++i) EXPECT_EQ(four.sequences.at(i).tokens, two.sequences.at(i).tokens);
  for (uint32_t i = 0; i < 4; ++i)
    for (uint32_t j = 0; j < i; ++j) EXPECT_NE(four.sequences.at(i).tokens, four.sequences.at(j).tokens);
}

TEST(Sequences, ThePromptIsComputedAndKeptOnce) {
  TableClient client(DefaultModel());
  const TestResult whole_blocks = client.Run(Sampled(1, 8, RandomPrompt(96, 101, 1), 5));
  ASSERT_TRUE(whole_blocks.details.has_value());
  EXPECT_EQ(whole_blocks.details->kv_blocks_allocated, 3u + 8) << "three of the prompt, then one each";
  EXPECT_EQ(client.stats().steps, 2u + 4) << "chunks of 64 and 32, then four tokens";
  EXPECT_EQ(client.stats().kv_blocks_allocated, 3u + 8);
  const TestResult cut_block = client.Run(Sampled(2, 8, RandomPrompt(100, 101, 2), 5));
  EXPECT_EQ(cut_block.details->kv_blocks_allocated, 4u + 7) << "all but one copy the block that the prompt ends in";
  EXPECT_EQ(client.stats().kv_blocks_used, 0u);
}

TEST(Sequences, EachHasItsRowsAndTheLastToEndEndsTheRequest) {
  TableClient client(DefaultModel());
  const TestResult result = client.Run(Sampled(1, 3, {1, 2, 3}, 4));
  ExpectEnds(result, 3);
  ASSERT_EQ(result.rows, 12);
  for (size_t i = 0; i < 12; ++i) {
    const TestRow& row = result.row_list[i];
    EXPECT_EQ(row.sequence, i % 3);
    EXPECT_EQ(row.tokens, 1u);
    EXPECT_EQ(row.finish, i < 9 ? FINISH_NONE : FINISH_LENGTH);
    EXPECT_EQ(row.flags, i < 9 ? 0 : i < 11 ? ROW_SEQUENCE_FINAL : ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL);
  }
}

TEST(Sequences, WithoutStreamingEachComesInOneRowAtItsEnd) {
  TableClient client(DefaultModel());
  const TestResult streamed = client.Run(Sampled(1, 3));
  TestRequest request = Sampled(2, 3);
  request.request.streaming = 0;
  const TestResult result = client.Run(request);
  ExpectEnds(result, 3);
  EXPECT_EQ(result.rows, 3);
  for (const auto& [index, sequence] : result.sequences)
    EXPECT_EQ(sequence.tokens, streamed.sequences.at(index).tokens) << index;
}

TEST(Sequences, EndIdsAndStopWordsEndEachForItself) {
  TableClient client(DefaultModel());
  const TestResult whole = client.Run(Sampled(1, 4, {1, 2, 3}, 20));
  const int32_t end_id = whole.sequences.at(1).tokens[4], stop_word = whole.sequences.at(2).tokens[7];
  ASSERT_NE(end_id, stop_word);
  TestRequest request = Sampled(2, 4, {1, 2, 3}, 20);
  request.end_ids = {end_id};
  const uint32_t offsets[] = {0, 1};
  request.request.stop_tokens = {&stop_word, offsets, 1};
  const TestResult result = client.Run(request);
  ExpectEnds(result, 4);
  for (const auto& [index, sequence] : result.sequences) {
    std::vector<int32_t> expected;
    ExecutorFinish finish = FINISH_LENGTH;
    for (const int32_t token : whole.sequences.at(index).tokens) {
      if (token == end_id) {
        finish = FINISH_END_ID;
        break;
      }
      expected.push_back(token);
      if (token == stop_word) {
        finish = FINISH_STOP_TOKENS;
        break;
      }
    }
    EXPECT_EQ(sequence.tokens, expected) << index;
    EXPECT_EQ(sequence.finish, finish) << index;
  }
  EXPECT_LT(result.tokens.size(), whole.tokens.size());
  EXPECT_EQ(client.stats().completed_requests, 2u);
}

TEST(Sequences, MayAllEndWithTheirFirstToken) {
  TableClient client(DefaultModel());
  TestRequest request = Sampled(1, 5, RandomPrompt(40, 101, 1), 1);
  const TestResult result = client.Run(request);
  ExpectEnds(result, 5);
  EXPECT_EQ(result.tokens.size(), 5u);
  request.end_ids = result.tokens;
  const TestResult ended = client.Run(request);
  ExpectEnds(ended, 5);
  EXPECT_TRUE(ended.tokens.empty());
  EXPECT_EQ(client.stats().kv_blocks_used, 0u);
}

TEST(Sequences, LogprobsAndLogitsComeWithEachSequencesTokens) {
  TableClient client(DefaultModel());
  TestRequest request = Sampled(1, 3);
  request.output.flags = OUTPUT_LOGPROBS | OUTPUT_RETURN_GENERATION_LOGITS;
  const TestResult result = client.Run(request);
  for (const auto& [index, sequence] : result.sequences) {
    ASSERT_EQ(sequence.logprobs.size(), 8u) << index;
    ASSERT_EQ(sequence.generation_logits.size(), 8u * 101) << index;
    for (size_t i = 0; i < 8; ++i) {
      double sum = 0;
      for (size_t v = 0; v < 101; ++v) sum += std::exp(double{sequence.generation_logits[101 * i + v]});
      EXPECT_NEAR(sequence.logprobs[i],
                  sequence.generation_logits[101 * i + static_cast<size_t>(sequence.tokens[i])] - std::log(sum), 1e-5);
    }
  }
}

TEST(Sequences, ARequestWaitsUntilAllItsSequencesHaveASlot) {
  TableClient client(EndlessModel(), [](ExecutorConfig* config) {
    config->set |= CONFIG_MAX_BATCH_SIZE;
    config->max_batch_size = 4;
  });
  TestRequest three = LongSampled(1, 3), two = LongSampled(2, 2);
  ASSERT_EQ(client.Submit({&three, &two}), EXECUTOR_OK);
  while (client.results[1].tokens.size() < 30) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
  EXPECT_EQ(client.stats().active_requests, 1u);
  EXPECT_EQ(client.stats().queued_requests, 1u);
  EXPECT_EQ(client.stats().scheduled_requests, 1u);
  EXPECT_EQ(client.results[2].rows, 0);
  client.Cancel(1);
  while (client.results[2].tokens.size() < 6) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
  ExpectEnds(client.results[1], 3);
}

TEST(Sequences, CancelEndsEachOfThemInEveryPhase) {
  TableClient client(EndlessModel(), [](ExecutorConfig* config) {
    config->set |= CONFIG_MAX_BATCH_SIZE;
    config->max_batch_size = 4;
  });
  TestRequest decoding = LongSampled(1, 4), waiting = LongSampled(2, 3);
  ASSERT_EQ(client.Submit({&decoding, &waiting}), EXECUTOR_OK);
  while (client.results[1].tokens.size() < 10) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
  client.Cancel(2);
  while (client.results[2].finals == 0) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
  client.Cancel(1);
  client.WaitForEnds(2);
  TestRequest in_prompt = Sampled(3, 4, RandomPrompt(200000, 101, 1), 100);
  ASSERT_EQ(client.Submit(in_prompt), EXECUTOR_OK);
  while (client.results[3].rows == 0) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
  client.Cancel(3);
  client.WaitForEnds(3);
  EXPECT_TRUE(client.results[3].tokens.empty());
  for (const auto& [id, sequences] : {std::pair<uint64_t, uint32_t>{1, 4}, {2, 3}, {3, 4}}) {
    SCOPED_TRACE(id);
    ExpectEnds(client.results[id], sequences);
    for (const auto& [index, sequence] : client.results[id].sequences) EXPECT_EQ(sequence.finish, FINISH_CANCELLED);
  }
  EXPECT_EQ(client.stats().kv_blocks_used, 0u);
  EXPECT_EQ(client.stats().completed_requests, 3u);
}

TEST(Sequences, ShutdownEndsEachOfThem) {
  TableClient client(EndlessModel());
  TestRequest one = LongSampled(1, 3), two = LongSampled(2, 62);  // the second waits
  ASSERT_EQ(client.Submit({&one, &two}), EXECUTOR_OK);
  while (client.results[1].tokens.empty()) ASSERT_EQ(client.WaitOnce(), EXECUTOR_OK);
  ASSERT_EQ(client.table().shutdown(client.executor(), 10000, nullptr), EXECUTOR_OK);
  client.WaitForEnds(2);
  ExpectEnds(client.results[1], 3);
  ExpectEnds(client.results[2], 62);
}

TEST(Sequences, AnErrorEndsThemAllInOneRow) {
  TinyModel model = DefaultModel();
  std::vector<float>& embedding = model.tensors["transformer.vocab_embedding.weight"];
  std::fill_n(embedding.begin() + 5 * model.hidden_size, model.hidden_size, std::nanf(""));
  model.tied_head = false;
  model.tensors["lm_head.weight"] = DefaultModel().tensors.at("transformer.vocab_embedding.weight");
  model.shapes["lm_head.weight"] = {model.vocab_size, model.hidden_size};
  TableClient client(model);
  // Token 5 gives no numbers: the first of the sequences that draws it fails, and with it the request.
  TestRequest request = Sampled(1, 40, {1, 2, 3}, 200);
  const TestResult result = client.Run(request);
  EXPECT_EQ(result.finals, 1);
  EXPECT_EQ(result.finish, FINISH_ERROR);
  ASSERT_TRUE(result.error.has_value());
  EXPECT_EQ(result.error->code, EXECUTOR_ENGINE_WEIGHTS);
  EXPECT_EQ(result.row_list.back().flags, ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL);
  EXPECT_EQ(std::count_if(result.row_list.begin(), result.row_list.end(),
                          [](const TestRow& row) { return row.finish != FINISH_NONE; }),
            1);
  EXPECT_FALSE(result.tokens.empty());
  EXPECT_EQ(client.Run(TestRequest(2)).tokens.size(), 8u) << "the executor goes on";
  EXPECT_EQ(client.stats().kv_blocks_used, 0u);
}

// Requests of mixed sequences over a cache that is too small for them, some of them cancelled.
TEST(Sequences, OfARandomLoadAllEndOnceAsTheyWouldAloneAndLeaveNoBlock) {
  static ExecutorKvCacheConfig kv{};
  kv.size = sizeof(kv);
  kv.set = KV_CACHE_MAX_TOKENS;
  kv.max_tokens = 12 * 32;
  TableClient client(DefaultModel(), [](ExecutorConfig* config) { config->kv_cache = &kv; });
  TableClient alone(DefaultModel());
  std::mt19937 random(7);
  std::vector<TestRequest> requests;
  std::vector<TestRequest*> pointers;
  for (uint64_t id = 1; id <= 60; ++id) {
    const int prompt_tokens = static_cast<int>(1 + random() % 120);
    requests.push_back(Sampled(id, 1 + random() % 6, RandomPrompt(prompt_tokens, 101, static_cast<uint32_t>(id)),
                               static_cast<uint32_t>(1 + random() % 60)));
    requests.back().request.streaming = random() % 2;
    requests.back().sampling.seed = id;
  }
  for (TestRequest& request : requests) pointers.push_back(&request);
  ASSERT_EQ(client.Submit(pointers), EXECUTOR_OK) << client.message();
  for (uint64_t id = 5; id <= 60; id += 5) {
    client.WaitOnce();
    client.Cancel(id);
  }
  client.WaitForEnds(60);
  for (TestRequest& request : requests) {
    SCOPED_TRACE(request.id);
    const TestResult& result = client.results[request.id];
    ExpectEnds(result, request.sampling.n);
    if (request.id % 5 == 0) continue;
    const TestResult expected = alone.Run(request);
    for (const auto& [index, sequence] : result.sequences)
      EXPECT_EQ(sequence.tokens, expected.sequences.at(index).tokens) << index;
  }
  EXPECT_GT(client.stats().preemptions, 0u);
  EXPECT_EQ(client.stats().kv_blocks_used, 0u);
  EXPECT_EQ(client.stats().completed_requests, 60u);
}

}  // namespace
}  // namespace embedded
