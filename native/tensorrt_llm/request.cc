#include "native/tensorrt_llm/request.h"

#include <algorithm>
#include <list>
#include <utility>
#include <vector>

#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/request_checks.h"
#include "native/tensorrt_llm/decoding_config.h"
#include "native/tensorrt_llm/errors.h"
#include "native/tensorrt_llm/request_extras.h"
#include "native/tensorrt_llm/sampling.h"
#include "native/tensorrt_llm/tensors.h"

namespace adapter {
namespace {

using executor::CopySized;
using executor::Failure;
using executor::OptionFailure;

class Maker {
 public:
  Maker(const ExecutorRequest& given, const Engine& engine, const RequestLimits& limits)
      : given_(given),
        sampling_(CopySized(given.sampling)),
        output_(CopySized(given.output)),
        engine_(engine),
        limits_(limits),
        tokens_(engine.vocab_size) {}

  MadeRequest Make() const {
    CheckPrompt();
    CheckBeams();
    CheckOutput();
    if (given_.lora != nullptr && !engine_.runs_adapters)
      throw OptionFailure(EXECUTOR_UNSUPPORTED, "lora",
                          " is set; expected it unset, because the engine was built without adapters. Build it with "
                          "--lora_plugin auto and --lora_target_modules, or remove lora.");
    if (given_.set & REQUEST_DRAFT_MODEL && given_.draft_model != 0)
      throw OptionFailure(EXECUTOR_UNSUPPORTED, "draft_model",
                          " is true; expected false or unset, because TensorRT-LLM's C++ executor takes drafts with "
                          "each request instead (draft). Remove it.");
    Pending pending = MakePending();
    tle::Request request({given_.tokens, given_.tokens + given_.token_count},
                         static_cast<tle::SizeType32>(pending.max_tokens));
    request.setClientId(given_.id);
    request.setStreaming(pending.streaming);
    request.setReturnAllGeneratedTokens(pending.replaces_tokens);
    request.setSamplingConfig(MakeSampling(sampling_, engine_.vocab_size));
    if (BeamWidth(sampling_) == 1 && pending.sequences.size() > 1 && !kSamplesBySampling)
      Need(request, {"n", "0.13"}, [&](auto& r) -> decltype(r.setNumReturnSequences(1)) {
        r.setNumReturnSequences(static_cast<tle::SizeType32>(pending.sequences.size()));
      });
    request.setOutputConfig(MakeOutput(pending));
    SetEnds(&request);
    SetBias(&request);
    if (given_.set & REQUEST_PAD_ID) request.setPadId(given_.pad_id);
    if (given_.position_ids != nullptr)
      request.setPositionIds({given_.position_ids, given_.position_ids + given_.token_count});
    if (given_.set & REQUEST_PRIORITY) request.setPriority(given_.priority);
    SetExtras(given_, &request);
    return {std::move(request), std::move(pending)};
  }

 private:
  static constexpr bool kSamplesBySampling =
      Has<tle::SamplingConfig>([](auto& s) -> decltype(s.setNumReturnSequences(1)) {});

  void CheckPrompt() const {
    if (given_.token_count == 0)
      throw Failure(EXECUTOR_EMPTY_PROMPT, "The prompt has no token; expected at least one.");
    if (given_.token_count > static_cast<uint32_t>(limits_.max_input_len))
      throw Failure(EXECUTOR_PROMPT_TOO_LONG,
                    "The prompt has " + std::to_string(given_.token_count) + " tokens; expected at most " +
                        std::to_string(limits_.max_input_len) + " (maxSeqLen is " +
                        std::to_string(limits_.max_seq_len) +
                        ", and without chunkedContext maxNumTokens is a limit too). Shorten it, or build the engine "
                        "for more.");
    // A prompt table's virtual tokens lie above the vocabulary.
    if (given_.multimodal == nullptr) tokens_.Tokens("tokens", given_.tokens, given_.token_count);
    executor::CheckLengths(given_, sampling_);
    if (sampling_.set & SAMPLING_MIN_TOKENS && sampling_.min_tokens > 0 && given_.end_id_count > 1)
      throw OptionFailure(
          EXECUTOR_UNSUPPORTED, "min_tokens",
          " is set, and the engine has " + std::to_string(given_.end_id_count) +
              " end ids; expected one, because TensorRT-LLM suppresses only one. Set one as eos_token_id "
              "in generation_config.json, or remove minTokens.");
    const auto asked_for = executor::SequencesAskedFor(sampling_);
    if (BeamWidth(sampling_) == 1 && asked_for && asked_for->count > limits_.max_num_sequences)
      throw OptionFailure(
          EXECUTOR_INVALID_OPTION, asked_for->field,
          " is " + std::to_string(asked_for->count) + "; expected at most " +
              std::to_string(limits_.max_num_sequences) +
              ", because the sequences of a request run together. Ask for fewer, or load the engine with "
              "a larger maxBatchSize.");
  }

  // TensorRT-LLM would notice these in a step, and end every running request.
  void CheckBeams() const {
    const uint32_t beam_width = BeamWidth(sampling_);
    if (beam_width > limits_.max_beam_width)
      throw OptionFailure(EXECUTOR_INVALID_OPTION, "beam_width",
                          " is " + std::to_string(beam_width) + "; expected at most maxBeamWidth, " +
                              std::to_string(limits_.max_beam_width) + ".");
    if (beam_width > 1 && given_.draft != nullptr)
      throw OptionFailure(EXECUTOR_INVALID_OPTION, "draft",
                          " is set, and beamWidth is " + std::to_string(beam_width) +
                              "; expected only one of them, because drafts are checked for one output. Remove one.");
  }

  void CheckOutput() const {
    const bool needs_generation = output_.flags & OUTPUT_RETURN_GENERATION_LOGITS || output_.top_logprobs > 0;
    if (needs_generation && !limits_.generation_logits)
      throw OptionFailure(EXECUTOR_UNSUPPORTED, output_.top_logprobs > 0 ? "top_logprobs" : "return_generation_logits",
                          " is set; expected it unset, because the engine does not gather logits. Load it with "
                          "gatherGenerationLogits, or before 0.19 build it with --gather_generation_logits.");
    const bool needs_context = output_.flags & OUTPUT_RETURN_CONTEXT_LOGITS || executor::WantsPromptLogprobs(output_);
    if (needs_context && !engine_.gather_context_logits)
      throw OptionFailure(EXECUTOR_UNSUPPORTED,
                          executor::WantsPromptLogprobs(output_) ? "prompt_logprobs" : "return_context_logits",
                          " is set; expected it unset, because the engine does not gather the logits of prompts. Build "
                          "it with --gather_context_logits.");
    tokens_.TopLogprobs(output_);
  }

  Pending MakePending() const {
    Pending pending{};
    pending.id = given_.id;
    pending.prompt_tokens = given_.token_count;
    if (executor::WantsPromptLogprobs(output_))
      pending.prompt.assign(given_.tokens, given_.tokens + given_.token_count);
    pending.max_tokens =
        std::min<size_t>(given_.max_tokens, static_cast<size_t>(limits_.max_seq_len) - given_.token_count);
    pending.streaming = given_.streaming != 0;
    pending.replaces_tokens = pending.streaming && BeamWidth(sampling_) > 1;
    pending.end_ids.assign(given_.end_ids, given_.end_ids + given_.end_id_count);
    pending.logprobs = executor::WantsLogprobs(output_);
    pending.context_logits = output_.flags & OUTPUT_RETURN_CONTEXT_LOGITS;
    pending.generation_logits = output_.flags & OUTPUT_RETURN_GENERATION_LOGITS;
    pending.top_logprobs = output_.top_logprobs;
    pending.prompt_logprobs = executor::WantsPromptLogprobs(output_);
    pending.top_prompt_logprobs = output_.top_prompt_logprobs;
    if (output_.flags & OUTPUT_PROMPT_LOGPROBS_START) pending.prompt_logprobs_start = output_.prompt_logprobs_start;
    pending.sequences.resize(SequenceCount(sampling_));
    pending.library_ids = BeamWidth(sampling_) > 1 ? 1 : static_cast<uint32_t>(pending.sequences.size());
    pending.submitted = Pending::Clock::now();
    return pending;
  }

  tle::OutputConfig MakeOutput(const Pending& pending) const {
    tle::OutputConfig output;
    output.returnLogProbs = pending.logprobs;
    output.returnContextLogits = pending.context_logits || pending.prompt_logprobs;
    output.returnGenerationLogits = pending.generation_logits || pending.top_logprobs > 0;
    output.excludeInputFromOutput = true;
    // Always, because only these metrics have the number of cached prompt tokens.
    IfHas(output, [](auto& o) -> decltype(void(o.returnPerfMetrics)) { o.returnPerfMetrics = true; });
    if (output_.additional_output_count > 0)
      Need(output, {"additional_outputs", "0.17"}, [&](auto& o) -> decltype(void(o.additionalModelOutputs)) {
        auto& outputs = o.additionalModelOutputs.emplace();
        for (uint32_t i = 0; i < output_.additional_output_count; ++i) {
          const auto known = limits_.additional_outputs.find(output_.additional_outputs[i]);
          if (known == limits_.additional_outputs.end())
            throw OptionFailure(
                EXECUTOR_INVALID_OPTION, "additional_outputs",
                " has '" + std::string(output_.additional_outputs[i]) +
                    "'; expected outputs that the engine was loaded with. Add it to additionalOutputs of LLM.load.");
          outputs.emplace_back(known->first, known->second);
        }
      });
    return output;
  }

  // TensorRT-LLM stops at one end id; the others are stop words of one token, which RowsOf removes from the output.
  void SetEnds(tle::Request* request) const {
    tokens_.EndIds(given_);
    if (given_.end_id_count > 0) request->setEndId(given_.end_ids[0]);
    const auto stop_tokens = tokens_.Lists("stop_tokens", given_.stop_tokens);
    std::list<tle::VecTokens> stop_words(stop_tokens.begin(), stop_tokens.end());
    for (uint32_t i = 1; i < given_.end_id_count; ++i) stop_words.push_back({given_.end_ids[i]});
    if (!stop_words.empty()) request->setStopWords(stop_words);
    const auto bad_tokens = tokens_.BadTokens(given_);
    if (!bad_tokens.empty()) request->setBadWords({bad_tokens.begin(), bad_tokens.end()});
  }

  void SetBias(tle::Request* request) const {
    const ExecutorLogitBias& given = given_.logit_bias;
    if (given.count == 0) return;
    tokens_.LogitBias(given);
    std::vector<float> bias(static_cast<size_t>(engine_.padded_vocab_size()));
    for (uint32_t i = 0; i < given.count; ++i) bias[static_cast<size_t>(given.tokens[i])] += given.values[i];
    request->setEmbeddingBias(MakeVector(bias));
  }

  const ExecutorRequest& given_;
  const ExecutorSampling sampling_;
  const ExecutorOutputConfig output_;
  const Engine& engine_;
  const RequestLimits& limits_;
  executor::TokenChecks tokens_;
};

}  // namespace

MadeRequest MakeRequest(const ExecutorRequest& given, const Engine& engine, const RequestLimits& limits) {
  try {
    return Maker(given, engine, limits).Make();
  } catch (const Failure& failure) {
    throw Failure(failure).OfRequest(given.id);
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const std::exception& refused) {  // the setters of TensorRT-LLM check what they are given
    throw FailureOf(refused.what(), EXECUTOR_INVALID_OPTION, given.id);
  }
}

uint64_t Capabilities(const Engine& engine, const RequestLimits& limits) {
  uint64_t can = CAN_LOGPROBS | CAN_PENALTIES | CAN_NO_REPEAT_NGRAM_SIZE | CAN_LOGIT_BIAS | CAN_MIN_TOKENS |
                 CAN_STOP_TOKENS | CAN_BAD_TOKENS | CAN_SEVERAL_SEQUENCES | CAN_PRIORITY | CAN_LOOKAHEAD | CAN_DRAFT |
                 CAN_PROMPT_TUNING | ExtraCapabilities();
  const auto add = [&](bool has, uint64_t bit) { can |= has ? bit : 0; };
  add(limits.max_beam_width > 1, CAN_BEAM_SEARCH);
  add(engine.runs_adapters, CAN_LORA);
  add(engine.gather_context_logits, CAN_CONTEXT_LOGITS | CAN_PROMPT_LOGPROBS);
  add(limits.generation_logits, CAN_GENERATION_LOGITS | CAN_TOP_LOGPROBS);
  add(engine.paged_context_fmha, CAN_BLOCK_REUSE);
  add(limits.kv_events, CAN_KV_EVENTS);
  add(Has<tle::SamplingConfig>([](auto& s) -> decltype(s.setMinP(0.f)) {}), CAN_MIN_P);
  add(Has<tle::SamplingConfig>([](auto& s) -> decltype(s.setPromptIgnoreLength(0)) {}), CAN_OUTPUT_PENALTIES);
  add(Has<tle::OutputConfig>([](auto& o) -> decltype(void(o.additionalModelOutputs)) {}), CAN_ADDITIONAL_OUTPUTS);
  if (!limits.guided_decoding) can &= ~uint64_t{CAN_GUIDED};
  return can;
}

}  // namespace adapter
