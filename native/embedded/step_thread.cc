// The step thread: it plans, submits and collects step after step, and commits what each step drew.
#include <algorithm>
#include <new>
#include <stdexcept>
#include <utility>

#include "native/embedded/beams.h"
#include "native/embedded/draw_failures.h"
#include "native/embedded/executor.h"
#include "native/embedded/pooling.h"

namespace embedded {
namespace {

using executor::Failure;

// std::condition_variable::wait needs a newer libstdc++ than a prebuilt addon may ask for; wait_for does not.
constexpr auto kLongTime = std::chrono::hours(1);

}  // namespace

void EmbeddedExecutor::StepThreadMain() {
  Lock lock(mutex_);
  try {
    while (!stopping_) {
      EndCancelledAndFailed();
      EndOverdue();
      const bool has_place = in_flight_.size() < static_cast<size_t>(runner_->info().max_steps_in_flight);
      if (has_place && !HoldsDraws() && requests_.size() > compiling_ && SubmitStep(&lock)) continue;
      if (!in_flight_.empty())
        CollectStep(&lock);
      else if (requests_.size() == compiling_)  // none, too
        work_.wait_for(lock, deadlines_.TimeLeft(kLongTime));
      else
        throw std::logic_error("the scheduler found no sequence to compute");
    }
    while (!requests_.empty()) EndRequest(requests_.begin()->second.get(), FINISH_CANCELLED);
  } catch (const std::bad_alloc&) {
    if (!lock.owns_lock()) lock.lock();
    Fail("the process is out of memory", kLoadAgain);
  } catch (const Failure& failure) {
    if (!lock.owns_lock()) lock.lock();
    Fail(failure.what(), "");  // it says itself how to fix it
  } catch (const std::exception& unexpected) {
    if (!lock.owns_lock()) lock.lock();
    Fail(unexpected.what(), kLoadAgain);
  }
  thread_ended_ = true;
  rows_.notify_all();
  stopped_.notify_all();
}

bool EmbeddedExecutor::SubmitStep(Lock* lock) {
  // Sequences that the draft model drafts for wait for their tokens: planned apart from the others they would each time take
  // half of a step's place.
  if (!in_flight_.empty() && AsksDraftModel()) return false;
  const auto start = Clock::now();
  const uint64_t preemptions = scheduler_->preemptions();
  Step step = scheduler_->PlanStep();
  if (step.entries.empty()) return false;
  if (draft_model_ != nullptr) RunDraftModel(step, lock);
  if (failure_) return false;  // of another thread, meanwhile
  scheduler_->AddDrafts(&step, [this](Sequence* planned, size_t most) {
    RequestSequence* const sequence = static_cast<RequestSequence*>(planned);
    if (!sequence->drafts) return std::vector<int32_t>();
    return sequence->drafts->Propose(
        sequence->tokens, sequence->request->prompt_tokens, most,
        draft_model_ == nullptr ? std::vector<int32_t>() : draft_model_->DraftsOf(sequence));
  });
  if (preemptions == 0 && scheduler_->preemptions() > 0)
    Log(LOG_WARNING,
        "The KV cache is full: from now on, sequences are preempted, and computed again when there is room. Raise "
        "kvCache.maxTokens, or run fewer sequences at once.");
  statistics_.CountPlanned(step, start);
  StepInFlight& in_flight = in_flight_.emplace_back();
  in_flight.planned = start;
  for (const StepEntry& entry : step.entries) {
    RequestSequence* const sequence = SequenceOf(entry);
    const bool ends_embedding = sequence->request->pooling && sequence->pending_tokens > 0;
    in_flight.entries.push_back({sequence->request->shared_from_this(), sequence->index, entry.drafts, ends_embedding});
    for (RequestSequence* target = sequence; target < sequence + entry.draws; ++target) {
      if (target->guide == nullptr) continue;
      if (target->pending_tokens > 1)  // the one that this step draws, and one before it
        in_flight.unmasked.push_back(target);
      else
        AskForMask(target);
    }
  }
  lock->unlock();
  if (in_flight.unmasked.empty())
    runner_->Submit(step, stopping_);
  else
    runner_->SubmitWithoutDraws(step);
  lock->lock();
  return true;
}

bool EmbeddedExecutor::AsksDraftModel() const {
  const std::vector<Sequence*>& running = scheduler_->running();
  return draft_model_ != nullptr && std::any_of(running.begin(), running.end(), [](const Sequence* each) {
           const std::optional<Drafts>& drafts = static_cast<const RequestSequence*>(each)->drafts;
           return drafts && drafts->model_tokens() > 0;
         });
}

// What the draft model is to draft for the step, within the room that it leaves.
std::vector<DraftModel::Wish> EmbeddedExecutor::WishesOf(const Step& step) {
  std::vector<DraftModel::Wish> wishes;
  for (const StepEntry& entry : step.entries) {
    RequestSequence* const sequence = SequenceOf(entry);
    if (!TakesDrafts(entry) || !sequence->drafts || sequence->drafts->model_tokens() == 0) continue;
    if (!sequence->drafts->Propose(sequence->tokens, sequence->request->prompt_tokens, 1).empty()) continue;
    const size_t most = sequence->max_length - sequence->length();
    if (most > 0) wishes.push_back({sequence, std::min(most, sequence->drafts->model_tokens())});
  }
  const size_t room = static_cast<size_t>(std::max(scheduler_->RoomForDrafts(step), 0));
  if (room < wishes.size()) {
    // A prompt's chunk is soon over; a batch that is full stays so for some steps.
    const bool has_prompt =
        std::any_of(step.entries.begin(), step.entries.end(), [](const StepEntry& entry) { return entry.tokens > 1; });
    if (!has_prompt)
      for (const DraftModel::Wish& wish : wishes) wish.sequence->drafts->RestModel();
    return {};
  }
  for (DraftModel::Wish& wish : wishes) wish.tokens = std::min(wish.tokens, room / wishes.size());
  return wishes;
}

// The lock is let go while it runs. Nothing else plans, and what the step has stays: who ends one of its requests leaves that
// to this thread.
void EmbeddedExecutor::RunDraftModel(const Step& step, Lock* lock) {
  std::vector<DraftModel::Wish> wishes;
  // On the GPUs of several ranks, kernels of two models at once might wait for each other.
  if (in_flight_.empty()) wishes = WishesOf(step);
  draft_model_->Begin(wishes);
  statistics_.CountDraftModel(0);
  if (wishes.empty()) return;
  const auto start = Clock::now();
  lock->unlock();
  draft_model_->Compute(stopping_);
  lock->lock();
  statistics_.CountDraftModel(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
}

bool EmbeddedExecutor::HoldsDraws() const { return !in_flight_.empty() && !in_flight_.back().unmasked.empty(); }

// The step before it was collected: its masks can be told, which takes as long as the device still computes.
void EmbeddedExecutor::DrawHeld(Lock* lock) {
  if (!HoldsDraws() || in_flight_.size() > 1) return;
  for (RequestSequence* sequence : std::exchange(in_flight_.back().unmasked, {}))
    if (!sequence->ended && !sequence->request->cancelled && !sequence->request->failure) AskForMask(sequence);
  lock->unlock();
  runner_->Draw();
  lock->lock();
}

void EmbeddedExecutor::AskForMask(RequestSequence* sequence) {
  const auto end = sequence->tokens.end();
  const size_t unheard =
      sequence->generated_tokens - std::exchange(sequence->guided_tokens, sequence->generated_tokens);
  Guide::Ask(sequence->guide, std::vector<int32_t>(end - static_cast<std::ptrdiff_t>(unheard), end));
}

void EmbeddedExecutor::CollectStep(Lock* lock) {
  lock->unlock();
  StepResults results = runner_->Collect();
  lock->lock();
  const StepInFlight step = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (results.empty()) return;  // abandoned
  statistics_.CountComputed(std::chrono::duration<double, std::milli>(Clock::now() - step.planned).count());
  for (size_t i = 0; i < results.size(); ++i) Commit(step.entries[i], std::move(results[i]));
  EndCancelledAndFailed();
  rows_.notify_all();
  DrawHeld(lock);
}

void EmbeddedExecutor::Commit(const StepInFlight::Entry& entry, std::vector<DrawResult> results) {
  Request* const request = entry.request.get();
  if (request->cancelled || request->failure || request->ended()) return;
  if (!entry.drafts.empty()) return CommitDrafts(entry, std::move(results));
  for (DrawResult& result : results) {
    if (!result.failure) continue;
    request->failure = std::move(result.failure);
    EndAfterStep(entry.request);
    return;
  }
  RequestSequence* const sequence = &request->sequences[entry.sequence];
  if (entry.ends_embedding) return EndEmbedding(sequence);
  if (results.empty()) {  // in the middle of its prompt: the first row says that it no longer waits
    if (request->streaming && !request->has_row) batch_builder_.Add(TakeRow(sequence), statistics_.steps());
    return;
  }
  request->last_token = Clock::now();
  if (!request->first_token) request->first_token = request->last_token;
  if (request->beams != nullptr) return CommitBeams(sequence, std::move(results));
  // The last of these may end the request.
  for (size_t i = 0; i < results.size(); ++i)
    if (!sequence[i].ended) {
      AddToken(&sequence[i], std::move(results[i].output));
      if (sequence[i].drafts) sequence[i].drafts->Skipped();
      AfterTokens(&sequence[i]);
    }
}

void EmbeddedExecutor::CommitDrafts(const StepInFlight::Entry& entry, std::vector<DrawResult> results) {
  Request* const request = entry.request.get();
  RequestSequence* const sequence = &request->sequences[entry.sequence];
  size_t accepted = 0;
  while (accepted < entry.drafts.size() && !results[accepted].failure &&
         results[accepted].output.tokens.front() == entry.drafts[accepted])
    ++accepted;
  sequence->has_unverified_drafts = false;
  sequence->drafts->Verified(entry.drafts.size(), accepted);
  statistics_.CountDrafts(request, entry.drafts.size(), accepted);
  request->last_token = Clock::now();
  if (!request->first_token) request->first_token = request->last_token;
  for (size_t i = 0; i <= accepted && !sequence->ended; ++i) {
    if (results[i].failure) {
      request->failure = std::move(results[i].failure);
      return EndAfterStep(entry.request);
    }
    if (i < accepted) sequence->AcceptDraft();
    AddToken(sequence, std::move(results[i].output));
  }
  AfterTokens(sequence);
}

void EmbeddedExecutor::AfterTokens(RequestSequence* sequence) {
  statistics_.CountTokens(sequence);
  if (sequence->ended) return;
  const Request& request = *sequence->request;
  if (sequence->drafts)  // it waits for its token where that may be followed by drafts
    sequence->planned_ahead = runner_->DrawsAhead(request.sampling) && sequence->drafts->model_tokens() == 0 &&
                              sequence->drafts->Propose(sequence->tokens, request.prompt_tokens, 1).empty();
  if (request.streaming) batch_builder_.Add(TakeRow(sequence), statistics_.steps());
}

void EmbeddedExecutor::EndEmbedding(RequestSequence* sequence) {
  Request* const request = sequence->request;
  if (!FinishEmbedding(request)) return FailRequest(request, NoFiniteEmbedding(request->id, engine_.model.dtype));
  request->first_token = Clock::now();  // there is none, but this is when it would have come
  EndSequence(sequence, FINISH_LENGTH);
}

void EmbeddedExecutor::AddToken(RequestSequence* sequence, Output output) {
  const Request& request = *sequence->request;
  const int32_t token = output.tokens.front();
  const ExecutorFinish finish = request.FinishOf(sequence->tokens, token);
  if (finish == FINISH_END_ID) return EndSequence(sequence, finish, token);
  sequence->AddToken(token);
  ++sequence->generated_tokens;
  sequence->unsent.Append(std::move(output));
  if (finish != FINISH_NONE) EndSequence(sequence, finish);
}

void EmbeddedExecutor::CommitBeams(RequestSequence* sequence, std::vector<DrawResult> results) {
  Request* const request = sequence->request;
  RequestSequence* const first = &request->sequences.front();
  if (first->waits_at) {  // the beams were preempted while the step ran, and start again from the prompt
    first->pending_tokens = 0;
    return;
  }
  if (!request->beams->Add(*sequence, std::move(results))) return;
  request->beams->Advance(request, &*scheduler_);
  if (request->beams->done()) return EndBeams(request);
  // What a beam has may still be replaced: there are no rows before the end, but for one that says it no longer waits.
  if (request->streaming && !request->has_row) batch_builder_.Add(TakeRow(first), statistics_.steps());
}

void EmbeddedExecutor::EndBeams(Request* request) {
  std::vector<BeamOutput> outputs = request->beams->Outputs(*request, request->outputs);
  if (outputs.size() < request->outputs) {
    request->failure = TooFewOutputs(request->id, outputs.size(), request->outputs);
    return EndAfterStep(request->shared_from_this());
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    RequestSequence& sequence = request->sequences[i];
    sequence.unsent = std::move(outputs[i].output);
    EndSequence(&sequence, outputs[i].finish, outputs[i].stop_token);
  }
}

}  // namespace embedded
