#include "native/embedded/cpu/step_runner.h"

#include <algorithm>
#include <limits>
#include <new>
#include <numeric>
#include <utility>

#include "native/embedded/random.h"

namespace embedded {
namespace {

using executor::Failure;

const RequestSequence& SequenceOf(const StepEntry& entry) {
  return *static_cast<const RequestSequence*>(entry.sequence);
}

Failure OutOfMemory(uint64_t id) {
  return Failure(EXECUTOR_OUT_OF_MEMORY, "no memory is left for what request " + std::to_string(id) + " returns", id);
}

}  // namespace

StepRunner::StepRunner(const std::string& engine_dir, const ModelConfig& model, const Limits& limits, int kv_blocks,
                       const cpu::Kernels& kernels, const std::function<bool(double)>& on_progress)
    : model_(model),
      max_logits_rows_(limits.max_batch_size),
      pool_(limits.threads),
      weights_(LoadWeights(engine_dir + "/rank0.safetensors", model_, &pool_, on_progress)),
      kv_memory_(model_, kv_blocks),
      llama_(model_, weights_, kv_memory_, kernels, &pool_, limits.max_num_tokens),
      processors_(static_cast<size_t>(limits.threads), LogitsProcessors(model_.vocab_size)),
      samplers_(static_cast<size_t>(limits.threads), Sampler(kernels, model_.vocab_size)),
      logits_(sizeof(float) * max_logits_rows_ * llama_.logits_stride(), PageSize::kDefault) {}

std::vector<std::vector<StepResult>> StepRunner::Run(const Step& step, const std::atomic<bool>& abandon) {
  if (!step.copies.empty())
    pool_.Run(model_.layers, [&](int layer, int) {
      for (const BlockCopy& copy : step.copies) kv_memory_.CopyLayer(copy.from, copy.to, layer);
    });
  std::vector<TokenSpan> spans;
  for (const auto& [sequence, tokens] : step.entries)
    spans.push_back({sequence->tokens.data() + sequence->computed_tokens, tokens,
                     static_cast<int>(sequence->computed_tokens), sequence->block_table.data()});
  if (!llama_.Forward(spans, abandon)) return {};

  std::vector<std::vector<StepResult>> results(step.entries.size());
  std::vector<Draw> draws;
  std::vector<int> drawn_rows;
  int first_row = 0;
  for (size_t i = 0; i < step.entries.size(); ++i) {
    const StepEntry& entry = step.entries[i];
    const RequestSequence& sequence = SequenceOf(entry);
    const int row = std::exchange(first_row, first_row + entry.tokens);
    try {
      GatherPromptOutput(entry, row);
    } catch (const std::bad_alloc&) {
      results[i].push_back({{}, OutOfMemory(sequence.request->id)});
      continue;
    }
    if (!entry.completes()) continue;
    results[i].resize(1 + sequence.forks);
    const float* logits = logits_.floats() + drawn_rows.size() * llama_.logits_stride();
    for (uint32_t fork = 0; fork <= sequence.forks; ++fork)
      draws.push_back({&sequence, sequence.index + fork, logits, &results[i][fork]});
    drawn_rows.push_back(first_row - 1);
  }
  llama_.Logits(drawn_rows, logits_.floats());
  Sample(draws);
  return results;
}

void StepRunner::Sample(const std::vector<Draw>& draws) {
  pool_.Run(static_cast<int>(draws.size()), [&](int i, int thread) {
    const Draw& draw = draws[static_cast<size_t>(i)];
    try {
      *draw.result = SampleOne(*draw.sequence, draw.index, draw.logits, &processors_[static_cast<size_t>(thread)],
                               &samplers_[static_cast<size_t>(thread)]);
    } catch (const std::bad_alloc&) {
      draw.result->failure = OutOfMemory(draw.sequence->request->id);
    }
  });
}

StepResult StepRunner::SampleOne(const RequestSequence& sequence, uint32_t index, const float* logits,
                                 LogitsProcessors* processors, Sampler* sampler) const {
  const Request& request = *sequence.request;
  StepResult result;
  const size_t position = sequence.tokens.size();  // of the new token
  const double uniform = Uniform(request.sampling.seed, index, position);
  const float* processed = processors->Apply(logits, request.sampling.processors, sequence.tokens);
  const int32_t token = sampler->Sample(processed, request.sampling, uniform);
  if (token < 0 && sampler->Sample(logits, request.sampling, uniform) >= 0) {
    result.failure =
        Failure(EXECUTOR_INVALID_OPTION,
                "no token can be drawn for position " + std::to_string(position) +
                    ": bad words, the n-gram rule, the least number of tokens, bias and penalties together "
                    "leave no finite logit. Loosen them",
                request.id);
    return result;
  }
  if (token < 0) {
    result.failure = Failure(EXECUTOR_ENGINE_WEIGHTS,
                             "the model's logits for position " + std::to_string(position) +
                                 " are no finite numbers; its weights are damaged or outgrow " + model_.dtype,
                             request.id);
    return result;
  }
  result.output.tokens.push_back(token);
  if (request.logprobs) result.output.logprobs.push_back(sampler->Logprob(logits, token));
  if (request.top_logprobs > 0)
    result.output.top_logprobs.push_back(sampler->TopLogprobs(logits, request.top_logprobs));
  if (request.wants_generation_logits) result.output.logits.assign(logits, logits + model_.vocab_size);
  return result;
}

void StepRunner::GatherPromptOutput(const StepEntry& entry, int first_row) {
  Request& request = *SequenceOf(entry).request;
  // After its first token a sequence that was preempted goes through the prompt again.
  if (request.first_token || !(request.wants_context_logits || request.wants_prompt_logprobs)) return;
  if (request.prompt_output == nullptr) request.prompt_output = std::make_unique<executor::RowDetails>();
  executor::RowDetails& out = *request.prompt_output;
  const size_t vocab_size = static_cast<size_t>(model_.vocab_size);
  const size_t top_count = static_cast<size_t>(request.prompt_top_logprobs);
  const int32_t* tokens = entry.sequence->tokens.data();
  if (request.wants_context_logits) out.context_logits.resize(request.prompt_tokens * vocab_size);
  if (request.wants_prompt_logprobs) {
    out.prompt_logprobs.resize(request.prompt_tokens, std::numeric_limits<float>::quiet_NaN());
    out.prompt_top_tokens.resize(request.prompt_tokens * top_count, -1);
    out.prompt_top_logprobs.resize(request.prompt_tokens * top_count, std::numeric_limits<float>::quiet_NaN());
  }
  std::atomic<bool> out_of_memory{false};
  const auto gather = [&](size_t token, const float* logits, Sampler* sampler) {
    if (request.wants_context_logits) std::copy_n(logits, vocab_size, out.context_logits.data() + token * vocab_size);
    const size_t next = token + 1;  // the one these logits are about
    if (!request.wants_prompt_logprobs || next == request.prompt_tokens) return;
    out.prompt_logprobs[next] = sampler->Logprob(logits, tokens[next]);
    if (top_count == 0) return;
    const std::vector<TokenLogprob> top = sampler->TopLogprobs(logits, request.prompt_top_logprobs);
    for (size_t i = 0; i < top_count; ++i) {
      out.prompt_top_tokens[next * top_count + i] = top[i].token;
      out.prompt_top_logprobs[next * top_count + i] = top[i].logprob;
    }
  };
  const size_t first = entry.sequence->computed_tokens;
  const size_t end = first + static_cast<size_t>(entry.tokens);
  for (size_t chunk = first; chunk < end; chunk += max_logits_rows_) {
    std::vector<int> rows(std::min<size_t>(end - chunk, max_logits_rows_));
    std::iota(rows.begin(), rows.end(), first_row + static_cast<int>(chunk - first));
    llama_.Logits(rows, logits_.floats());
    pool_.Run(static_cast<int>(rows.size()), [&](int i, int thread) {
      try {
        gather(chunk + i, logits_.floats() + static_cast<size_t>(i) * llama_.logits_stride(), &samplers_[thread]);
      } catch (const std::bad_alloc&) {
        out_of_memory = true;
      }
    });
  }
  if (out_of_memory) throw std::bad_alloc();
}

}  // namespace embedded
