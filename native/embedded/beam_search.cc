#include "native/embedded/beam_search.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace embedded {
namespace {

constexpr double kNotLookedAt = -std::numeric_limits<double>::infinity();

}  // namespace

void BeamSearch::Start() {
  scores_.assign(params_.width, kNotLookedAt);
  scores_.front() = 0;
  history_.clear();
  found_.clear();
  done_ = false;
}

void BeamSearch::Advance(const std::vector<std::vector<BeamCandidate>>& candidates, const FinishOf& finish_of) {
  std::vector<Continuation> chosen;
  const std::vector<Continuation> likeliest = Likeliest(candidates);
  for (size_t rank = 0; rank < likeliest.size() && chosen.size() < params_.width; ++rank) {
    const Continuation& each = likeliest[rank];
    const ExecutorFinish finish = finish_of(each.choice.from, each.choice.candidate.token);
    if (finish == FINISH_NONE)
      chosen.push_back(each);
    else if (rank < params_.width)  // others are only there so that as many go on
      Add({steps(), each.choice, Penalized(each.score, steps() + 1), finish});
  }
  done_ = chosen.empty() || !MayImprove(chosen.front().score);
  if (!done_) Continue(chosen);
}

std::vector<BeamSearch::Continuation> BeamSearch::Likeliest(
    const std::vector<std::vector<BeamCandidate>>& candidates) const {
  std::vector<Continuation> all;
  for (size_t beam = 0; beam < params_.width; ++beam) {
    if (scores_[beam] == kNotLookedAt) continue;
    for (const BeamCandidate& candidate : candidates[beam])
      all.push_back({scores_[beam] + double{candidate.score}, {beam, candidate}});
  }
  const size_t count = std::min(all.size(), params_.candidates);
  std::partial_sort(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(count), all.end(),
                    [](const Continuation& a, const Continuation& b) {
                      if (a.score != b.score) return a.score > b.score;
                      if (a.choice.from != b.choice.from) return a.choice.from < b.choice.from;
                      return a.choice.candidate.token < b.choice.candidate.token;
                    });
  all.resize(count);
  return all;
}

void BeamSearch::Add(const FoundOutput& output) {
  const auto place = std::upper_bound(found_.begin(), found_.end(), output,
                                      [](const FoundOutput& a, const FoundOutput& b) { return a.score > b.score; });
  found_.insert(place, output);
  if (found_.size() > params_.width) found_.pop_back();
}

bool BeamSearch::MayImprove(double best_score) const {
  if (found_.size() < params_.width) return true;
  if (params_.early_stopping == EarlyStopping::kAtOnce) return false;
  // A penalty makes long outputs better: the longest is the best that could come. That it is likely as long as the beams
  // are now is a guess.
  const bool is_certain =
      params_.early_stopping == EarlyStopping::kWhenBetterIsImpossible && params_.length_penalty > 0;
  const size_t tokens = is_certain ? params_.max_tokens : steps() + 1;
  return Penalized(best_score, tokens) > found_.back().score;
}

void BeamSearch::Continue(const std::vector<Continuation>& chosen) {
  const size_t first = history_.size();
  history_.resize(first + params_.width, chosen.front().choice);
  scores_.assign(params_.width, kNotLookedAt);
  std::vector<bool> taken(params_.width, false);
  const auto put = [&](size_t beam, const Continuation& continuation) {
    history_[first + beam] = continuation.choice;
    scores_[beam] = continuation.score;
    taken[beam] = true;
  };
  std::vector<const Continuation*> moved;
  for (const Continuation& each : chosen) {
    if (taken[each.choice.from])
      moved.push_back(&each);
    else
      put(each.choice.from, each);
  }
  size_t free = 0;
  for (const Continuation* each : moved) {
    while (taken[free]) ++free;
    put(free, *each);
  }
}

std::vector<BeamSearch::Choice> BeamSearch::PathTo(const FoundOutput& output) const {
  std::vector<Choice> path(output.steps + 1);
  path.back() = output.last;
  for (size_t step = output.steps; step > 0; --step)
    path[step - 1] = history_[(step - 1) * params_.width + path[step].from];
  return path;
}

double BeamSearch::Penalized(double score, size_t tokens) const {
  return score / std::pow(static_cast<double>(tokens), double{params_.length_penalty});
}

}  // namespace embedded
