// The rows that requests give, and the ways in which they end.
#include <algorithm>
#include <utility>

#include "native/embedded/executor.h"

namespace embedded {
namespace {

using executor::BatchRow;
using executor::Failure;

double MillisecondsBetween(Request::Clock::time_point from, Request::Clock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

void AddUsage(const Request& request, ExecutorRowDetails* numbers) {
  const auto now = Request::Clock::now();
  numbers->set |= DETAILS_USAGE | DETAILS_TIMING;
  numbers->prompt_tokens = static_cast<uint32_t>(request.prompt_tokens);
  numbers->queue_ms = MillisecondsBetween(request.submitted, request.started.value_or(now));
  numbers->first_token_ms = MillisecondsBetween(request.submitted, request.first_token.value_or(now));
  if (request.last_token) numbers->last_token_ms = MillisecondsBetween(request.submitted, *request.last_token);
  numbers->total_ms = MillisecondsBetween(request.submitted, now);
  numbers->kv_blocks_allocated = request.allocated_blocks();
  const Sequence& first = request.sequences.front();
  numbers->kv_blocks_reused = static_cast<uint32_t>(first.reused_blocks);
  numbers->kv_blocks_missed = static_cast<uint32_t>(first.missed_blocks);
  numbers->cached_tokens = static_cast<uint32_t>(first.reused_tokens);
  if (request.draft_tokens == 0) return;
  numbers->set |= DETAILS_SPECULATIVE;
  numbers->draft_tokens = request.draft_tokens;
  numbers->draft_tokens_accepted = request.draft_tokens_accepted;
}

}  // namespace

void EmbeddedExecutor::EndAfterStep(std::shared_ptr<Request> request) { ending_.push_back(std::move(request)); }

void EmbeddedExecutor::EndCancelledAndFailed() {
  if (ending_.empty()) return;
  for (const std::shared_ptr<Request>& request : std::exchange(ending_, {})) {
    if (request->ended()) continue;
    if (request->failure)
      FailRequest(request.get(), *request->failure);
    else
      EndRequest(request.get(), FINISH_CANCELLED);
  }
  rows_.notify_all();
}

void EmbeddedExecutor::EndOverdue() {
  bool ended = false;
  for (; Request* const request = deadlines_.Overdue(); ended = true) EndRequest(request, FINISH_TIMEOUT);
  if (ended) rows_.notify_all();
}

BatchRow EmbeddedExecutor::TakeRow(RequestSequence* sequence) {
  Request* const request = sequence->request;
  BatchRow row;
  row.request_id = request->id;
  row.sequence = sequence->index;
  if (request->first_token && request->prompt_output != nullptr)
    *DetailsOf(&row) = std::move(*std::exchange(request->prompt_output, nullptr));
  Output output = std::exchange(sequence->unsent, {});
  row.tokens = std::move(output.tokens);
  row.logprobs = std::move(output.logprobs);
  row.top_logprobs = std::move(output.top_logprobs);
  if (!output.logits.empty()) DetailsOf(&row)->generation_logits = std::move(output.logits);
  if (!std::exchange(request->has_row, true)) AddUsage(*request, &DetailsOf(&row)->numbers);
  return row;
}

void EmbeddedExecutor::EndSequence(RequestSequence* sequence, ExecutorFinish finish,
                                   std::optional<int32_t> stop_token) {
  Request* const request = sequence->request;
  sequence->ended = true;
  const bool is_last = --request->sequences_left == 0;
  BatchRow row = TakeRow(sequence);
  row.finish = finish;
  row.flags = ROW_SEQUENCE_FINAL;
  if (is_last) {
    row.flags |= ROW_REQUEST_FINAL;
    AddUsage(*request, &DetailsOf(&row)->numbers);
  }
  if (stop_token) {
    DetailsOf(&row)->numbers.set |= DETAILS_STOP_TOKEN;
    DetailsOf(&row)->numbers.stop_token = *stop_token;
  }
  batch_builder_.Add(std::move(row), statistics_.steps());
  scheduler_->Remove(sequence);
  if (!is_last) return;
  for (size_t beam = request->outputs; beam < request->sequences.size(); ++beam)
    scheduler_->Remove(&request->sequences[beam]);
  statistics_.CountEnded();
  Forget(request);
}

void EmbeddedExecutor::EndRequest(Request* request, ExecutorFinish finish) {
  std::vector<RequestSequence*> left;  // the end of the last is the request's
  for (size_t i = 0; i < request->outputs; ++i)
    if (!request->sequences[i].ended) left.push_back(&request->sequences[i]);
  for (RequestSequence* sequence : left) EndSequence(sequence, finish);
}

// One row for all its sequences.
void EmbeddedExecutor::FailRequest(Request* request, const Failure& failure) {
  const auto left = std::find_if(request->sequences.begin(), request->sequences.end(),
                                 [](const RequestSequence& sequence) { return !sequence.ended; });
  BatchRow row = TakeRow(&*left);
  row.finish = FINISH_ERROR;
  row.flags = ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL;
  AddUsage(*request, &DetailsOf(&row)->numbers);
  row.details->error = std::make_unique<ExecutorError>(executor::EmptyError());
  executor::Report(row.details->error.get(), Failure(failure).OfRequest(request->id));
  batch_builder_.Add(std::move(row), statistics_.steps());
  for (RequestSequence& sequence : request->sequences) {
    scheduler_->Remove(&sequence);
    sequence.ended = true;
  }
  request->sequences_left = 0;
  statistics_.CountEnded();
  Forget(request);
}

void EmbeddedExecutor::Fail(const char* reason, const char* fix) noexcept {
  try {
    failure_ = std::string("A step failed: ") + reason + fix;
    Log(LOG_ERROR, *failure_);
    const Failure failure(EXECUTOR_FAILED, *failure_);
    while (!requests_.empty()) FailRequest(requests_.begin()->second.get(), failure);
  } catch (...) {
    failure_.emplace();
  }
}

}  // namespace embedded
