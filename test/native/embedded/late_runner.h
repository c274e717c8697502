// A model runner without a model, which is as late as it is told to be: a step is computed when it is collected, from
// what was copied when it was submitted. Its model's keys and values are the tokens themselves, and a token depends on
// all before it, read through the block table: who mixes up a block, a slot or a step gets another text.
#ifndef TEST_EMBEDDED_LATE_RUNNER_H_
#define TEST_EMBEDDED_LATE_RUNNER_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "native/embedded/executor.h"
#include "native/embedded/model_runner.h"
#include "native/embedded/pooling.h"
#include "native/executor/cpp/table_of.h"

namespace embedded {

// Set before an executor is created and not changed while it runs, but for the events.
struct LateRunnerScript {
  int max_steps_in_flight = 2;
  int kv_blocks = 64;
  int tokens_per_block = 4;
  bool warms_up = false;
  std::optional<uint64_t> failing_request;  // of which the third token cannot be drawn
  int throws_at_submit = -1;                // which step
  int throws_at_collect = -1;
  executor::Failure thrown_at_collect{EXECUTOR_FAILED, "The device is lost. Restart it."};
  int holds_at_collect = -1;  // until it is released

  std::mutex mutex;
  std::condition_variable changed;
  bool released = false;
  const void* busy = nullptr;       // the runner that has steps in flight; used by the step thread
  std::vector<std::string> events;  // "submit 0", "collect 0", and "draw 0" where that is apart: by step

  void Release() {
    const std::lock_guard<std::mutex> lock(mutex);
    released = true;
    changed.notify_all();
  }
};

inline LateRunnerScript* script = nullptr;

class LateRunner : public ModelRunner {
 public:
  // The token that follows `history`. `memory` is what only a runner that knows the history on the host can see to.
  static int32_t NextToken(const std::vector<int32_t>& history, uint64_t seed, uint32_t sequence, size_t memory,
                           int vocab_size) {
    uint64_t hash = 14695981039346656037u ^ seed ^ (uint64_t{sequence} << 32) ^ (memory << 48);
    for (const int32_t token : history) hash = (hash ^ static_cast<uint64_t>(token)) * 1099511628211u;
    return static_cast<int32_t>((hash >> 20) % static_cast<uint64_t>(vocab_size));
  }
  // Tokens at even places of what the host knows.
  static size_t MemoryOf(const SamplingParams& sampling, const std::vector<int32_t>& known) {
    if (!sampling.processors.needs_history()) return 0;
    return static_cast<size_t>(std::count_if(known.begin(), known.end(), [](int32_t token) { return token % 2 == 0; }));
  }

  // What may follow `history` in a beam search.
  static std::vector<BeamCandidate> Candidates(const std::vector<int32_t>& history, int count, int vocab_size) {
    const int32_t first = NextToken(history, 0, 0, 0, vocab_size);
    std::vector<BeamCandidate> candidates;
    for (int i = 0; i < count; ++i) {
      const int32_t token = (first + 37 * i) % vocab_size;  // all different: vocab_size is a prime
      const float score = -0.25f - 0.01f * static_cast<float>(first % 50) * static_cast<float>(i + 1);
      candidates.push_back({token, score, score});
    }
    return candidates;
  }

  explicit LateRunner(const RunnerOptions& options)
      : vocab_size_(options.model.vocab_size),
        keys_(static_cast<size_t>(script->kv_blocks * script->tokens_per_block), -1),
        newest_(static_cast<size_t>(options.limits.max_batch_size), -1) {
    script->busy = nullptr;
    info_.device = "late";
    info_.tokens_per_block = script->tokens_per_block;
    info_.kv_blocks = script->kv_blocks;
    info_.max_steps_in_flight = script->max_steps_in_flight;
  }

  const RunnerInfo& info() const override { return info_; }
  bool DrawsAhead(const SamplingParams& sampling) const override { return !sampling.processors.needs_history(); }

  void Submit(const Step& step, const std::atomic<bool>&) override {
    SubmitWithoutDraws(step);
    TakeMasks();
  }
  void SubmitWithoutDraws(const Step& step) override {
    Tell("submit", submitted_);
    if (script->busy != nullptr && script->busy != this) throw std::logic_error("two runners at once");
    script->busy = this;
    if (submitted_++ == script->throws_at_submit) throw std::runtime_error("the device is lost");
    if (steps_.size() == static_cast<size_t>(info_.max_steps_in_flight)) throw std::logic_error("too far ahead");
    Copied& copied = steps_.emplace_back();
    copied.copies = step.copies;
    for (const StepEntry& entry : step.entries) copied.entries.push_back(Copy(entry));
  }
  void Draw() override {
    Tell("draw", submitted_ - 1);
    TakeMasks();
  }

  StepResults Collect() override {
    Tell("collect", collected_);
    if (collected_ == script->holds_at_collect) {
      std::unique_lock<std::mutex> lock(script->mutex);
      script->changed.wait(lock, [] { return script->released; });
    }
    if (collected_++ == script->throws_at_collect) throw script->thrown_at_collect;
    const Copied step = std::move(steps_.front());
    steps_.pop_front();
    if (steps_.empty()) script->busy = nullptr;
    for (const BlockCopy& copy : step.copies)
      std::copy_n(keys_.begin() + copy.from * info_.tokens_per_block, info_.tokens_per_block,
                  keys_.begin() + copy.to * info_.tokens_per_block);
    for (const Entry& entry : step.entries)
      for (size_t i = 0; i < entry.count; ++i)
        KeyAt(entry, entry.first + i) =
            i < entry.known.size() ? entry.known[i] : newest_[static_cast<size_t>(entry.slot)];
    StepResults results;
    for (const Entry& entry : step.entries) results.push_back(Compute(entry));
    return results;
  }

 private:
  struct TokenDraw {
    int slot;
    uint32_t sequence;
    uint64_t seed;
    size_t memory;
    size_t history;  // tokens
    bool fails;
    int beam_candidates;  // 0: no beam search
    std::shared_ptr<Guide> guide;
    std::vector<uint32_t> mask;  // none: any token
  };
  struct Entry {
    uint64_t request_id;
    int slot;
    std::vector<int> block_table;
    size_t first;
    size_t count;
    std::vector<int32_t> known;  // of the tokens to compute; drafts follow them
    std::vector<TokenDraw> draws;
    size_t pooled;  // tokens; their sum is added to the embedding
    std::shared_ptr<executor::BatchRowDetails> output;
  };
  struct Copied {
    std::vector<BlockCopy> copies;
    std::vector<Entry> entries;
  };

  Entry Copy(const StepEntry& entry) const {
    const RequestSequence& sequence = *SequenceOf(entry);
    const Request& request = *sequence.request;
    const size_t end = entry.first + static_cast<size_t>(entry.tokens);
    if (end > std::max(entry.first, sequence.tokens.size()) + 1) throw std::logic_error("two unknown tokens at once");
    if (end > sequence.tokens.size() && (!DrawsAhead(request.sampling) || request.beams != nullptr))
      throw std::logic_error("planned too early");
    const auto known_end = std::min(end, sequence.tokens.size());
    Entry copied{request.id,
                 sequence.slot,
                 sequence.block_table,
                 entry.first,
                 static_cast<size_t>(entry.rows()),
                 {sequence.tokens.begin() + static_cast<std::ptrdiff_t>(std::min(entry.first, known_end)),
                  sequence.tokens.begin() + static_cast<std::ptrdiff_t>(known_end)},
                 {},
                 TokensToPool(entry).count,
                 {}};
    if (copied.pooled > 0) {
      PreparedEmbedding(sequence.request, 1);
      copied.output = request.prompt_output;
    }
    if (!entry.drafts.empty() && end != sequence.tokens.size()) throw std::logic_error("drafts of unknown tokens");
    copied.known.insert(copied.known.end(), entry.drafts.begin(), entry.drafts.end());
    for (size_t drafts = 0; drafts <= entry.drafts.size(); ++drafts)
      for (int i = 0; i < entry.draws; ++i) {
        const RequestSequence& target = request.sequences[sequence.index + static_cast<uint32_t>(i)];
        copied.draws.push_back({target.slot,
                                target.index,
                                request.sampling.seed,
                                MemoryOf(request.sampling, HistoryOf(entry, drafts)),
                                end + drafts,
                                request.id == script->failing_request && end + drafts == request.prompt_tokens + 2,
                                request.beam_candidates,
                                target.guide,
                                {}});
      }
    return copied;
  }

  void TakeMasks() {
    for (Entry& entry : steps_.back().entries)
      for (TokenDraw& draw : entry.draws)
        if (draw.guide != nullptr && draw.guide->is_asked()) draw.mask = draw.guide->Wait();
  }

  std::vector<DrawResult> Compute(const Entry& entry) {
    std::vector<int32_t> history;
    for (size_t position = 0; position < entry.first + entry.count; ++position)
      history.push_back(KeyAt(entry, position));
    if (entry.pooled > 0) {
      const float sum = static_cast<float>(
          std::accumulate(history.end() - static_cast<std::ptrdiff_t>(entry.pooled), history.end(), int64_t{0}));
      AddPooled(&sum, entry.first == 0, &entry.output->embedding);
    }
    std::vector<DrawResult> results;
    for (const TokenDraw& draw : entry.draws) {
      DrawResult& result = results.emplace_back();
      if (draw.fails) {
        result.failure = executor::Failure(EXECUTOR_ENGINE_WEIGHTS, "no finite numbers", entry.request_id);
        continue;
      }
      if (draw.beam_candidates > 0) {
        if (results.size() == 1) result.candidates = Candidates(history, draw.beam_candidates, vocab_size_);
        continue;
      }
      const auto end = history.begin() + static_cast<std::ptrdiff_t>(draw.history);
      int32_t token = NextToken({history.begin(), end}, draw.seed, draw.sequence, draw.memory, vocab_size_);
      const auto is_allowed = [&] {
        return draw.mask.empty() || draw.mask[static_cast<size_t>(token / 32)] >> (token % 32) & 1;
      };
      while (!is_allowed()) token = (token + 1) % vocab_size_;
      newest_[static_cast<size_t>(draw.slot)] = token;
      result.output.tokens.push_back(token);
    }
    return results;
  }

  int32_t& KeyAt(const Entry& entry, size_t position) {
    const size_t tokens_per_block = static_cast<size_t>(info_.tokens_per_block);
    return keys_[static_cast<size_t>(entry.block_table[position / tokens_per_block]) * tokens_per_block +
                 position % tokens_per_block];
  }

  static void Tell(const char* event, int step) {
    const std::lock_guard<std::mutex> lock(script->mutex);
    script->events.push_back(std::string(event) + " " + std::to_string(step));
  }

  RunnerInfo info_{};
  int vocab_size_;
  std::vector<int32_t> keys_;    // [kv_blocks, tokens_per_block]
  std::vector<int32_t> newest_;  // by slot
  std::deque<Copied> steps_;
  int submitted_ = 0;
  int collected_ = 0;
};

class LateExecutor : public EmbeddedExecutor {
 public:
  explicit LateExecutor(const ExecutorConfig& config)
      : EmbeddedExecutor(config, {"late",
                                  CAN_SEVERAL_SEQUENCES | CAN_BEAM_SEARCH | CAN_DRAFT | CAN_PROMPT_LOOKUP,
                                  {/*max_batch_size=*/16, /*max_num_tokens=*/64, /*kv_memory_fraction=*/0.5},
                                  [](const RunnerOptions& options) { return std::make_unique<LateRunner>(options); },
                                  {},
                                  script->warms_up}) {}
};

inline const ExecutorTable* LateTable() {
  static constexpr ExecutorTable kTable = executor::TableOf<LateExecutor>("late");
  return &kTable;
}

}  // namespace embedded

#endif  // TEST_EMBEDDED_LATE_RUNNER_H_
