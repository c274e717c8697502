#include "embedded/step_runner.h"

#include <algorithm>
#include <new>

#include "embedded/random.h"

namespace embedded {
namespace {

using executor::Failure;

const Request& RequestOf(const StepEntry& entry) { return *static_cast<const Request*>(entry.sequence); }

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
      samplers_(static_cast<size_t>(limits.threads), Sampler(kernels, model_.vocab_size)),
      logits_(sizeof(float) * max_logits_rows_ * llama_.logits_stride(), PageSize::kDefault) {}

std::vector<StepResult> StepRunner::Run(const Step& step, const std::atomic<bool>& abandon) {
  std::vector<TokenSpan> spans;
  for (const auto& [sequence, tokens] : step)
    spans.push_back({sequence->tokens.data() + sequence->computed_tokens, tokens,
                     static_cast<int>(sequence->computed_tokens), sequence->block_table.data()});
  if (!llama_.Forward(spans, abandon)) return {};

  std::vector<StepResult> results(step.size());
  std::vector<size_t> sampled;  // entries
  std::vector<int> sampled_rows;
  int first_row = 0;
  for (size_t i = 0; i < step.size(); ++i) {
    try {
      if (RequestOf(step[i]).wants_context_logits) GatherContextLogits(step[i], first_row);
    } catch (const std::bad_alloc&) {
      results[i].failure = OutOfMemory(RequestOf(step[i]).id);
    }
    first_row += step[i].tokens;
    if (!step[i].completes()) continue;
    sampled.push_back(i);
    sampled_rows.push_back(first_row - 1);
  }
  llama_.Logits(sampled_rows, logits_.floats());
  Sample(sampled, step, &results);
  return results;
}

void StepRunner::Sample(const std::vector<size_t>& entries, const Step& step, std::vector<StepResult>* results) {
  pool_.Run(static_cast<int>(entries.size()), [&](int i, int thread) {
    const size_t entry = entries[static_cast<size_t>(i)];
    StepResult& result = (*results)[entry];
    if (result.failure) return;
    const float* logits = logits_.floats() + static_cast<size_t>(i) * llama_.logits_stride();
    try {
      result = SampleOne(RequestOf(step[entry]), logits, &samplers_[static_cast<size_t>(thread)]);
    } catch (const std::bad_alloc&) {
      result.failure = OutOfMemory(RequestOf(step[entry]).id);
    }
  });
}

StepResult StepRunner::SampleOne(const Request& request, const float* logits, Sampler* sampler) const {
  StepResult result;
  const size_t position = request.tokens.size();  // of the new token
  const double uniform = Uniform(request.sampling.seed, /*sequence=*/0, position);
  const int32_t token = sampler->Sample(logits, request.sampling, uniform);
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

void StepRunner::GatherContextLogits(const StepEntry& entry, int first_row) {
  auto* request = static_cast<Request*>(entry.sequence);
  const size_t vocab_size = static_cast<size_t>(model_.vocab_size);
  request->context_logits.resize(request->prompt_tokens * vocab_size);
  const size_t first = request->computed_tokens;
  const size_t end = std::min(first + entry.tokens, request->prompt_tokens);
  for (size_t token = first; token < end; token += max_logits_rows_) {
    std::vector<int> rows;
    for (size_t t = token; t < std::min(end, token + max_logits_rows_); ++t)
      rows.push_back(first_row + static_cast<int>(t - first));
    llama_.Logits(rows, logits_.floats());
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(logits_.floats() + i * llama_.logits_stride(), vocab_size,
                  request->context_logits.data() + (token + i) * vocab_size);
  }
}

}  // namespace embedded
