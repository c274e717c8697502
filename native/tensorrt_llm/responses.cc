#include "native/tensorrt_llm/responses.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "native/tensorrt_llm/tensors.h"

namespace adapter {
namespace {

using executor::BatchRowContextPhase;
using executor::BatchRowDetails;
using executor::Failure;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

double Milliseconds(Pending::Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

// By the adapter's own clock, because not every version measures. Only the number of cached tokens comes later.
void AddUsage(const Pending& pending, ExecutorRowDetails* numbers) {
  const auto now = Pending::Clock::now();
  numbers->set |= DETAILS_USAGE | DETAILS_TIMING;
  numbers->prompt_tokens = pending.prompt_tokens;
  numbers->queue_ms = Milliseconds(pending.placed.value_or(now) - pending.submitted);
  numbers->first_token_ms = Milliseconds(pending.first_token.value_or(now) - pending.submitted);
  if (pending.last_token) numbers->last_token_ms = Milliseconds(*pending.last_token - pending.submitted);
  numbers->total_ms = Milliseconds(now - pending.submitted);
}

void AddPerfMetrics(const tle::Result& result, const Engine& engine, ExecutorRowDetails* numbers) {
  IfHas(result, [&](const auto& r) -> decltype(void(r.requestPerfMetrics)) {
    if (!r.requestPerfMetrics) return;
    const auto& timing = r.requestPerfMetrics->timingMetrics;
    if (timing.firstScheduledTime > timing.arrivalTime)
      numbers->queue_ms = Milliseconds(timing.firstScheduledTime - timing.arrivalTime);
    const auto& kv_cache = r.requestPerfMetrics->kvCacheMetrics;
    numbers->kv_blocks_allocated = static_cast<uint32_t>(kv_cache.numTotalAllocatedBlocks);
    numbers->kv_blocks_reused = static_cast<uint32_t>(kv_cache.numReusedBlocks);
    numbers->kv_blocks_missed = static_cast<uint32_t>(kv_cache.numMissedBlocks);
    // A block that is reused in part counts as a whole one; the last token is always computed.
    numbers->cached_tokens = std::min(numbers->prompt_tokens - 1,
                                      numbers->kv_blocks_reused * static_cast<uint32_t>(engine.tokens_per_block));
    IfHas(*r.requestPerfMetrics, [&](const auto& metrics) -> decltype(void(metrics.speculativeDecoding)) {
      if (metrics.speculativeDecoding.totalDraftTokens == 0) return;
      numbers->set |= DETAILS_SPECULATIVE;
      numbers->draft_tokens = static_cast<uint32_t>(metrics.speculativeDecoding.totalDraftTokens);
      numbers->draft_tokens_accepted = static_cast<uint32_t>(metrics.speculativeDecoding.totalAcceptedDraftTokens);
    });
  });
}

// TensorRT-LLM returns the logprobs of the chosen tokens only.
std::vector<executor::TokenLogprob> TopLogprobsOf(const float* logits, const Engine& engine, uint32_t count) {
  std::vector<executor::TokenLogprob> scratch;
  return executor::TopLogprobs(logits, engine.vocab_size, count, executor::LogSumExp(logits, engine.vocab_size),
                               &scratch);
}

void AddPromptOutput(const tle::Tensor& tensor, const Engine& engine, const Pending& pending,
                     BatchRowDetails* details) {
  const Logits logits(tensor);
  if (logits.rows() != pending.prompt_tokens)
    throw Failure(EXECUTOR_UNSUPPORTED,
                  "TensorRT-LLM returned the logits of " + std::to_string(logits.rows()) + " prompt tokens; expected " +
                      std::to_string(pending.prompt_tokens) +
                      ", but it computes none for cached blocks. Load the engine with kvCache.blockReuse: false.",
                  pending.id)
        .About("kv_cache.block_reuse");
  details->numbers.prompt_tokens = pending.prompt_tokens;
  if (pending.context_logits)
    for (int64_t row = 0; row < logits.rows(); ++row)
      details->context_logits.insert(details->context_logits.end(), logits.row(row),
                                     logits.row(row) + engine.vocab_size);
  if (!pending.prompt_logprobs) return;
  const uint32_t top_count = pending.top_prompt_logprobs;
  // The first token has none, because nothing precedes it.
  details->prompt_logprobs.push_back(kNan);
  details->prompt_top_tokens.assign(top_count, -1);
  details->prompt_top_logprobs.assign(top_count, kNan);
  for (uint32_t token = 1; token < pending.prompt_tokens; ++token) {
    if (token < pending.prompt_logprobs_start) {
      details->prompt_logprobs.push_back(kNan);
      details->prompt_top_tokens.insert(details->prompt_top_tokens.end(), top_count, -1);
      details->prompt_top_logprobs.insert(details->prompt_top_logprobs.end(), top_count, kNan);
      continue;
    }
    const float* const row = logits.row(token - 1);
    details->prompt_logprobs.push_back(
        static_cast<float>(row[pending.prompt[token]] - executor::LogSumExp(row, engine.vocab_size)));
    if (top_count == 0) continue;
    for (const executor::TokenLogprob& top : TopLogprobsOf(row, engine, top_count)) {
      details->prompt_top_tokens.push_back(top.token);
      details->prompt_top_logprobs.push_back(top.logprob);
    }
  }
}

// Logits of the row's tokens, and what is made of them. The result's are [beams, max_tokens] of a whole request, and
// [tokens, beams] when streaming.
void AddGenerationLogits(const Logits& logits, size_t beam, size_t beams, const Engine& engine, const Pending& pending,
                         BatchRow* row) {
  const auto index = [&](size_t token) {
    return static_cast<int64_t>(pending.streaming ? token * beams + beam
                                                  : beam * static_cast<size_t>(logits.rows()) / beams + token);
  };
  const size_t tokens = row->tokens.size();
  if (tokens == 0 || static_cast<size_t>(logits.rows()) / beams < tokens) return;
  for (size_t token = 0; token < tokens; ++token) {
    const float* const values = logits.row(index(token));
    if (pending.top_logprobs > 0) row->top_logprobs.push_back(TopLogprobsOf(values, engine, pending.top_logprobs));
    if (pending.generation_logits) {
      std::vector<float>& all = DetailsOf(row)->generation_logits;
      all.insert(all.end(), values, values + engine.vocab_size);
    }
  }
}

void AddAdditionalOutputs(const tle::Result& result, BatchRow* row) {
  IfHas(result, [&](const auto& r) -> decltype(void(r.additionalOutputs)) {
    for (const auto& output : r.additionalOutputs)
      DetailsOf(row)->additional_outputs.emplace_back(output.name, CopyToHost(output.output));
  });
}

void AddContextPhase(const tle::Result& result, BatchRow* row) {
  if (!result.contextPhaseParams) return;
  IfHas(*result.contextPhaseParams, [&](const auto& params) -> decltype(void(params.getSerializedState())) {
    BatchRowContextPhase& phase = DetailsOf(row)->context_phase.emplace();
    phase.request_id = params.getReqId();
    phase.first_tokens = params.getFirstGenTokens();
    phase.draft_tokens = params.getDraftTokens().value_or(tle::VecTokens());
    phase.state = params.getSerializedState();
  });
}

// Takes the tokens up to the first end id, and remembers that.
void TakeTokens(const tle::VecTokens& come, const Pending& pending, PendingSequence* sequence, BatchRow* row) {
  if (!pending.streaming || row->flags & ROW_REPLACES_TOKENS) *sequence = {};
  if (!sequence->stop_token) {
    const auto end = std::find_first_of(come.begin(), come.end(), pending.end_ids.begin(), pending.end_ids.end());
    row->tokens.assign(come.begin(), end);
    if (end != come.end()) sequence->stop_token = *end;
  }
  sequence->tokens += row->tokens.size();
}

// TensorRT-LLM gives the logprobs of all tokens so far.
void TakeLogprobs(const tle::VecLogProbs& all, const PendingSequence& sequence, BatchRow* row) {
  const size_t first = sequence.tokens - row->tokens.size();
  for (size_t token = 0; token < row->tokens.size(); ++token)
    row->logprobs.push_back(first + token < all.size() ? all[first + token] : kNan);
}

void Finish(ExecutorFinish reason, bool cancelled, const Pending& pending, PendingSequence* sequence, BatchRow* row) {
  sequence->ended = true;
  row->flags |= ROW_SEQUENCE_FINAL;
  row->finish = reason;
  if (row->finish == FINISH_NONE)
    row->finish = cancelled ? FINISH_CANCELLED : sequence->tokens >= pending.max_tokens ? FINISH_LENGTH : FINISH_END_ID;
  if (sequence->stop_token)
    row->finish = FINISH_END_ID;
  else if (row->finish == FINISH_END_ID && !pending.end_ids.empty())
    sequence->stop_token = pending.end_ids.front();
  if (!sequence->stop_token) return;
  DetailsOf(row)->numbers.set |= DETAILS_STOP_TOKEN;
  DetailsOf(row)->numbers.stop_token = *sequence->stop_token;
}

}  // namespace

std::vector<BatchRow> RowsOf(const tle::Result& result, const Engine& engine, bool cancelled, Pending* pending) {
  std::vector<BatchRow> rows;
  const size_t beams = result.outputTokenIds.size();
  std::optional<Logits> logits;
  if (result.generationLogits && (pending->top_logprobs > 0 || pending->generation_logits))
    logits.emplace(*result.generationLogits);
  for (size_t beam = 0; beam < beams; ++beam) {
    const size_t index = beams > 1 ? beam : static_cast<size_t>(result.sequenceIndex);
    // 0.13 returns every beam, asked for or not.
    if (index >= pending->sequences.size() || pending->sequences[index].ended) continue;
    PendingSequence& sequence = pending->sequences[index];
    BatchRow& row = rows.emplace_back();
    row.request_id = pending->id;
    row.sequence = static_cast<uint32_t>(index);
    // Its enumerators are those of the contract, in their order; 0.13 has none for what is cancelled.
    const auto reason =
        beam < result.finishReasons.size() ? static_cast<ExecutorFinish>(result.finishReasons[beam]) : FINISH_NONE;
    // From 0.16 on a cancelled result is empty: what a beam had before stays its own.
    const bool is_emptied =
        (reason == FINISH_CANCELLED || reason == FINISH_TIMEOUT) && result.outputTokenIds[beam].empty();
    if (pending->replaces_tokens && !is_emptied) row.flags |= ROW_REPLACES_TOKENS;
    TakeTokens(result.outputTokenIds[beam], *pending, &sequence, &row);
    if (pending->logprobs && result.logProbs && beam < result.logProbs->size())
      TakeLogprobs((*result.logProbs)[beam], sequence, &row);
    if (logits) AddGenerationLogits(*logits, beam, beams, engine, *pending, &row);
    if (!row.tokens.empty()) {
      pending->last_token = Pending::Clock::now();
      if (!pending->first_token) pending->first_token = pending->last_token;
    }
    if (result.isFinal || result.isSequenceFinal) Finish(reason, cancelled, *pending, &sequence, &row);
  }
  // What comes for sequences that have all ended may still be the request's end.
  if (result.isFinal && rows.empty()) rows.emplace_back().request_id = pending->id;
  if (rows.empty()) return rows;
  if (result.isFinal) rows.back().flags |= ROW_REQUEST_FINAL;
  if (result.contextLogits && (pending->context_logits || pending->prompt_logprobs) &&
      !std::exchange(pending->has_prompt_output, true))
    AddPromptOutput(*result.contextLogits, engine, *pending, DetailsOf(&rows.front()));
  AddAdditionalOutputs(result, &rows.front());
  AddContextPhase(result, &rows.back());
  if (!std::exchange(pending->has_row, true)) AddUsage(*pending, &DetailsOf(&rows.front())->numbers);
  if (result.isFinal) AddUsage(*pending, &DetailsOf(&rows.back())->numbers);
  for (BatchRow& row : rows)
    if (row.details != nullptr && row.details->numbers.set & DETAILS_USAGE)
      AddPerfMetrics(result, engine, &row.details->numbers);
  return rows;
}

BatchRow ErrorRow(const Failure& failure, const Pending& pending) {
  BatchRow row;
  row.request_id = pending.id;
  const auto left = std::find_if(pending.sequences.begin(), pending.sequences.end(),
                                 [](const PendingSequence& sequence) { return !sequence.ended; });
  row.sequence = left == pending.sequences.end() ? 0 : static_cast<uint32_t>(left - pending.sequences.begin());
  row.finish = FINISH_ERROR;
  row.flags = ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL;
  BatchRowDetails* const details = DetailsOf(&row);
  details->error = std::make_unique<ExecutorError>(executor::EmptyError());
  executor::Report(details->error.get(), Failure(failure).OfRequest(pending.id));
  AddUsage(pending, &details->numbers);
  return row;
}

}  // namespace adapter
