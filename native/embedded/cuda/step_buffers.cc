#include "native/embedded/cuda/step_buffers.h"

#include <algorithm>
#include <cmath>
#include <new>

#include "native/embedded/cuda/step_sampler.h"
#include "native/embedded/draw_failures.h"
#include "native/executor/cpp/logprobs.h"

namespace embedded::cuda {
namespace {

// The waiting thread sleeps: with two steps in flight nothing is late for it, and the process has other work.
Event MakeSleepingEvent() {
  cudaEvent_t event = nullptr;
  Check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync), "making an event");
  return Event(event);
}

}  // namespace

StepBuffers::StepBuffers(const StepBufferLimits& limits)
    : limits_(limits),
      arrays_(StepArrays(nullptr, limits.max_tokens, limits.max_sequences).bytes, "a step's input"),
      block_table_(sizeof(int32_t) * static_cast<size_t>(limits.max_sequences) * static_cast<size_t>(limits.max_blocks),
                   "block tables"),
      drawn_(sizeof(DrawnToken) * static_cast<size_t>(limits.max_sequences), "drawn tokens"),
      top_(sizeof(TopLogprob) * static_cast<size_t>(limits.max_sequences) * kMaxTopLogprobs, "likely tokens"),
      done_(MakeSleepingEvent()) {}

std::vector<int> StepBuffers::Expect(const StepPlan& plan, size_t entries, int top_width) {
  entries_ = entries;
  top_width_ = top_width;
  draws_.clear();
  failed_.clear();
  std::vector<int> logits_rows;
  for (const PlannedDraw& draw : plan.draws) {
    const Request& request = *draw.sequence->request;
    const bool has_logits = request.beams == nullptr || draw.wants_candidates();
    const bool wants_logits = request.wants_generation_logits && has_logits;
    const bool lists_on_host = ListsOnHost(request) && has_logits;
    int host_logits = kNoLogits;
    if (wants_logits || lists_on_host) {
      const auto found = std::find(logits_rows.begin(), logits_rows.end(), draw.logits_row);
      host_logits = static_cast<int>(found - logits_rows.begin());
      if (found == logits_rows.end()) logits_rows.push_back(draw.logits_row);
    }
    draws_.push_back({request.id, draw.entry, draw.place, draw.position, request.logprobs,
                      has_logits ? request.top_logprobs : 0, lists_on_host, wants_logits, host_logits,
                      request.beams != nullptr, draw.wants_candidates() ? request.beam_candidates : 0});
  }
  return logits_rows;
}

KvBlockCopy* StepBuffers::Copies(size_t count) {
  const size_t bytes = sizeof(KvBlockCopy) * count;
  if (copies_.bytes() < bytes) copies_ = PinnedBuffer(2 * bytes, "copies of KV blocks");
  return copies_.as<KvBlockCopy>();
}

float* StepBuffers::HostLogits(size_t rows) {
  const size_t bytes = sizeof(float) * rows * static_cast<size_t>(limits_.vocab_size);
  if (host_logits_.bytes() < bytes) host_logits_ = PinnedBuffer(bytes, "logits");
  return host_logits_.as<float>();
}

StepResults StepBuffers::Results(const std::string& dtype) const {
  StepResults results(entries_);
  for (size_t row = 0; row < draws_.size(); ++row) {
    const DrawOnItsWay& draw = draws_[row];
    std::vector<DrawResult>& of_entry = results[draw.entry];
    if (of_entry.size() <= draw.place) of_entry.resize(draw.place + 1);
    try {
      of_entry[draw.place] = ResultOf(draw, row, dtype);
    } catch (const std::bad_alloc&) {
      of_entry[draw.place].failure = OutOfOutputMemory(draw.request_id);
    }
  }
  for (const FailedEntry& failed : failed_) {
    results[failed.entry].clear();
    results[failed.entry].push_back({{}, failed.failure});
  }
  return results;
}

DrawResult StepBuffers::ResultOf(const DrawOnItsWay& draw, size_t row, const std::string& dtype) const {
  DrawResult result;
  const DrawnToken& drawn = this->drawn()[row];
  if (drawn.status == SamplingStatus::kNothingLeft && !draw.is_beam)
    result.failure = NothingLeftToDraw(draw.request_id, draw.position);
  if (drawn.status == SamplingStatus::kNoFiniteLogit)
    result.failure = NoFiniteLogit(draw.request_id, draw.position, dtype);
  if (draw.is_beam && !AddCandidates(draw, row, &result))
    result.failure = NoFiniteLogit(draw.request_id, draw.position, dtype);
  if (result.failure) return result;
  if (!draw.is_beam) {
    result.output.tokens.push_back(drawn.token);
    if (draw.wants_logprob) result.output.logprobs.push_back(drawn.logprob);
  }
  const size_t vocab_size = static_cast<size_t>(limits_.vocab_size);
  const float* const logits = draw.host_logits == kNoLogits
                                  ? nullptr
                                  : host_logits_.as<float>() + static_cast<size_t>(draw.host_logits) * vocab_size;
  if (draw.lists_on_host) {
    std::vector<TokenLogprob> scratch;
    result.output.top_logprobs.push_back(
        executor::TopLogprobs(logits, limits_.vocab_size, static_cast<uint32_t>(draw.top_logprobs),
                              executor::LogSumExp(logits, limits_.vocab_size), &scratch));
  } else if (draw.top_logprobs > 0) {
    const TopLogprob* const first = top() + row * static_cast<size_t>(top_width_);
    std::vector<TokenLogprob>& likeliest = result.output.top_logprobs.emplace_back();
    for (int i = 0; i < draw.top_logprobs; ++i) likeliest.push_back({first[i].token, first[i].logprob});
  }
  if (draw.wants_logits) result.output.logits.assign(logits, logits + vocab_size);
  return result;
}

bool StepBuffers::AddCandidates(const DrawOnItsWay& draw, size_t row, DrawResult* result) const {
  const TopLogprob* const first = top() + row * static_cast<size_t>(top_width_);
  for (int i = 0; i < draw.beam_candidates; ++i) {
    if (std::isnan(first[i].logprob)) return false;
    if (!std::isfinite(first[i].score)) break;  // what the processors forbid comes last
    result->candidates.push_back({first[i].token, first[i].score, first[i].logprob});
  }
  return true;
}

}  // namespace embedded::cuda
