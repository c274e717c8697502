// One sequence of a request that runs: gathers its steps and cuts them into results as NVIDIA's library does.
#ifndef STAND_IN_SEQUENCE_H_
#define STAND_IN_SEQUENCE_H_

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "engine.h"

namespace stand_in {

using Clock = std::chrono::steady_clock;

class Sequence {
 public:
  // Sequences of one request share `finals`, which has an entry for each.
  Sequence(IdType id, IdType request_id, std::shared_ptr<const tle::Request> request, SizeType32 index,
           SizeType32 max_new_tokens, SizeType32 vocab_size, std::shared_ptr<std::vector<bool>> finals,
           Clock::time_point arrival);

  IdType id() const { return id_; }
  IdType request_id() const { return request_id_; }  // the parent's, where it is one of several
  const tle::Request& request() const { return *request_; }
  SizeType32 max_new_tokens() const { return max_new_tokens_; }
  bool is_finished() const { return is_finished_; }
  bool is_timed_out() const;
  SizeType32 generated_tokens() const { return static_cast<SizeType32>(tokens_.front().size()); }
  tle::RandomSeedType seed() const;

  // final_steps_late is Script's.
  void Add(SequenceStep step, uint64_t final_steps_late);
  // A step in which a late final comes nearer.
  void Pass();
  void Terminate(bool timed_out);
  // Nothing where NVIDIA's library would send no response now.
  std::optional<tle::Result> TakeResult();

 private:
  tle::Tensor GenerationLogits(size_t first, size_t count) const;
#if STAND_IN_1_2
  tle::RequestPerfMetrics PerfMetrics() const;
#endif

  const IdType id_, request_id_;
  const std::shared_ptr<const tle::Request> request_;
  const SizeType32 index_, max_new_tokens_, vocab_size_;
  const std::shared_ptr<std::vector<bool>> finals_;
  const Clock::time_point arrival_, scheduled_ = Clock::now();
  const bool returns_all_;
  std::optional<Clock::time_point> first_token_, last_token_;
  std::vector<tle::VecTokens> tokens_;  // generated, by beam
  std::vector<tle::VecLogProbs> logprobs_;
  std::vector<float> generation_logits_;
  std::vector<float> context_logits_;
  size_t sent_ = 0;  // of a streamed sequence's tokens
  SizeType32 iterations_ = 0;
  tle::FinishReason finish_ = tle::FinishReason::kNOT_FINISHED;
  bool is_finished_ = false;
  bool is_shown_empty_ = false;
  std::optional<uint64_t> steps_to_final_;
};

}  // namespace stand_in

#endif  // STAND_IN_SEQUENCE_H_
