#include "sequence.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace stand_in {
namespace {

template <typename T>
void Append(const std::vector<T>& more, std::vector<T>* to) {
  to->insert(to->end(), more.begin(), more.end());
}

size_t Beams(const tle::Request& request) { return static_cast<size_t>(request.getSamplingConfig().getBeamWidth()); }

tle::Tensor FloatTensor(const std::vector<float>& values, std::initializer_list<int64_t> shape) {
  tle::Tensor tensor = tle::Tensor::cpu<float>(tle::Shape(shape));
  std::copy(values.begin(), values.end(), static_cast<float*>(tensor.getData()));
  return tensor;
}

}  // namespace

Sequence::Sequence(IdType id, IdType request_id, std::shared_ptr<const tle::Request> request, SizeType32 index,
                   SizeType32 max_new_tokens, SizeType32 vocab_size, std::shared_ptr<std::vector<bool>> finals,
                   Clock::time_point arrival)
    : id_(id),
      request_id_(request_id),
      request_(std::move(request)),
      index_(index),
      max_new_tokens_(max_new_tokens),
      vocab_size_(vocab_size),
      finals_(std::move(finals)),
      arrival_(arrival),
      returns_all_(request_->getReturnAllGeneratedTokens() || Beams(*request_) > 1),
      tokens_(Beams(*request_)),
      logprobs_(tokens_.size()) {}

bool Sequence::is_timed_out() const {
#if STAND_IN_1_2
  const auto allotted = request_->getAllottedTimeMs();
  return allotted && Clock::now() - arrival_ >= *allotted;
#else
  return false;
#endif
}

// A seed that is not given is 0; the sequences of one request count up from it.
tle::RandomSeedType Sequence::seed() const {
  return request_->getSamplingConfig().getSeed().value_or(0) + static_cast<tle::RandomSeedType>(index_);
}

void Sequence::Add(SequenceStep step, uint64_t final_steps_late) {
  ++iterations_;
  for (size_t beam = 0; beam < step.tokens.size(); ++beam) {
    Append(step.tokens[beam], &tokens_[beam]);
    Append(step.logprobs[beam], &logprobs_[beam]);
  }
  Append(step.generation_logits, &generation_logits_);
  Append(step.context_logits, &context_logits_);
  is_shown_empty_ = step.is_shown_empty;
  if (!step.tokens.empty() && !step.tokens.front().empty()) {
    last_token_ = Clock::now();
    if (!first_token_) first_token_ = last_token_;
  }
  if (!step.is_final) return;
  finish_ = step.finish;
  if (final_steps_late == 0)
    is_finished_ = true;
  else
    steps_to_final_ = final_steps_late;
}

void Sequence::Pass() {
  if (steps_to_final_ && (*steps_to_final_)-- == 0) is_finished_ = true;
}

// From 0.16 on the tokens of a cancelled request are taken back; 0.13 has no reason for its end.
void Sequence::Terminate(bool timed_out) {
  is_finished_ = true;
#if STAND_IN_1_2
  finish_ = timed_out ? tle::FinishReason::kTIMED_OUT : tle::FinishReason::kCANCELLED;
  for (tle::VecTokens& tokens : tokens_) tokens.clear();
#else
  static_cast<void>(timed_out);
  finish_ = tle::FinishReason::kNOT_FINISHED;
#endif
}

std::optional<tle::Result> Sequence::TakeResult() {
  const size_t generated = tokens_.front().size();
  const bool streams = request_->getStreaming();
  const bool is_shown_empty = std::exchange(is_shown_empty_, false);
  if (!is_finished_ && !(streams && (generated > sent_ || is_shown_empty))) return std::nullopt;

  tle::Result result{};
  result.sequenceIndex = index_;
  result.isSequenceFinal = is_finished_;
  (*finals_)[static_cast<size_t>(index_)] = is_finished_;
  result.isFinal = std::all_of(finals_->begin(), finals_->end(), [](bool is_final) { return is_final; });
  result.decodingIter = iterations_;

  const auto asked = request_->getSamplingConfig();
  size_t beams = tokens_.size();
#if STAND_IN_1_2
  if (beams > 1) beams = static_cast<size_t>(asked.getNumReturnSequences().value_or(asked.getBeamWidth()));
  if (iterations_ > 0) result.avgDecodedTokensPerIter = static_cast<float>(generated) / static_cast<float>(iterations_);
#endif
  const tle::OutputConfig output = request_->getOutputConfig();
  const bool is_delta = streams && !returns_all_;
  const size_t first = is_delta ? std::min(sent_, generated) : 0;
  for (size_t beam = 0; beam < beams; ++beam) {
    tle::VecTokens& tokens = result.outputTokenIds.emplace_back();
    if (!streams && !output.excludeInputFromOutput) tokens = request_->getInputTokenIds();
    const size_t from = std::min(first, tokens_[beam].size());
    tokens.insert(tokens.end(), tokens_[beam].begin() + static_cast<std::ptrdiff_t>(from), tokens_[beam].end());
  }
  if (output.returnLogProbs) {
    result.logProbs.emplace(logprobs_.begin(), logprobs_.begin() + static_cast<std::ptrdiff_t>(beams));
    result.cumLogProbs.emplace();
    for (const tle::VecLogProbs& logprobs : *result.logProbs)
      result.cumLogProbs->push_back(std::accumulate(logprobs.begin(), logprobs.end(), 0.0f));
  }
  if (output.returnContextLogits)
    result.contextLogits =
        FloatTensor(context_logits_, {static_cast<int64_t>(request_->getInputTokenIds().size()), vocab_size_});
  if (output.returnGenerationLogits && (tokens_.size() == 1 || !streams))
    result.generationLogits = GenerationLogits(first, generated - first);
#if STAND_IN_1_2
  if (output.returnPerfMetrics) result.requestPerfMetrics = PerfMetrics();
#endif
  result.finishReasons.assign(beams, finish_);
  sent_ = generated;
  return result;
}

// Streamed: [count, 1, vocab_size]. Else [beams, max_new_tokens, vocab_size], 0 past the end and for all but the first beam.
tle::Tensor Sequence::GenerationLogits(size_t first, size_t count) const {
  const auto row = static_cast<std::ptrdiff_t>(vocab_size_);
  const auto begin = generation_logits_.begin() + static_cast<std::ptrdiff_t>(first) * row;
  const std::vector<float> rows(begin, begin + static_cast<std::ptrdiff_t>(count) * row);
  if (request_->getStreaming()) return FloatTensor(rows, {static_cast<int64_t>(count), 1, vocab_size_});
  return FloatTensor(rows, {static_cast<int64_t>(tokens_.size()), max_new_tokens_, vocab_size_});
}

#if STAND_IN_1_2
tle::RequestPerfMetrics Sequence::PerfMetrics() const {
  tle::RequestPerfMetrics metrics;
  metrics.timingMetrics.arrivalTime = arrival_;
  metrics.timingMetrics.firstScheduledTime = scheduled_;
  metrics.timingMetrics.firstTokenTime = first_token_.value_or(Clock::time_point());
  metrics.timingMetrics.lastTokenTime = last_token_.value_or(Clock::time_point());
  return metrics;
}
#endif

}  // namespace stand_in
