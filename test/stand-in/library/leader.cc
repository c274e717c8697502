#include "leader.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "check.h"
#include "mpi_world.h"
#include "process_control.h"
#include "request_sequences.h"

namespace stand_in {
namespace {

constexpr IdType kUnknownId = IdType{1} << 40;

tle::Response ErrorResponse(IdType id, const std::string& message, const std::optional<IdType>& client_id) {
#if STAND_IN_1_2
  return tle::Response(id, message, client_id);
#else
  static_cast<void>(client_id);
  return tle::Response(id, message);
#endif
}

tle::Response ResultResponse(IdType id, tle::Result result, const std::optional<IdType>& client_id) {
#if STAND_IN_1_2
  return tle::Response(id, std::move(result), client_id);
#else
  static_cast<void>(client_id);
  return tle::Response(id, std::move(result));
#endif
}

// Before the first with less priority, so that equals stay in order.
template <typename List, typename Priority>
auto PlaceFor(float priority, List* list, Priority priority_of) {
  return std::find_if(list->begin(), list->end(), [&](const auto& entry) { return priority_of(entry) < priority; });
}

}  // namespace

Leader::Leader(const std::filesystem::path& engine_dir, const tle::ExecutorConfig& config)
    : Role(ReadScript(engine_dir)),
      directory_(ReadEngineDirectory(engine_dir)),
      config_(config),
      max_active_(std::min(config.getMaxBatchSize().value_or(directory_.max_batch_size), directory_.max_batch_size)) {
  Enter("Executor");
  Load(config);
  thread_ = std::thread([this] { Run(); });
}

Leader::~Leader() { Shutdown(); }

void Leader::Load(const tle::ExecutorConfig& config) {
#if STAND_IN_1_2
  if (config.getBatchingType() == tle::BatchingType::kSTATIC)
    Throw(
        "Static batching type is deprecated. Please use in-flight batching with "
        "CapacitySchedulerPolicy::kSTATIC_BATCH instead.");
#endif
  ReadRankEngine(directory_, WorldRank(), script_);
  Check(ArePluginsRegistered(), "Failed to deserialize cuda engine.");
  engine_ = std::filesystem::exists(directory_.path / "rank0.safetensors")
                ? MakeEmbeddedEngine(directory_, config, max_active_)
                : MakeLettersEngine(directory_, script_);
}

std::vector<IdType> Leader::Enqueue(const std::vector<tle::Request>& requests) {
  std::vector<Queued> entries;
  std::vector<IdType> ids;
  const std::lock_guard<std::mutex> lock(queue_mutex_);
  size_t sequences = 0;
  for (const tle::Request& request : requests) {
    Queued& entry = entries.emplace_back();
    entry.request = std::make_shared<const tle::Request>(request);
    entry.arrival = Clock::now();
    for (SizeType32 i = 0; i < SequencesOf(request); ++i) entry.ids.push_back(++last_id_);
    ids.push_back(entry.ids.front());
    sequences += entry.ids.size();
  }
  const SizeType32 most = config_.getMaxQueueSize().value_or(0);
  if (most > 0 && queue_.size() + sequences > static_cast<size_t>(most))
    Throw("Maximum queue size of " + std::to_string(most) + " has been reached, please try again later");
  for (Queued& entry : entries) {
    const auto place = PlaceFor(entry.request->getPriority(), &queue_,
                                [](const Queued& queued) { return queued.request->getPriority(); });
    queue_.insert(place, std::move(entry));
  }
  queue_changed_.notify_one();
  return ids;
}

void Leader::Cancel(IdType id) {
  if (responses_.IsTerminated(id)) return;
  const std::lock_guard<std::mutex> lock(cancel_mutex_);
  cancelled_.insert(id);
}

void Leader::Shutdown() {
  if (std::exchange(is_shutdown_called_, true)) return;
  {
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    queue_.push_back({});
    queue_changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  EndFollowers();
}

std::deque<tle::IterationStats> Leader::TakeIterationStats() {
  const std::lock_guard<std::mutex> lock(stats_mutex_);
  return std::exchange(iteration_stats_, {});
}

std::deque<tle::RequestStatsPerIteration> Leader::TakeRequestStats() {
  const std::lock_guard<std::mutex> lock(stats_mutex_);
  return std::exchange(request_stats_, {});
}

// An iteration ends the step that runs and starts the next: it hears who was cancelled, takes what the step gave, sends its
// responses, and only then looks at the queue. So a cancelled request is first made active, and ends an iteration later.
// A step is counted when it starts, with the number of those before it, and once more all of them when nothing is left to
// run: always before its responses are sent.
void Leader::Run() {
  while (!is_ending_ || !active_.empty()) {
    if (!active_.empty()) FinishStep();
    if (!is_ending_) Fetch();
    if (!active_.empty()) StartStep();
  }
}

void Leader::FinishStep() {
  const size_t active_before = active_.size();
  TerminateCancelled();
  TakeStep();
  MakeResponses();
  completed_ = active_before - active_.size();
  step_time_ = Clock::now() - step_start_;
  if (active_.empty()) AddStats({});
  SendResponses();
}

// What NVIDIA's leaves to the GPU meanwhile is computed here at once.
void Leader::StartStep() {
  step_start_ = Clock::now();
  try {
    step_ = engine_->Step();
  } catch (...) {
    step_failure_ = std::current_exception();
  }
  AddStats(step_time_);
}

void Leader::TerminateCancelled() {
  const std::lock_guard<std::mutex> lock(cancel_mutex_);
  std::set<IdType> done;
  for (Sequence& sequence : active_) {
    const bool timed_out = sequence.is_timed_out();
    const bool is_cancelled = cancelled_.count(sequence.request_id()) > 0;
    if (!timed_out && !is_cancelled) continue;
    if (is_cancelled) done.insert(sequence.request_id());
    engine_->Cancel(sequence.id());
    sequence.Terminate(timed_out);
  }
  for (const IdType id : done) cancelled_.erase(id);
}

void Leader::TakeStep() {
  ++steps_;
  if (script_.abort_in == "step") std::abort();
  EndWorker(script_, steps_);
  try {
    if (script_.forward_fails_at > 0 && steps_ >= script_.forward_fails_at)
      Check(false, "CUDA runtime error in cudaStreamSynchronize: an illegal memory access was encountered");
    if (step_failure_) std::rethrow_exception(std::exchange(step_failure_, nullptr));
    for (Sequence& sequence : active_) sequence.Pass();
    for (SequenceStep& step : std::exchange(step_, {})) {
      const auto sequence = std::find_if(active_.begin(), active_.end(),
                                         [&](const Sequence& candidate) { return candidate.id() == step.id; });
      if (sequence == active_.end() || sequence->is_finished()) continue;  // cancelled before
      if (step.error.empty()) {
        sequence->Add(std::move(step), script_.final_steps_late);
      } else {
        AppendError(sequence->id(), sequence->request(), step.error);
        active_.erase(sequence);
      }
    }
  } catch (const std::exception& error) {
    FailAll(std::string("Encountered an error in forwardSync function: ") + error.what());
  }
}

// Each sequence by its own id, of which a client knows only the first.
void Leader::FailAll(const std::string& message) {
  for (const Sequence& sequence : active_) {
    AppendError(sequence.id(), sequence.request(), message);
    engine_->Cancel(sequence.id());
  }
  active_.clear();
}

void Leader::MakeResponses() {
  for (auto next = active_.begin(); next != active_.end();) {
    std::optional<tle::Result> result = next->TakeResult();
    bool is_done = next->is_finished();
    if (result) {
      const auto client_id = next->request().getClientId();
      if (script_.doubled_finals && result->isFinal)
        new_responses_.push_back(ResultResponse(next->request_id(), *result, client_id));
      if (script_.unknown_ids) new_responses_.push_back(ResultResponse(kUnknownId + steps_, *result, std::nullopt));
      new_responses_.push_back(ResultResponse(next->request_id(), std::move(*result), client_id));
    }
    if (!is_done && failing_.erase(next->id()) > 0) {
      const auto client_id = script_.fail_without_client_id ? std::nullopt : next->request().getClientId();
      new_responses_.push_back(ErrorResponse(
          next->id(), "Encountered an error in forwardAsync function: scripted failure of this request", client_id));
      engine_->Cancel(next->id());
      is_done = true;
    }
    next = is_done ? active_.erase(next) : std::next(next);
  }
}

void Leader::SendResponses() {
  if (!new_responses_.empty()) responses_.Append(std::exchange(new_responses_, {}));
}

void Leader::Fetch() {
  const std::vector<Queued> taken = TakeQueued();
  // What was taken together with the request to end is dropped without a response.
  if (std::any_of(taken.begin(), taken.end(), [](const Queued& queued) { return !queued.request; })) {
    is_ending_ = true;
    responses_.Close();
    return;
  }
  for (const Queued& queued : taken) {
    try {
      Start(queued);
    } catch (const std::exception& error) {
      AppendError(queued.ids.front(), *queued.request,
                  std::string("Encountered an error when fetching new request: ") + error.what());
    }
  }
  SendResponses();
}

std::vector<Leader::Queued> Leader::TakeQueued() {
  std::unique_lock<std::mutex> lock(queue_mutex_);
  queue_changed_.wait(lock, [this] { return !queue_.empty() || !active_.empty(); });
  std::vector<Queued> taken;
  // Sequences that run together have one beam width.
  std::optional<SizeType32> beam_width;
  if (!active_.empty()) beam_width = active_.front().request().getSamplingConfig().getBeamWidth();
  size_t active = active_.size();
  while (!queue_.empty()) {
    Queued& front = queue_.front();
    if (front.request) {
      const bool has_room = active + front.ids.size() <= static_cast<size_t>(max_active_);
      const bool overtakes = !active_.empty() && front.request->getPriority() > active_.back().request().getPriority();
      const SizeType32 width = front.request->getSamplingConfig().getBeamWidth();
      if ((!has_room && !overtakes) || beam_width.value_or(width) != width) break;
      beam_width = width;
      active += front.ids.size();
    }
    taken.push_back(std::move(front));
    queue_.pop_front();
  }
  return taken;
}

void Leader::Start(const Queued& queued) {
  const tle::Request& request = *queued.request;
  const SizeType32 max_new_tokens = CheckedMaxNewTokens(request);
  const auto finals = std::make_shared<std::vector<bool>>(queued.ids.size());
  ++started_;
  ++new_active_;
  for (size_t i = 0; i < queued.ids.size(); ++i) {
    Sequence sequence(queued.ids[i], queued.ids.front(), queued.request, static_cast<SizeType32>(i), max_new_tokens,
                      directory_.vocab_size, finals, queued.arrival);
    engine_->Start({sequence.id(), &request, max_new_tokens, sequence.seed()});
    if (script_.fail_every > 0 && started_ % script_.fail_every == 0) failing_.insert(sequence.id());
    const auto place =
        PlaceFor(request.getPriority(), &active_, [](const Sequence& other) { return other.request().getPriority(); });
    active_.insert(place, std::move(sequence));
  }
}

// What does not fit into the engine's longest sequence is cut off; a prompt that does not fit is an error.
SizeType32 Leader::CheckedMaxNewTokens(const tle::Request& request) const {
  if (const auto end_id = request.getEndId())
    Check(*end_id >= -1 && *end_id < directory_.vocab_size, "EndId (" + std::to_string(*end_id) +
                                                                ") is not within acceptable range [-1, " +
                                                                std::to_string(directory_.vocab_size) + ").");
  const auto prompt = static_cast<SizeType32>(request.getInputTokenIds().size());
  const SizeType32 whole = directory_.max_seq_len - 1;
  const SizeType32 longest = config_.getEnableChunkedContext()
                                 ? whole
                                 : std::min(whole, config_.getMaxNumTokens().value_or(directory_.max_num_tokens));
  if (prompt > longest)
    Throw("Prompt length (" + std::to_string(prompt) + ") exceeds maximum input length (" + std::to_string(longest) +
          "). Set log level to info and check TRTGptModel logs for how maximum input length is set");
  const tle::OutputConfig output = request.getOutputConfig();
  Check(!output.returnContextLogits || directory_.gather_context_logits,
        "Return context logit need to build engine with gather_context_logits");
#if STAND_IN_1_2
  Check(!output.returnGenerationLogits || config_.getGatherGenerationLogits(),
        "To return generation logits, gather_generation_logits must be enabled in ExecutorConfig");
  Check(!request.getGuidedDecodingParams() || config_.getGuidedDecodingConfig(),
        "Request is specified with GuidedDecodingParams, but GuidedDecoder is not setup. Please provide a valid "
        "GuidedDecodingConfig to setup GuidedDecoder.");
#else
  Check(!output.returnGenerationLogits || directory_.gather_generation_logits,
        "Return generation logit need to build engine with gather_generation_logits");
#endif
  const SizeType32 beams = request.getSamplingConfig().getBeamWidth();
  Check(beams <= config_.getMaxBeamWidth(), "beam width (" + std::to_string(beams) + ") exceeds maximum beam width (" +
                                                std::to_string(config_.getMaxBeamWidth()) + ")");
  return std::min(request.getMaxTokens(), directory_.max_seq_len - prompt);
}

void Leader::AppendError(IdType id, const tle::Request& request, const std::string& message) {
  new_responses_.push_back(ErrorResponse(id, message, request.getClientId()));
}

void Leader::AddStats(std::chrono::duration<double, std::milli> step_time) {
  tle::IterationStats stats{};
  stats.iter = steps_;
  stats.iterLatencyMS = step_time.count();
  stats.numActiveRequests = static_cast<SizeType32>(active_.size());
  stats.numCompletedRequests = static_cast<SizeType32>(std::exchange(completed_, 0));
  stats.maxNumActiveRequests = max_active_;
#if STAND_IN_1_2
  stats.numNewActiveRequests = static_cast<SizeType32>(new_active_);
  stats.maxBatchSizeStatic = stats.maxBatchSizeRuntime = max_active_;
  stats.maxNumTokensStatic = stats.maxNumTokensRuntime = directory_.max_num_tokens;
#endif
  new_active_ = 0;
  {
    const std::lock_guard<std::mutex> lock(queue_mutex_);
    stats.numQueuedRequests = static_cast<SizeType32>(queue_.size());
  }
  stats.kvCacheStats = engine_->KvCache();
  stats.inflightBatchingStats = tle::InflightBatchingStats{};
  stats.inflightBatchingStats->numScheduledRequests = stats.numActiveRequests;
  stats.inflightBatchingStats->numGenRequests = stats.numActiveRequests;

  tle::RequestStatsPerIteration requests{steps_, {}};
  for (const Sequence& sequence : active_) {
    tle::RequestStats entry{};
    entry.id = sequence.id();
    const bool generates = sequence.generated_tokens() > 0;
    entry.stage = generates ? tle::RequestStage::kGENERATION_IN_PROGRESS : tle::RequestStage::kCONTEXT_IN_PROGRESS;
    entry.contextPrefillPosition =
        generates ? static_cast<SizeType32>(sequence.request().getInputTokenIds().size()) : 0;
    entry.avgNumDecodedTokensPerIter = generates ? 1 : 0;
    entry.numGeneratedTokens = sequence.generated_tokens();
    entry.scheduled = true;
    requests.requestStats.push_back(entry);
  }

  const std::lock_guard<std::mutex> lock(stats_mutex_);
  iteration_stats_.push_back(std::move(stats));
  request_stats_.push_back(std::move(requests));
  while (iteration_stats_.size() > static_cast<size_t>(config_.getIterStatsMaxIterations()))
    iteration_stats_.pop_front();
  while (request_stats_.size() > static_cast<size_t>(config_.getRequestStatsMaxIterations()))
    request_stats_.pop_front();
}

}  // namespace stand_in
