#include <algorithm>
#include <chrono>
#include <map>
#include <thread>

#include "engine.h"

namespace stand_in {
namespace {

struct Letters {
  const tle::Request* request;
  SizeType32 max_new_tokens;
  std::vector<tle::VecTokens> tokens;  // by beam
  size_t steps = 0;
};

class LettersEngine : public Engine {
 public:
  LettersEngine(const EngineDirectory& directory, const Script& script)
      : vocab_size_(directory.vocab_size), step_ms_(script.step_ms), deltas_(script.deltas) {}

  void Start(const SequenceStart& start) override {
    const auto beams = static_cast<size_t>(start.request->getSamplingConfig().getBeamWidth());
    sequences_[start.id] = {start.request, start.max_new_tokens, std::vector<tle::VecTokens>(beams)};
  }

  void Cancel(IdType id) override { sequences_.erase(id); }

  std::vector<SequenceStep> Step() override {
    std::this_thread::sleep_for(std::chrono::milliseconds(step_ms_));
    std::vector<SequenceStep> steps;
    for (auto next = sequences_.begin(); next != sequences_.end();) {
      const SequenceStep& step = steps.emplace_back(Advance(next->first, &next->second));
      next = step.is_final ? sequences_.erase(next) : std::next(next);
    }
    return steps;
  }

  std::optional<tle::KvCacheStats> KvCache() override { return std::nullopt; }

 private:
  SequenceStep Advance(IdType id, Letters* letters) const {
    const tle::Request& request = *letters->request;
    SequenceStep step;
    step.id = id;
    step.tokens.resize(letters->tokens.size());
    step.logprobs.resize(letters->tokens.size());
    if (letters->steps == 0 && request.getOutputConfig().returnContextLogits)
      for (const tle::TokenIdType token : request.getInputTokenIds()) AddLogits(token, &step.context_logits);
    const uint64_t count = deltas_[letters->steps++ % deltas_.size()];
    step.is_shown_empty = count == 0;
    for (uint64_t i = 0; i < count && !step.is_final; ++i) {
      for (size_t beam = 0; beam < letters->tokens.size(); ++beam) {
        tle::VecTokens& tokens = letters->tokens[beam];
        const auto place = request.getInputTokenIds().back() + static_cast<SizeType32>(beam + tokens.size());
        const tle::TokenIdType letter = 'a' + place % 26;
        if (beam == 0 && letter == request.getEndId()) {
          step.finish = tle::FinishReason::kEND_ID;
          break;
        }
        tokens.push_back(letter);
        step.tokens[beam].push_back(letter);
        step.logprobs[beam].push_back(-0.5f);
        if (beam == 0 && request.getOutputConfig().returnGenerationLogits) AddLogits(letter, &step.generation_logits);
      }
      if (step.finish == tle::FinishReason::kNOT_FINISHED) step.finish = Finish(*letters);
      step.is_final = step.finish != tle::FinishReason::kNOT_FINISHED;
    }
    return step;
  }

  static tle::FinishReason Finish(const Letters& letters) {
    const tle::VecTokens& tokens = letters.tokens.front();
    for (const tle::VecTokens& word : letters.request->getStopWords().value_or(std::list<tle::VecTokens>()))
      if (word.size() <= tokens.size() && std::equal(word.rbegin(), word.rend(), tokens.rbegin()))
        return tle::FinishReason::kSTOP_WORDS;
    const bool is_full = tokens.size() >= static_cast<size_t>(letters.max_new_tokens);
    return is_full ? tle::FinishReason::kLENGTH : tle::FinishReason::kNOT_FINISHED;
  }

  // 1 for the token, 0 for the others.
  void AddLogits(tle::TokenIdType token, std::vector<float>* logits) const {
    logits->resize(logits->size() + static_cast<size_t>(vocab_size_));
    *(logits->end() - vocab_size_ + token) = 1;
  }

  SizeType32 vocab_size_;
  uint64_t step_ms_;
  std::vector<uint64_t> deltas_;
  std::map<IdType, Letters> sequences_;
};

}  // namespace

std::unique_ptr<Engine> MakeLettersEngine(const EngineDirectory& directory, const Script& script) {
  return std::make_unique<LettersEngine>(directory, script);
}

}  // namespace stand_in
