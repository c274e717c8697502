#include "native/embedded/beams.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "native/executor/cpp/failure.h"

namespace embedded {
namespace {

using executor::OptionFailure;

// As in transformers: so many that beams go on even where every end token is among the likeliest of each.
size_t CandidatesOf(size_t width, uint32_t end_ids) { return width * std::max<size_t>(2, size_t{end_ids} + 1); }

EarlyStopping EarlyStoppingOf(const ExecutorSampling& sampling) {
  if (!(sampling.set & SAMPLING_EARLY_STOPPING) || sampling.early_stopping == 1) return EarlyStopping::kAtOnce;
  return sampling.early_stopping == 0 ? EarlyStopping::kWhenBetterIsUnlikely : EarlyStopping::kWhenBetterIsImpossible;
}

// Beams run together, so the whole cache must hold all of them.
size_t MaxTokensOf(size_t width, const Limits& limits, const Request& request) {
  const size_t kv_blocks = static_cast<size_t>(limits.kv_blocks), block = static_cast<size_t>(limits.tokens_per_block);
  const size_t shared = request.prompt_tokens / block;  // blocks of all beams
  const size_t left = kv_blocks - shared;
  if (left < width)
    throw OptionFailure(EXECUTOR_INVALID_OPTION, "beam_width",
                        " is " + std::to_string(width) + "; expected at most " + std::to_string(left) +
                            ", because each beam needs a block of the KV cache beside the prompt's. Lower it, or raise "
                            "kvCache.maxTokens.");
  return std::min(request.max_tokens, (shared + left / width) * block - request.prompt_tokens);
}

}  // namespace

Beams::Beams(const BeamSearchParams& params) : search_(params), candidates_(params.width) {}

bool Beams::Add(const RequestSequence& sequence, std::vector<DrawResult> results) {
  const size_t width = candidates_.size();
  if (results.size() == width) {  // from the prompt: all go on from the first
    search_.Start();
    rows_.clear();
    candidates_.assign(width, {});
  }
  Output& row = results.front().output;
  if (!row.top_logprobs.empty() || !row.logits.empty()) {
    rows_.resize(search_.steps() * width + width);
    rows_[search_.steps() * width + sequence.index] = std::move(row);
  }
  candidates_[sequence.index] = std::move(results.front().candidates);
  return sequence.index + results.size() == width;
}

void Beams::Advance(Request* request, Scheduler* scheduler) {
  std::vector<RequestSequence>& sequences = request->sequences;
  search_.Advance(candidates_,
                  [&](size_t beam, int32_t token) { return request->FinishOf(sequences[beam].tokens, token); });
  if (search_.done()) return;
  const BeamSearch::Choice* const choices = search_.choices();
  for (size_t beam = 0; beam < sequences.size(); ++beam)
    if (choices[beam].from != beam) scheduler->Replace(&sequences[beam], sequences[choices[beam].from]);
  for (size_t beam = 0; beam < sequences.size(); ++beam) {
    sequences[beam].AddToken(choices[beam].candidate.token);
    sequences[beam].generated_tokens = search_.steps();
  }
}

std::vector<BeamOutput> Beams::Outputs(const Request& request, size_t count) const {
  std::vector<BeamOutput> outputs;
  for (const BeamSearch::FoundOutput& found : search_.found()) {
    if (outputs.size() == count) break;
    BeamOutput& made = outputs.emplace_back();
    made.finish = found.finish;
    std::vector<BeamSearch::Choice> path = search_.PathTo(found);
    if (found.finish == FINISH_END_ID) {
      made.stop_token = found.last.candidate.token;
      path.pop_back();
    }
    for (size_t step = 0; step < path.size(); ++step) {
      if (!rows_.empty()) made.output.Append(rows_[step * candidates_.size() + path[step].from]);
      made.output.tokens.push_back(path[step].candidate.token);
      if (request.logprobs) made.output.logprobs.push_back(path[step].candidate.logprob);
    }
  }
  return outputs;
}

uint32_t BeamWidthOf(const ExecutorSampling& sampling) {
  return sampling.set & SAMPLING_BEAM_WIDTH ? sampling.beam_width : 1;
}

void MakeBeams(const ExecutorRequest& given, const ExecutorSampling& sampling, const Limits& limits, int vocab_size,
               Request* request) {
  const uint32_t width = sampling.beam_width;
  const auto refuse = [&](const char* field, const std::string& what) {
    throw OptionFailure(EXECUTOR_INVALID_OPTION, field, what);
  };
  const uint32_t listed = static_cast<uint32_t>(kMaxBeamCandidates / CandidatesOf(1, given.end_id_count));
  const uint32_t allowed = static_cast<uint32_t>(limits.max_beam_width);
  if (width < 1 || width > std::min(listed, allowed))
    refuse("beam_width",
           " is " + std::to_string(width) + "; expected 1 to " +
               (listed < allowed
                    ? std::to_string(listed) + ", the most with " + executor::Count(given.end_id_count, "end token") +
                          ". Lower it, or set ignoreEos."
                    : std::to_string(allowed) +
                          ", which is maxBeamWidth. Lower it, or load the engine with a larger maxBeamWidth."));
  if (sampling.set & SAMPLING_N && (sampling.n < 1 || sampling.n > width))
    refuse("n", " is " + std::to_string(sampling.n) + "; expected 1 to beamWidth, " + std::to_string(width) +
                    ", because outputs are the best beams. Lower it, or raise beamWidth.");
  if (sampling.set & SAMPLING_BEST_OF)
    refuse("best_of", " is set, and beamWidth is " + std::to_string(width) +
                          "; expected only one of them, because beams are the likeliest already. Remove bestOf.");
  if (given.draft != nullptr)
    refuse("draft", " is set, and beamWidth is " + std::to_string(width) +
                        "; expected only one of them, because drafts are checked for one output. Remove one.");
  if (given.guided != nullptr)
    refuse("guided", " is set, and beamWidth is " + std::to_string(width) +
                         "; expected only one of them, because a grammar follows one output. Remove one.");
  if (sampling.set & SAMPLING_LENGTH_PENALTY &&
      !(sampling.length_penalty >= 0 && std::isfinite(sampling.length_penalty)))
    refuse("length_penalty",
           " is " + std::to_string(sampling.length_penalty) + "; expected a finite number, at least 0.");

  request->max_tokens = MaxTokensOf(width, limits, *request);
  request->sequences.resize(width);
  request->outputs = sampling.set & SAMPLING_N ? sampling.n : width;
  request->beam_candidates =
      static_cast<int>(std::min(CandidatesOf(width, given.end_id_count), static_cast<size_t>(vocab_size)));
  // The search chooses, and nothing is drawn.
  request->sampling.temperature = 0;
  BeamSearchParams params{width, CandidatesOf(width, given.end_id_count), request->max_tokens};
  if (sampling.set & SAMPLING_LENGTH_PENALTY) params.length_penalty = sampling.length_penalty;
  params.early_stopping = EarlyStoppingOf(sampling);
  request->beams = std::make_shared<Beams>(params);
}

}  // namespace embedded
