// The session's pump thread: waits for the executor's batches, turns tokens into text, ends sequences at their
// stop strings, and hands each environment its events with at most one wake-up. In the end it closes the executor.
#include <algorithm>
#include <cmath>
#include <utility>

#include "native/addon/executor_session.h"
#include "native/executor/cpp/batch_check.h"
#include "native/executor/cpp/failure.h"
#include "native/executor/cpp/tensor_bytes.h"
#include "native/executor/cpp/until_memory_suffices.h"

namespace addon {

// The events of one batch, by the environment they are for: few, and mostly one. Reused for the next batch, with its memory.
class EventsBySink {
 public:
  Events& To(const std::shared_ptr<EnvironmentSink>& sink) {
    for (auto& [known, events] : by_sink_) {
      if (known == sink) return events;
    }
    return by_sink_.emplace_back(sink, Events{}).second;
  }
  void Post() {
    for (auto& [sink, events] : by_sink_) sink->Post(&events);
    by_sink_.erase(std::remove_if(by_sink_.begin(), by_sink_.end(),
                                  [](const auto& entry) { return entry.first.use_count() == 1; }),
                   by_sink_.end());
  }

 private:
  std::vector<std::pair<std::shared_ptr<EnvironmentSink>, Events>> by_sink_;
};

namespace {

// Long, because a wait ends as soon as there are rows, and interrupt ends it when the session closes.
constexpr uint32_t kWaitMs = 60'000;
constexpr char kInvalidRow[] =
    "The executor answered something else than was asked. Load the engine again, and report this.";

void AddMatrix(const ExecutorTensor& tensor, uint32_t rows, Events* events) {
  const auto columns = static_cast<uint32_t>(tensor.shape[1]);
  const auto* data = static_cast<const float*>(tensor.data);
  events->logits.push_back({std::vector<float>(data, data + size_t{rows} * columns), rows, columns});
}

void AddLogprobs(const ExecutorBatch& batch, uint32_t first_token, uint32_t count, Events* events) {
  for (uint32_t token = first_token; token < first_token + count; ++token) {
    events->logprobs.push_back(batch.logprobs[token]);
    const uint32_t top_begin = batch.top_offsets == nullptr ? 0 : batch.top_offsets[token];
    const uint32_t top_end = batch.top_offsets == nullptr ? 0 : batch.top_offsets[token + 1];
    events->logprobs.push_back(top_end - top_begin);
    for (uint32_t top = top_begin; top < top_end; ++top) {
      events->logprobs.push_back(batch.top_tokens[top]);
      events->logprobs.push_back(batch.top_logprobs[top]);
    }
  }
}

void AddPromptLogprobs(uint64_t id, const ExecutorRowDetails& details, Events* events) {
  events->numbers.insert(events->numbers.end(),
                         {kPromptLogprobs, static_cast<double>(id), static_cast<double>(details.prompt_tokens)});
  for (uint32_t token = 0; token < details.prompt_tokens; ++token) {
    const float logprob = details.prompt_logprobs[token];
    const uint32_t top_count = std::isnan(logprob) ? 0 : details.prompt_top_count;
    events->logprobs.push_back(logprob);
    events->logprobs.push_back(top_count);
    const size_t first_top = size_t{token} * details.prompt_top_count;
    for (size_t top = first_top; top < first_top + top_count; ++top) {
      events->logprobs.push_back(details.prompt_top_tokens[top]);
      events->logprobs.push_back(details.prompt_top_logprobs[top]);
    }
  }
}

void AddAdditionalOutputs(uint64_t id, uint32_t sequence, const ExecutorRowDetails& details, Events* events) {
  const uint32_t count = details.additional_output_count;
  events->numbers.insert(events->numbers.end(), {kAdditionalOutputs, static_cast<double>(id),
                                                 static_cast<double>(sequence), static_cast<double>(count)});
  for (uint32_t i = 0; i < count; ++i) {
    const auto& [name, tensor] = details.additional_outputs[i];
    const auto* bytes = static_cast<const unsigned char*>(tensor.data);
    events->tensors.push_back({name,
                               tensor.data_type,
                               {tensor.shape, tensor.shape + tensor.rank},
                               {bytes, bytes + executor::TensorBytes(tensor)}});
  }
}

void AddStart(uint64_t id, const ExecutorRowDetails& details, Events* events) {
  const bool timed = (details.set & DETAILS_TIMING) != 0;
  events->numbers.insert(events->numbers.end(),
                         {kStart, static_cast<double>(id), static_cast<double>(details.prompt_tokens),
                          static_cast<double>(details.cached_tokens), timed ? details.queue_ms : 0.0});
}

void AddMetrics(uint64_t id, const ExecutorRowDetails& details, Events* events) {
  events->numbers.insert(events->numbers.end(),
                         {kMetrics, static_cast<double>(id), static_cast<double>(details.kv_blocks_allocated),
                          static_cast<double>(details.kv_blocks_reused), static_cast<double>(details.kv_blocks_missed),
                          static_cast<double>(details.draft_tokens), static_cast<double>(details.draft_tokens_accepted),
                          details.last_token_ms});
}

// Whether the row, which is right in itself, can be an answer to what was asked.
bool IsOfRequest(const ExecutorBatch& batch, uint32_t row, const Route& route) {
  const ExecutorRowDetails* details = batch.details == nullptr ? nullptr : batch.details[row];
  const bool has_prompt_logprobs = details != nullptr && details->prompt_logprobs != nullptr;
  return batch.sequences[row] < route.sequences.size() &&
         (!has_prompt_logprobs || details->prompt_tokens == route.prompt_logprobs);
}

// Posts one row of a sequence that has not ended. Returns whether a stop string ended it.
bool AddRow(const ExecutorBatch& batch, uint32_t row, Route* route, Events* events) {
  const uint64_t id = batch.request_ids[row];
  const uint32_t sequence = batch.sequences[row];
  const uint32_t first_token = batch.token_offsets[row];
  const int32_t* tokens = batch.tokens + first_token;
  uint32_t token_count = batch.token_offsets[row + 1] - first_token;
  const ExecutorRowDetails* details = batch.details == nullptr ? nullptr : batch.details[row];
  double finish = batch.finish[row];
  double stop_kind = kStopNone;
  double stop_value = 0;

  if (details != nullptr && (details->set & DETAILS_USAGE) && !route->started) {
    route->started = true;
    AddStart(id, *details, events);
  }
  if (details != nullptr && details->context_logits != nullptr) {
    events->numbers.insert(events->numbers.end(), {kContextLogits, static_cast<double>(id)});
    AddMatrix(*details->context_logits, static_cast<uint32_t>(details->context_logits->shape[0]), events);
  }
  if (details != nullptr && details->prompt_logprobs != nullptr) AddPromptLogprobs(id, *details, events);
  if (details != nullptr && details->embedding != nullptr) {
    events->numbers.insert(events->numbers.end(), {kEmbedding, static_cast<double>(id)});
    events->logits.push_back(
        {{details->embedding, details->embedding + details->embedding_size}, 1, details->embedding_size});
  }
  if (details != nullptr && details->additional_output_count > 0) AddAdditionalOutputs(id, sequence, *details, events);
  // A beam's tokens can still be replaced until it has ended.
  if ((batch.flags[row] & ROW_REPLACES_TOKENS) && batch.finish[row] == FINISH_NONE) return false;
  const size_t text_begin = events->text.size();
  bool stopped = false;
  if (auto& text = route->sequences[sequence].text) {
    const auto match = text->Push(tokens, token_count, &events->text);
    if (match.has_value()) {
      stopped = true;
      token_count = static_cast<uint32_t>(match->tokens);
      finish = FINISH_STOP_TOKENS;
      stop_kind = kStopString;
      stop_value = static_cast<double>(match->stop_index);
    } else if (batch.finish[row] != FINISH_NONE) {
      text->Finish(&events->text);
    }
  }
  if (!stopped && details != nullptr && (details->set & DETAILS_STOP_TOKEN)) {
    stop_kind = kStopToken;
    stop_value = details->stop_token;
  }
  const std::string_view text = std::string_view(events->text).substr(text_begin);
  const bool has_logprobs = batch.logprobs != nullptr && token_count > 0 && !std::isnan(batch.logprobs[first_token]);
  const bool has_logits = details != nullptr && details->generation_logits != nullptr;
  events->tokens.insert(events->tokens.end(), tokens, tokens + token_count);
  const bool is_plain = finish == FINISH_NONE && stop_kind == kStopNone && !has_logprobs && !has_logits;
  if (is_plain && sequence == 0 && token_count == 1) {
    events->AddToken(id, text::Utf16Length(text));
    return stopped;
  }
  if (has_logprobs) AddLogprobs(batch, first_token, token_count, events);
  if (has_logits) AddMatrix(*details->generation_logits, token_count, events);
  events->numbers.insert(events->numbers.end(),
                         {kText, static_cast<double>(id), static_cast<double>(sequence),
                          static_cast<double>(text::Utf16Length(text)), static_cast<double>(token_count), finish,
                          stop_kind, stop_value, has_logprobs ? 1.0 : 0.0, has_logits ? 1.0 : 0.0});
  return stopped;
}

}  // namespace

template <typename Body>
void ExecutorSession::UntilMemorySuffices(Body body) {
  executor::UntilMemorySuffices(body, [this] { return closing_.load(); });
}

void ExecutorSession::Run() {
  EventsBySink outgoing;
  Pump(&outgoing);
  {
    std::unique_lock<std::mutex> lock(close_mutex_);
    while (!closing_) close_changed_.wait_for(lock, std::chrono::hours(1));
  }
  {
    const std::unique_lock<std::shared_mutex> intake(intake_);
    closed_ = true;
  }
  Drain(&outgoing);
  ExecutorError error = executor::EmptyError();
  table_->shutdown(executor_.get(), static_cast<uint32_t>(LeftOf(close_by_).count()), &error);
  Free();
}

void ExecutorSession::Pump(EventsBySink* outgoing) {
  while (!closing_) {
    if (has_abandoned_.exchange(false)) {
      CancelRoutes([](Route* route) {
        if (route->sink == nullptr || !route->sink->is_closed()) return false;
        route->sink.reset();
        return true;
      });
    }
    const ExecutorBatch* batch = nullptr;
    ExecutorError error = executor::EmptyError();
    ExecutorCode code = table_->wait(executor_.get(), kWaitMs, &batch, &error);
    if (code == EXECUTOR_OK) {
      code = executor::Guarded(&error, [&] {
        if (batch->row_count > 0) PostBatch(*batch, outgoing);
      });
    }
    if (code != EXECUTOR_OK) return UntilMemorySuffices([&] { FailAll(code, error, outgoing); });
  }
}

// Cancels what runs, and reads until all of it has ended.
void ExecutorSession::Drain(EventsBySink* outgoing) {
  CancelRoutes([](Route*) { return true; });
  ExecutorError error = executor::EmptyError();
  ExecutorCode code = EXECUTOR_OK;
  while (code == EXECUTOR_OK && HasRoutes() && LeftOf(drain_by_).count() > 0) {
    const ExecutorBatch* batch = nullptr;
    code = table_->wait(executor_.get(), static_cast<uint32_t>(LeftOf(drain_by_).count()), &batch, &error);
    if (code == EXECUTOR_OK) code = executor::Guarded(&error, [&] { PostBatch(*batch, outgoing); });
  }
}

void ExecutorSession::Free() {
  OwnedExecutor executor;
  {
    const std::lock_guard<std::mutex> lock(close_mutex_);
    executor = std::move(executor_);  // no interrupt comes from now on
  }
  executor.reset();
  std::vector<std::function<void()>> when_closed;
  {
    const std::lock_guard<std::mutex> lock(close_mutex_);
    freed_ = true;
    when_closed.swap(when_closed_);
    close_changed_.notify_all();
  }
  for (const auto& closed : when_closed) executor::UntilMemorySuffices(closed, [] { return false; });
}

std::chrono::milliseconds ExecutorSession::LeftOf(const Clock::time_point& time) {
  const std::lock_guard<std::mutex> lock(close_mutex_);
  return std::max(std::chrono::ceil<std::chrono::milliseconds>(time - Clock::now()), std::chrono::milliseconds(0));
}

bool ExecutorSession::HasRoutes() {
  const std::lock_guard<std::mutex> lock(routes_mutex_);
  return !routes_.empty();
}

void ExecutorSession::PostBatch(const ExecutorBatch& batch, EventsBySink* outgoing) {
  if (isolation_ == Isolation::kNone) executor::CheckBatch(batch, info_.vocab_size);  // the proxy has done so
  UntilMemorySuffices([&] {
    found_.reserve(batch.row_count);
    to_cancel_.reserve(batch.row_count);
  });
  if (found_.capacity() < batch.row_count || to_cancel_.capacity() < batch.row_count) return;  // it is being closed
  to_cancel_.clear();
  {
    const std::lock_guard<std::mutex> lock(routes_mutex_);
    // The routes have left the CPU's caches since the last step. Looking all of them up first overlaps the cache misses.
    found_.clear();
    for (uint32_t row = 0; row < batch.row_count; ++row) {
      const auto found = routes_.find(batch.request_ids[row]);
      found_.push_back(found);
      if (found != routes_.end()) __builtin_prefetch(found->second.sequences.data());
    }
    bool erased = false;
    for (uint32_t row = 0; row < batch.row_count; ++row) {
      const uint64_t id = batch.request_ids[row];
      const auto found = erased ? routes_.find(id) : found_[row];
      if (found == routes_.end()) {
        ++unknown_rows_;
        continue;
      }
      Route& route = found->second;
      const bool request_final = (batch.flags[row] & ROW_REQUEST_FINAL) != 0;
      if (route.sink != nullptr && route.failure == RouteFailure::kNone)
        PostRow(batch, row, &route, outgoing);
      else
        discarded_tokens_ += batch.token_offsets[row + 1] - batch.token_offsets[row];
      if (!request_final) continue;
      if (route.failure != RouteFailure::kNone) {
        route.ended = true;
      } else {
        routes_.erase(found);
        erased = true;  // perhaps what was found for a later row
      }
    }
  }
  if (has_failures_) UntilMemorySuffices([&] { PostFailures(outgoing); });
  UntilMemorySuffices([&] { outgoing->Post(); });
  CancelInExecutor(to_cancel_.data(), to_cancel_.size());
}

// A row of a request that has a reader. Where it cannot be posted, nothing of it is, and the request fails.
void ExecutorSession::PostRow(const ExecutorBatch& batch, uint32_t row, Route* route, EventsBySink* outgoing) {
  const uint64_t id = batch.request_ids[row];
  const uint32_t sequence = batch.sequences[row];
  const bool request_final = (batch.flags[row] & ROW_REQUEST_FINAL) != 0;
  const auto fail = [&](RouteFailure failure) {
    route->failure = failure;
    has_failures_ = true;
    if (!request_final) to_cancel_.push_back(id);
  };
  Events* events = nullptr;
  Events::End before{};
  try {
    events = &outgoing->To(route->sink);
    before = events->end();
    if (batch.finish[row] == FINISH_ERROR) {  // of the request, whichever sequence the row names
      const ExecutorError& error = *batch.details[row]->error;
      events->AddError(id, executor::FailureOf(error.code, error));
      return route->sink.reset();
    }
    if (!IsOfRequest(batch, row, *route)) return fail(RouteFailure::kInvalidRow);
    if (route->sequences[sequence].ended) {
      discarded_tokens_ += batch.token_offsets[row + 1] - batch.token_offsets[row];
    } else if (AddRow(batch, row, route, events) || batch.finish[row] != FINISH_NONE) {
      route->sequences[sequence].ended = true;
      --route->running;
    }
    if (route->running > 0 && !request_final) return;
    const ExecutorRowDetails* details = batch.details == nullptr ? nullptr : batch.details[row];
    if (request_final && details != nullptr && (details->set & DETAILS_USAGE)) AddMetrics(id, *details, events);
    events->numbers.insert(events->numbers.end(), {kEnd, static_cast<double>(id)});
    route->sink.reset();
    // By a stop string a request ends for its reader before the executor knows.
    if (!request_final) to_cancel_.push_back(id);
  } catch (const std::exception&) {  // std::bad_alloc, or std::length_error: more than any memory holds
    if (events != nullptr) events->CutBack(before);
    fail(RouteFailure::kOutOfMemory);
  }
}

// Tells the readers of requests that failed here.
void ExecutorSession::PostFailures(EventsBySink* outgoing) {
  const std::lock_guard<std::mutex> lock(routes_mutex_);
  for (auto next = routes_.begin(); next != routes_.end();) {
    auto& [id, route] = *next;
    if (route.failure != RouteFailure::kNone) {
      if (route.sink != nullptr)  // it may have been cancelled just now
        outgoing->To(route.sink)
            .AddError(id, route.failure == RouteFailure::kOutOfMemory
                              ? executor::OutOfOutputMemory(id)
                              : executor::Failure(EXECUTOR_FAILED, kInvalidRow, id));
      route.sink.reset();
      route.failure = RouteFailure::kNone;
    }
    next = std::exchange(route.ended, false) ? routes_.erase(next) : std::next(next);
  }
  has_failures_ = false;
}

// The executor has failed: every request ends with its error, and so does every later Submit.
void ExecutorSession::FailAll(ExecutorCode code, const ExecutorError& error, EventsBySink* outgoing) {
  const executor::Failure failure = executor::FailureOf(code, error);
  {
    const std::lock_guard<std::mutex> lock(routes_mutex_);
    if (!failure_) failure_ = failure.what();
    for (auto& [id, route] : routes_) {
      if (route.sink != nullptr) outgoing->To(route.sink).AddError(id, failure);
      route.sink.reset();
    }
    routes_.clear();
  }
  outgoing->Post();
}

}  // namespace addon
