#include "native/tensorrt_llm/sampling.h"

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "native/executor/cpp/request_checks.h"

namespace adapter {
namespace {

using executor::OptionFailure;

tle::SizeType32 Size(uint32_t value) {
  return static_cast<tle::SizeType32>(std::min<uint32_t>(value, std::numeric_limits<tle::SizeType32>::max()));
}

// How a token is drawn. Every request sets these: unset, sampling would be greedy (top-k and top-p 0) with seed 0, and in some
// versions the requests of a batch must set the same fields.
void SetDraw(const ExecutorSampling& given, int vocab_size, tle::SamplingConfig* sampling) {
  const bool has_temperature = given.set & SAMPLING_TEMPERATURE;
  const bool is_greedy = has_temperature && given.temperature == 0;
  const uint32_t top_k =
      given.set & SAMPLING_TOP_K && given.top_k < static_cast<uint32_t>(vocab_size) ? given.top_k : 0;
  std::random_device device;
  sampling->setTemperature(has_temperature && !is_greedy ? given.temperature : 1.f);
  if (BeamWidth(given) == 1) {
    sampling->setTopK(is_greedy ? 1 : Size(top_k));
    sampling->setTopP(given.set & SAMPLING_TOP_P && !is_greedy ? given.top_p : 1.f);
  }
  sampling->setSeed(given.set & SAMPLING_SEED ? given.seed : uint64_t{device()} << 32 | device());
  if (given.set & SAMPLING_MIN_P && given.min_p > 0 && !is_greedy)
    Need(*sampling, {"min_p", "0.19"}, [&](auto& s) -> decltype(s.setMinP(given.min_p)) { s.setMinP(given.min_p); });
  if (given.set & SAMPLING_TOP_P_MIN) sampling->setTopPMin(given.top_p_min);
  if (given.set & SAMPLING_TOP_P_RESET_TOKEN) sampling->setTopPResetIds(given.top_p_reset_token);
  if (given.set & SAMPLING_TOP_P_DECAY) sampling->setTopPDecay(given.top_p_decay);
}

void SetPenalties(const ExecutorSampling& given, tle::SamplingConfig* sampling) {
  if (given.set & SAMPLING_REPETITION_PENALTY) sampling->setRepetitionPenalty(given.repetition_penalty);
  if (given.set & SAMPLING_PRESENCE_PENALTY) sampling->setPresencePenalty(given.presence_penalty);
  if (given.set & SAMPLING_FREQUENCY_PENALTY) sampling->setFrequencyPenalty(given.frequency_penalty);
  if (given.set & SAMPLING_PROMPT_IGNORE_LENGTH && given.prompt_ignore_length > 0)
    Need(*sampling, {given.set & SAMPLING_PRESENCE_PENALTY ? "presence_penalty" : "frequency_penalty", "1.2"},
         [&](auto& s) -> decltype(s.setPromptIgnoreLength(0)) {
           s.setPromptIgnoreLength(Size(given.prompt_ignore_length));
         });
  if (given.set & SAMPLING_NO_REPEAT_NGRAM_SIZE && given.no_repeat_ngram_size > 0)
    sampling->setNoRepeatNgramSize(Size(given.no_repeat_ngram_size));
}

void SetBeams(const ExecutorSampling& given, tle::SamplingConfig* sampling) {
  if (given.set & SAMPLING_BEAM_DIVERSITY_RATE) sampling->setBeamSearchDiversityRate(given.beam_diversity_rate);
  if (given.set & SAMPLING_LENGTH_PENALTY) sampling->setLengthPenalty(given.length_penalty);
  if (given.set & SAMPLING_EARLY_STOPPING) sampling->setEarlyStopping(Size(given.early_stopping));
  if (given.beam_width_count > 0)
    Need(*sampling, {"beam_widths", "0.19"}, [&](auto& s) -> decltype(s.setBeamWidthArray(std::nullopt)) {
      s.setBeamWidthArray(std::vector<tle::SizeType32>(given.beam_widths, given.beam_widths + given.beam_width_count));
    });
  // In 0.13 and 0.14 the request has it instead, only for samples; of several beams RowsOf returns the first.
  if (SequenceCount(given) > 1)
    IfHas(*sampling, [&](auto& s) -> decltype(s.setNumReturnSequences(1)) {
      s.setNumReturnSequences(Size(SequenceCount(given)));
    });
}

}  // namespace

uint32_t BeamWidth(const ExecutorSampling& given) {
  return given.set & SAMPLING_BEAM_WIDTH ? std::max(given.beam_width, 1u) : 1;
}

uint32_t SequenceCount(const ExecutorSampling& given) {
  const auto asked_for = executor::SequencesAskedFor(given);
  return asked_for ? std::max(asked_for->count, 1u) : BeamWidth(given);
}

tle::SamplingConfig MakeSampling(const ExecutorSampling& given, int vocab_size) {
  const uint32_t beam_width = BeamWidth(given);
  if (beam_width > 1 && SequenceCount(given) > beam_width)
    throw OptionFailure(EXECUTOR_INVALID_OPTION, "n",
                        " is " + std::to_string(given.n) + "; expected at most beamWidth, " +
                            std::to_string(beam_width) + ". Lower it, or raise beamWidth.");
  executor::CheckSampling(given);
  tle::SamplingConfig sampling(Size(beam_width));
  SetDraw(given, vocab_size, &sampling);
  SetPenalties(given, &sampling);
  SetBeams(given, &sampling);
  if (given.set & SAMPLING_MIN_TOKENS && given.min_tokens > 0) sampling.setMinTokens(Size(given.min_tokens));
  return sampling;
}

}  // namespace adapter
