#include "native/tensorrt_llm/request_extras.h"

#include <string>
#include <vector>

#include "../embedded/table_client.h"
#include "native/tensorrt_llm/request.h"
#include "test_engine.h"

namespace adapter {
namespace {

using embedded::TestRequest;

template <typename Struct>
Struct Sized() {
  Struct given{};
  given.size = sizeof(given);
  return given;
}

class RequestExtrasTest : public testing::Test {
 protected:
  RequestExtrasTest() {
    limits_.max_seq_len = engine_.max_seq_len;
    limits_.max_input_len = engine_.max_seq_len - 1;
    limits_.max_num_sequences = static_cast<uint32_t>(engine_.max_batch_size);
    limits_.max_beam_width = static_cast<uint32_t>(engine_.max_beam_width);
  }
  tle::Request Make() { return MakeRequest(*request_.Get(), engine_, limits_).request; }
  // Refused where the version lacks it, by the field's name and the first version that has it.
  void ExpectLacks(const std::string& field, const std::string& version) {
    const auto failure = FailureOfCall([&] { Make(); });
    EXPECT_EQ(failure.code(), EXECUTOR_UNSUPPORTED);
    EXPECT_EQ(failure.request_id(), 1u);
    const std::string message = failure.what();
    EXPECT_EQ(failure.field(), field);
    EXPECT_EQ(message.find(executor::OptionName(field) + " is set; expected it unset, because TensorRT-LLM "), 0u)
        << message;
    EXPECT_NE(message.find("; " + version + " and newer do."), std::string::npos) << message;
  }

  Engine engine_ = TestEngine().Read();
  RequestLimits limits_{};
  TestRequest request_{1};
  ExecutorRequest& given_ = request_.request;
};

TEST_F(RequestExtrasTest, AreRefusedWithAnAdapterByAnEngineThatWouldIgnoreIt) {
  auto lora = Sized<ExecutorLora>();
  given_.lora = &lora;
  EXPECT_NE(Capabilities(engine_, limits_) & CAN_LORA, 0u);
  engine_.runs_adapters = false;
  EXPECT_EQ(Capabilities(engine_, limits_) & CAN_LORA, 0u);
  const auto failure = FailureOfCall([&] { Make(); });
  EXPECT_EQ(failure.code(), EXECUTOR_UNSUPPORTED);
  EXPECT_NE(std::string(failure.what()).find("--lora_plugin"), std::string::npos) << failure.what();
}

TEST_F(RequestExtrasTest, AreRefusedWithADraftForABeamSearch) {
  auto draft = Sized<ExecutorDraft>();
  const int32_t token = 1;
  draft.tokens = &token;
  draft.token_count = 1;
  given_.draft = &draft;
  EXPECT_NO_THROW(Make());
  request_.sampling.set |= SAMPLING_BEAM_WIDTH;
  request_.sampling.beam_width = 2;
  EXPECT_EQ(FailureOfCall([&] { Make(); }).code(), EXECUTOR_INVALID_OPTION);
}

TEST_F(RequestExtrasTest, AreRefusedWithAReasoning) {
  const auto reasoning = Sized<ExecutorReasoning>();
  given_.reasoning = &reasoning;
  const auto failure = FailureOfCall([&] { Make(); });
  EXPECT_EQ(failure.code(), EXECUTOR_UNSUPPORTED);
  EXPECT_STREQ(failure.field(), "reasoning");
}

TEST_F(RequestExtrasTest, CarryTheWeightsOfAnAdapterOrItsIdAlone) {
  auto lora = Sized<ExecutorLora>();
  lora.id = 9;
  given_.lora = &lora;
  EXPECT_EQ(Make().getLoraConfig()->getTaskId(), 9u);
  EXPECT_FALSE(Make().getLoraConfig()->getWeights());
  const std::vector<float> weights{1, 2, 3, 4};
  const std::vector<int32_t> config{0, 7, 8};
  const ExecutorTensor weights_view{weights.data(), DATA_TYPE_FLOAT32, 3, {1, 2, 2}};
  const ExecutorTensor config_view{config.data(), DATA_TYPE_INT32, 3, {1, 1, 3}};
  lora.weights = &weights_view;
  lora.config = &config_view;
  const tle::LoraConfig made = *Make().getLoraConfig();
  EXPECT_EQ(made.getWeights()->getSize(), 4u);
  EXPECT_EQ(static_cast<const float*>(made.getWeights()->getData())[3], 4);
  EXPECT_EQ(made.getConfig()->getDataType(), tle::DataType::kINT32);
  EXPECT_EQ(static_cast<const int32_t*>(made.getConfig()->getData())[2], 8);
}

TEST_F(RequestExtrasTest, CarryTheWindowsOfLookahead) {
  const ExecutorLookahead lookahead{5, 3, 4};
  given_.lookahead = &lookahead;
  const tle::LookaheadDecodingConfig made = *Make().getLookaheadConfig();
  EXPECT_EQ(made.getWindowSize(), 5);
  EXPECT_EQ(made.getNgramSize(), 3);
  EXPECT_EQ(made.getVerificationSetSize(), 4);
}

TEST_F(RequestExtrasTest, CarryDraftTokensWithTheirLogits) {
  auto draft = Sized<ExecutorDraft>();
  const std::vector<int32_t> tokens{7, 8};
  const std::vector<float> logits(2 * 259, 0.5f);
  const ExecutorTensor view{logits.data(), DATA_TYPE_FLOAT32, 2, {2, 259}};
  draft.tokens = tokens.data();
  draft.token_count = 2;
  draft.logits = &view;
  draft.has_acceptance_threshold = 1;
  draft.acceptance_threshold = 0.25f;
  given_.draft = &draft;
  const tle::ExternalDraftTokensConfig made = *Make().getExternalDraftTokensConfig();
  EXPECT_EQ(made.getTokens(), tokens);
  EXPECT_EQ(made.getLogits()->getSize(), logits.size());
  EXPECT_EQ(made.getAcceptanceThreshold(), 0.25f);
  draft.fast_logits = 1;
#if STAND_IN_1_2
  EXPECT_EQ(Make().getExternalDraftTokensConfig()->getFastLogits(), true);
#else
  ExpectLacks("draft.fast_logits", "0.14");
#endif
}

TEST_F(RequestExtrasTest, CarryAPromptTableWithItsTokensExtraIds) {
  auto multimodal = Sized<ExecutorMultimodal>();
  const std::vector<float> table(4 * 2, 1);
  const ExecutorTensor view{table.data(), DATA_TYPE_FLOAT32, 2, {4, 2}};
  const std::vector<uint64_t> extra_ids{0, 5, 5};
  multimodal.prompt_table = &view;
  multimodal.token_extra_ids = extra_ids.data();
  given_.multimodal = &multimodal;
  request_.tokens = {1, 259, 262};  // above the vocabulary: rows of the table
  const tle::Request made = Make();
  EXPECT_EQ(made.getInputTokenIds(), request_.tokens);
  EXPECT_EQ(made.getPromptTuningConfig()->getEmbeddingTable().getSize(), table.size());
  EXPECT_EQ(made.getPromptTuningConfig()->getInputTokenExtraIds(), extra_ids);
}

TEST_F(RequestExtrasTest, CarryHowLongBlocksAreKept) {
  auto retention = Sized<ExecutorKvRetention>();
  const std::vector<ExecutorRetentionRange> ranges{{RETENTION_END | RETENTION_DURATION, 0, 16, 90, 2000},
                                                   {0, 16, 0, 10, 0}};
  retention.ranges = ranges.data();
  retention.range_count = 2;
  retention.set = KV_RETENTION_DECODE_PRIORITY | KV_RETENTION_DECODE_DURATION;
  retention.decode_priority = 5;
  retention.decode_duration_ms = 700;
  given_.kv_retention = &retention;
#if STAND_IN_1_2
  const tle::KvCacheRetentionConfig made = *Make().getKvCacheRetentionConfig();
  const auto made_ranges = made.getTokenRangeRetentionConfigs();
  ASSERT_EQ(made_ranges.size(), 2u);
  EXPECT_EQ(made_ranges[0].tokenEnd, 16);
  EXPECT_EQ(made_ranges[0].priority, 90);
  EXPECT_EQ(made_ranges[0].durationMs, std::chrono::milliseconds(2000));
  EXPECT_EQ(made_ranges[1].tokenStart, 16);
  EXPECT_EQ(made_ranges[1].tokenEnd, std::nullopt);
  EXPECT_EQ(made_ranges[1].durationMs, std::nullopt);
  EXPECT_EQ(made.getDecodeRetentionPriority(), 5);
  EXPECT_EQ(made.getDecodeDurationMs(), std::chrono::milliseconds(700));
  retention.directory = "/kv";
  retention.set |= KV_RETENTION_TRANSFER_MODE;
  retention.transfer_mode = TRANSFER_GDS;
  EXPECT_EQ(Make().getKvCacheRetentionConfig()->getDirectory(), "/kv");
  EXPECT_EQ(Make().getKvCacheRetentionConfig()->getTransferMode(), tle::KvCacheTransferMode::GDS);
#else
  ExpectLacks("kv_retention", "0.15");
#endif
}

TEST_F(RequestExtrasTest, CarryEachKindOfGuide) {
  for (const ExecutorGuide kind : {GUIDE_JSON, GUIDE_JSON_SCHEMA, GUIDE_REGEX, GUIDE_GRAMMAR, GUIDE_STRUCTURAL_TAG}) {
    const ExecutorGuided guided{kind, kind == GUIDE_JSON ? nullptr : "root ::= \"a\""};
    given_.guided = &guided;
#if STAND_IN_1_2
    const tle::GuidedDecodingParams made = *Make().getGuidedDecodingParams();
    EXPECT_EQ(static_cast<int>(made.getGuideType()), static_cast<int>(kind));
    EXPECT_EQ(made.getGuide().has_value(), kind != GUIDE_JSON);
#else
    ExpectLacks("guided", "0.16");
#endif
  }
}

TEST_F(RequestExtrasTest, CarryTheDraftTreeOfEagle) {
  auto eagle = Sized<ExecutorEagle>();
  const std::vector<int32_t> tokens{0, 0, 1};
  const std::vector<uint32_t> offsets{0, 1, 3};
  eagle.choices = {tokens.data(), offsets.data(), 2};
  eagle.set = EAGLE_GREEDY | EAGLE_POSTERIOR_THRESHOLD;
  eagle.greedy = 0;
  eagle.posterior_threshold = 0.125f;
  given_.eagle = &eagle;
#if STAND_IN_1_2
  const tle::EagleConfig made = *Make().getEagleConfig();
  EXPECT_EQ(made.getEagleChoices(), (tle::EagleChoices{{0}, {0, 1}}));
  EXPECT_FALSE(made.isGreedySampling());
  EXPECT_EQ(made.getPosteriorThreshold(), 0.125f);
#else
  ExpectLacks("eagle", "0.16");
#endif
}

TEST_F(RequestExtrasTest, CarryTheStateOfAContextPhaseToTheGenerationPhase) {
  auto phase = Sized<ExecutorContextPhase>();
  const std::vector<int32_t> first_tokens{5}, draft_tokens{6, 7};
  const std::vector<uint8_t> state{1, 2, 255};
  phase.request_id = 77;
  phase.first_tokens = first_tokens.data();
  phase.first_token_count = 1;
  phase.draft_tokens = draft_tokens.data();
  phase.draft_token_count = 2;
  phase.state = state.data();
  phase.state_bytes = state.size();
  given_.type = REQUEST_GENERATION_ONLY;
  given_.context_phase = &phase;
#if STAND_IN_1_2
  const tle::Request made = Make();
  EXPECT_EQ(made.getRequestType(), tle::RequestType::REQUEST_TYPE_GENERATION_ONLY);
  const tle::ContextPhaseParams& params = *made.getContextPhaseParams();
  EXPECT_EQ(params.getReqId(), 77u);
  EXPECT_EQ(params.getFirstGenTokens(), first_tokens);
  EXPECT_EQ(params.getDraftTokens(), draft_tokens);
  EXPECT_EQ(params.getSerializedState(), (std::vector<char>{1, 2, static_cast<char>(255)}));
#else
  ExpectLacks("type", "0.19");
  given_.type = REQUEST_CONTEXT_AND_GENERATION;
  ExpectLacks("context_phase", "0.19");
#endif
}

TEST_F(RequestExtrasTest, AreRefusedForAnEmbedding) {
  given_.type = REQUEST_EMBEDDING;
  const auto failure = FailureOfCall([&] { Make(); });
  EXPECT_EQ(failure.code(), EXECUTOR_UNSUPPORTED);
  EXPECT_STREQ(failure.field(), "type");
}

TEST_F(RequestExtrasTest, AskForTheOutputsThatTheEngineWasLoadedWith) {
  limits_.additional_outputs = {{"hidden_states", true}, {"scores", false}};
  const std::vector<const char*> names{"hidden_states", "scores"};
  request_.output.additional_outputs = names.data();
  request_.output.additional_output_count = 2;
#if STAND_IN_1_2
  const auto made = *Make().getOutputConfig().additionalModelOutputs;
  ASSERT_EQ(made.size(), 2u);
  EXPECT_EQ(made[0].name, "hidden_states");
  EXPECT_TRUE(made[0].gatherContext);
  EXPECT_FALSE(made[1].gatherContext);
  limits_.additional_outputs.erase("scores");
  EXPECT_EQ(FailureOfCall([&] { Make(); }).code(), EXECUTOR_INVALID_OPTION);
#else
  ExpectLacks("additional_outputs", "0.17");
#endif
}

TEST_F(RequestExtrasTest, CarryTheInputsOfOtherModalities) {
  auto multimodal = Sized<ExecutorMultimodal>();
  const std::vector<float> values{1, 2};
  const ExecutorTensor view{values.data(), DATA_TYPE_FLOAT32, 2, {1, 2}};
  const std::vector<int32_t> hashes{1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17, 18}, positions{0, 2},
      lengths{1, 1};
  given_.multimodal = &multimodal;
  multimodal.embedding = &view;
#if STAND_IN_1_2
  multimodal.mrope_cos_sin = &view;
  multimodal.mrope_position_delta = -3;
  multimodal.hashes = hashes.data();
  multimodal.positions = positions.data();
  multimodal.lengths = lengths.data();
  multimodal.input_count = 2;
  const tle::Request made = Make();
  EXPECT_EQ(made.getMultimodalEmbedding()->getSize(), 2u);
  EXPECT_EQ(made.getMropeConfig()->getMRopePositionDeltas(), -3);
  EXPECT_EQ(made.getMultimodalInput()->getMultimodalHashes()[1][7], 18);
  EXPECT_EQ(made.getMultimodalInput()->getMultimodalPositions(), positions);
#else
  ExpectLacks("multimodal.embedding", "1.0");
  multimodal.embedding = nullptr;
  multimodal.mrope_cos_sin = &view;
  ExpectLacks("multimodal.mrope_cos_sin", "0.16");
  multimodal.mrope_cos_sin = nullptr;
  multimodal.hashes = hashes.data();
  multimodal.positions = positions.data();
  multimodal.lengths = lengths.data();
  multimodal.input_count = 2;
  ExpectLacks("multimodal.hashes", "1.0");
#endif
}

TEST_F(RequestExtrasTest, CarryTheLanguageAdapterOfARequest) {
  given_.set = REQUEST_LANGUAGE_ADAPTER;
  given_.language_adapter = 4;
#if STAND_IN_1_2
  EXPECT_EQ(Make().getLanguageAdapterUid(), 4);
#else
  ExpectLacks("language_adapter", "0.19");
#endif
}

}  // namespace
}  // namespace adapter
