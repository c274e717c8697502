#include "native/embedded/cuda/step_sampler.h"

#include <algorithm>

namespace embedded::cuda {
namespace {

// Rows with logits processors are drawn so many at a time: each needs a copy of its logits and as many counters.
constexpr int kProcessedRows = 16;

// Room for as many of those as there can be; `bytes` for each of the vocabulary.
size_t ProcessedBytes(size_t bytes, int max_rows, int vocab_size) {
  return bytes * static_cast<size_t>(std::min(kProcessedRows, max_rows)) * static_cast<size_t>(vocab_size);
}

static_assert(kMaxBeamCandidates <= kMaxTopLogprobs);

}  // namespace

bool ListsOnHost(const Request& request) {
  const bool has_others = request.beams != nullptr && !request.sampling.processors.none();
  return request.top_logprobs > (has_others ? 0 : kMaxTopLogprobs);
}

SamplingRow SamplingRowOf(const PlannedDraw& draw, int32_t* newest) {
  const Request& request = *draw.sequence->request;
  SamplingRow row;
  row.logits_row = draw.logits_row;
  row.temperature = request.sampling.temperature;
  row.top_k = request.sampling.top_k;
  row.top_p = request.sampling.top_p;
  row.min_p = request.sampling.min_p;
  row.seed = request.sampling.seed;
  row.position = draw.position;
  row.sequence = draw.index;
  row.logprob = request.logprobs ? LogprobWish::kDrawnToken : LogprobWish::kNone;
  row.top_logprobs = ListsOnHost(request) ? 0 : request.top_logprobs;
  if (request.beams != nullptr) {
    row.top_logprobs = draw.wants_candidates() ? std::max(row.top_logprobs, request.beam_candidates) : 0;
    row.top_of = request.sampling.processors.none() ? TopOf::kLogits : TopOf::kProcessed;
  }
  if (draw.drafts == 0) row.history_end = newest + draw.slot;  // what follows drafts, the host knows when it is wanted
  return row;
}

size_t StepSampler::DeviceBytes(int max_rows, int vocab_size) {
  const size_t rows = static_cast<size_t>(max_rows);
  const size_t vocabulary = static_cast<size_t>(vocab_size);
  return sizeof(float) * rows * vocabulary +
         rows * (sizeof(DrawnToken) + 2 * sizeof(int32_t) + sizeof(TopLogprob) * kMaxTopLogprobs) +
         SamplingWorkspaceBytes(max_rows, vocab_size) + ProcessedBytes(sizeof(double), max_rows, 1) +
         ProcessedBytes(sizeof(uint32_t) + sizeof(float), max_rows, vocab_size);
}

StepSampler::StepSampler(int max_rows, int vocab_size)
    : vocab_size_(vocab_size),
      logits_(sizeof(float) * static_cast<size_t>(max_rows) * static_cast<size_t>(vocab_size), "logits"),
      drawn_(sizeof(DrawnToken) * static_cast<size_t>(max_rows), "drawn tokens"),
      tokens_(sizeof(int32_t) * static_cast<size_t>(max_rows), "drawn tokens"),
      top_(sizeof(TopLogprob) * static_cast<size_t>(max_rows) * kMaxTopLogprobs, "likely tokens"),
      newest_(sizeof(int32_t) * static_cast<size_t>(max_rows), "drawn tokens"),
      workspace_(SamplingWorkspaceBytes(max_rows, vocab_size), "sampling"),
      log_sums_(ProcessedBytes(sizeof(double), max_rows, 1), "logits processors"),
      counts_(ProcessedBytes(sizeof(uint32_t), max_rows, vocab_size), "logits processors"),
      processed_(ProcessedBytes(sizeof(float), max_rows, vocab_size), "logits processors") {
  // A sequence whose token could not be drawn may be in the next step already: it reads a token, whatever it is.
  Check(cudaMemset(newest_.data(), 0, newest_.bytes()), "clearing drawn tokens");
  Check(cudaMemset(counts_.data(), 0, counts_.bytes()), "clearing the counters of logits processors");
}

void StepSampler::Plan(const Step& step, const StepPlan& plan, SamplingRow* rows) {
  draws_ = static_cast<int>(plan.draws.size());
  plain_draws_ = plan.plain_draws;
  top_width_ = 0;
  plain_work_ = SamplingWork::kGreedy;
  upload_ = {};
  for (int i = 0; i < draws_; ++i) {
    const PlannedDraw& draw = plan.draws[static_cast<size_t>(i)];
    SamplingRow& row = rows[i];
    row = SamplingRowOf(draw, newest());
    top_width_ = std::max(top_width_, row.top_logprobs);
    if (i < plain_draws_) {
      if (row.temperature != 0 || row.logprob != LogprobWish::kNone || row.top_logprobs > 0)
        plain_work_ = SamplingWork::kAny;
      continue;
    }
    row.processed_row = (i - plain_draws_) % kProcessedRows;
    const LogitsProcessorParams& processors = draw.sequence->request->sampling.processors;
    const StepEntry& entry = step.entries[draw.entry];
    if (draw.drafts == 0)
      upload_.Add(processors, draw.logits_row, entry.sequence->tokens, draw.position);
    else
      upload_.Add(processors, draw.logits_row, HistoryOf(entry, draw.drafts), draw.position);
    if (row.top_of == TopOf::kProcessed) upload_.SetOfLogprobs();
  }
}

void StepSampler::Run(const SamplingRow* rows, PinnedBuffer* staging, cudaStream_t stream) {
  if (plain_draws_ > 0) Draw(rows, 0, plain_draws_, plain_work_, stream);
  if (plain_draws_ == draws_) return;

  const size_t bytes = upload_.bytes();
  if (staging->bytes() < bytes) *staging = PinnedBuffer(2 * bytes, "logits processors");
  if (uploaded_.bytes() < bytes) uploaded_ = DeviceBuffer(2 * bytes, "logits processors");
  upload_.Write(staging->data(), uploaded_.data());
  Check(cudaMemcpyAsync(uploaded_.data(), staging->data(), bytes, cudaMemcpyHostToDevice, stream),
        "copying logits processors to the GPU");
  LogitsProcessorBuffers buffers = upload_.Buffers(uploaded_.data());
  buffers.logits = logits();
  buffers.log_sums = log_sums_.as<double>();
  buffers.counts = counts_.as<uint32_t>();
  buffers.processed = processed_.as<float>();
  const ProcessorRow* const first_row = buffers.rows;
  for (int first = plain_draws_; first < draws_; first += kProcessedRows) {
    const int count = std::min(kProcessedRows, draws_ - first);
    buffers.rows = first_row + (first - plain_draws_);
    ProcessLogits({count, vocab_size_, vocab_size_, upload_.has_logprobs()}, buffers, stream);
    Draw(rows, first, count, SamplingWork::kAny, stream);
  }
}

void StepSampler::Draw(const SamplingRow* rows, int first, int count, SamplingWork work, cudaStream_t stream) {
  SampleTokens(
      {count, vocab_size_, vocab_size_, top_width_, work},
      {logits(), processed_.as<float>(), rows + first, drawn_.as<DrawnToken>() + first, tokens_.as<int32_t>() + first,
       top_.as<TopLogprob>() + static_cast<size_t>(first) * top_width_, workspace_.data()},
      stream);
}

}  // namespace embedded::cuda
