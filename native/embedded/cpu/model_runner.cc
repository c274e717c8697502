#include "native/embedded/cpu/model_runner.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <new>
#include <numeric>
#include <utility>

#include "native/embedded/control_groups.h"
#include "native/embedded/cpu/dispatch.h"
#include "native/embedded/draw_failures.h"
#include "native/embedded/pooling.h"
#include "native/embedded/process_memory.h"
#include "native/embedded/random.h"

namespace embedded::cpu {
namespace {

constexpr uint32_t kMaxThreads = 1024;
// A step of many prompt tokens keeps those in decode waiting, and a CPU gains nothing from more rows than this.
// Half of the memory is left to what else the machine does.
constexpr DeviceDefaults kDefaults{/*max_batch_size=*/256, /*max_num_tokens=*/512, /*kv_memory_fraction=*/0.5};

int ThreadsOf(const RunnerOptions& options) {
  return ResolveSize(options.config, CONFIG_THREADS, "threads", options.config.threads, kMaxThreads, UsableCpus());
}

RunnerInfo InfoOf(const RunnerOptions& options, const Kernels& kernels, const Ranks& ranks) {
  const int threads = ThreadsOf(options);
  const int count = options.model.ranks();
  RunnerInfo info{};
  info.device = (count == 1 ? "" : std::to_string(count) + " ranks, ") + std::to_string(threads) +
                (threads == 1 ? " thread, " : " threads, ") + kernels.name + " kernels";
  info.tokens_per_block = kTokensPerBlock;
  const uint64_t block_bytes = ranks.bytes_per_block();
  info.kv_blocks =
      ResolveKvBlocks(options.config, options.limits,
                      {block_bytes, kTokensPerBlock, ReadHostMemory().available, kDefaults.kv_memory_fraction});
  info.kv_cache_bytes = block_bytes * static_cast<uint64_t>(info.kv_blocks);
  info.weight_bytes = ranks.weight_bytes();
  info.max_steps_in_flight = 1;
  constexpr uint64_t kLargestValue = 2 * sizeof(float);  // as it was sent, and as it is multiplied by
  if (options.limits.adapters) info.adapter_values = options.limits.adapters->host_bytes / kLargestValue;
  return info;
}

}  // namespace

CpuModelRunner::CpuModelRunner(const RunnerOptions& options)
    : model_(options.model),
      max_logits_rows_(options.limits.max_draws),
      kernels_(SelectKernels()),
      ranks_(options, kernels_, ThreadsOf(options)),
      info_(InfoOf(options, kernels_, ranks_)),
      processors_(static_cast<size_t>(ranks_.pool()->threads()), LogitsProcessors(model_.vocab_size)),
      samplers_(static_cast<size_t>(ranks_.pool()->threads()), Sampler(kernels_, model_.vocab_size)),
      logits_(sizeof(float) * max_logits_rows_ * ranks_.logits_stride(), PageSize::kDefault) {
  ranks_.Allocate(info_.kv_blocks);
}

void CpuModelRunner::Submit(const Step& step, const std::atomic<bool>& abandon) {
  ranks_.CopyBlocks(step.copies);
  std::vector<TokenSpan> spans;
  std::deque<std::vector<int32_t>> drafted;  // the tokens of entries with drafts
  for (const StepEntry& entry : step.entries) {
    const int32_t* tokens = entry.sequence->tokens.data() + entry.first;
    if (!entry.drafts.empty()) {
      std::vector<int32_t>& both = drafted.emplace_back(tokens, tokens + entry.tokens);
      both.insert(both.end(), entry.drafts.begin(), entry.drafts.end());
      tokens = both.data();
    }
    const Request& request = *SequenceOf(entry)->request;
    spans.push_back({tokens, entry.rows(), static_cast<int>(entry.first), static_cast<int>(request.prompt_tokens),
                     entry.sequence->block_table.data(), Prepared(request.adapter)});
  }
  results_.clear();
  if (!ranks_.Forward(spans, abandon)) return;

  results_.resize(step.entries.size());
  std::vector<Draw> draws;
  std::vector<int> drawn_rows;
  int first_row = 0;
  for (size_t i = 0; i < step.entries.size(); ++i) {
    const StepEntry& entry = step.entries[i];
    const RequestSequence& sequence = *SequenceOf(entry);
    const int row = std::exchange(first_row, first_row + entry.rows());
    try {
      GatherPromptOutput(entry, row);
      Pool(entry, row);
    } catch (const std::bad_alloc&) {
      results_[i].push_back({{}, OutOfOutputMemory(sequence.request->id)});
      continue;
    }
    if (entry.draws == 0) continue;
    results_[i].resize(static_cast<size_t>(entry.draws) + entry.drafts.size());
    DrawResult* result = results_[i].data();
    for (size_t drafts = 0; drafts <= entry.drafts.size(); ++drafts) {
      const float* logits = logits_.floats() + drawn_rows.size() * ranks_.logits_stride();
      for (int draw = 0; draw < entry.draws; ++draw)
        draws.push_back({&entry, drafts, sequence.index + static_cast<uint32_t>(draw), logits, result++});
      drawn_rows.push_back(row + entry.tokens - 1 + static_cast<int>(drafts));
    }
  }
  ranks_.Logits(drawn_rows, logits_.floats());
  Sample(draws);
}

const std::vector<RankAdapter>* CpuModelRunner::Prepared(const std::shared_ptr<const Adapter>& adapter) {
  if (adapter == nullptr) return nullptr;
  const auto [prepared, is_new] = adapters_.try_emplace(adapter->serial);
  if (is_new) {
    for (auto each = adapters_.begin(); each != adapters_.end();)
      each = each != prepared && each->second.adapter.expired() ? adapters_.erase(each) : std::next(each);
    prepared->second = {adapter, ranks_.Prepare(*adapter)};
  }
  return &prepared->second.ranks;
}

StepResults CpuModelRunner::Collect() { return std::exchange(results_, {}); }

const Device& CpuDevice() {
  static const Device device{"cpu",
                             CAN_MIN_P | CAN_LOGPROBS | CAN_TOP_LOGPROBS | CAN_PROMPT_LOGPROBS | CAN_CONTEXT_LOGITS |
                                 CAN_GENERATION_LOGITS | CAN_PENALTIES | CAN_NO_REPEAT_NGRAM_SIZE | CAN_LOGIT_BIAS |
                                 CAN_MIN_TOKENS | CAN_STOP_TOKENS | CAN_BAD_TOKENS | CAN_SEVERAL_SEQUENCES |
                                 CAN_OUTPUT_PENALTIES | CAN_BLOCK_REUSE | CAN_KV_RETENTION | CAN_CACHE_SALT |
                                 CAN_PRIORITY | CAN_BEAM_SEARCH | CAN_DRAFT | CAN_PROMPT_LOOKUP | CAN_EMBEDDINGS,
                             kDefaults,
                             [](const RunnerOptions& options) -> std::unique_ptr<ModelRunner> {
                               return std::make_unique<CpuModelRunner>(options);
                             },
                             {QuantAlgo::kGgml, QuantAlgo::kW8A16, QuantAlgo::kW4A16, QuantAlgo::kW4A16Awq,
                              QuantAlgo::kFp8, QuantAlgo::kFp8PerChannelPerToken}};
  return device;
}

void CpuModelRunner::Sample(const std::vector<Draw>& draws) {
  ranks_.pool()->Run(static_cast<int>(draws.size()), [&](int i, int thread) {
    const Draw& draw = draws[static_cast<size_t>(i)];
    try {
      *draw.result =
          SampleOne(draw, &processors_[static_cast<size_t>(thread)], &samplers_[static_cast<size_t>(thread)]);
    } catch (const std::bad_alloc&) {
      draw.result->failure = OutOfOutputMemory(SequenceOf(*draw.entry)->request->id);
    } catch (const executor::Failure& failure) {
      draw.result->failure = failure;
    }
  });
}

DrawResult CpuModelRunner::SampleOne(const Draw& draw, LogitsProcessors* processors, Sampler* sampler) const {
  const Request& request = *SequenceOf(*draw.entry)->request;
  const float* const logits = draw.logits;
  DrawResult result;
  const std::vector<int32_t>* history = &draw.entry->sequence->tokens;
  const size_t position = history->size() + draw.drafts;  // of the new token
  if (request.beams != nullptr) {
    if (draw.index != SequenceOf(*draw.entry)->index) return result;
    const float* const logprobs = sampler->Logprobs(logits);
    if (logprobs == nullptr) {
      result.failure = NoFiniteLogit(request.id, position, model_.dtype);
      return result;
    }
    const float* const scores = processors->Apply(logprobs, request.sampling.processors, *history);
    result.candidates = sampler->BeamCandidates(scores, logprobs, request.beam_candidates);
    AddLogits(request, logits, sampler, &result.output);
    return result;
  }
  std::vector<int32_t> with_drafts;
  if (draw.drafts > 0 && !request.sampling.processors.none()) {
    with_drafts = HistoryOf(*draw.entry, draw.drafts);
    history = &with_drafts;
  }
  const double uniform = Uniform(request.sampling.seed, draw.index, position);
  const std::shared_ptr<Guide>& guide = request.sequences[draw.index].guide;
  const float* processed =
      processors->Apply(logits, request.sampling.processors, *history, guide == nullptr ? nullptr : &guide->Wait());
  const int32_t token = sampler->Sample(processed, request.sampling, uniform);
  if (token < 0 && sampler->Sample(logits, request.sampling, uniform) >= 0) {
    result.failure = NothingLeftToDraw(request.id, position);
    return result;
  }
  if (token < 0) {
    result.failure = NoFiniteLogit(request.id, position, model_.dtype);
    return result;
  }
  result.output.tokens.push_back(token);
  if (request.logprobs) result.output.logprobs.push_back(sampler->Logprob(logits, token));
  AddLogits(request, logits, sampler, &result.output);
  return result;
}

void CpuModelRunner::AddLogits(const Request& request, const float* logits, Sampler* sampler, Output* output) const {
  if (request.top_logprobs > 0) output->top_logprobs.push_back(sampler->TopLogprobs(logits, request.top_logprobs));
  if (request.wants_generation_logits) output->logits.assign(logits, logits + model_.vocab_size);
}

void CpuModelRunner::GatherPromptOutput(const StepEntry& entry, int first_row) {
  Request& request = *SequenceOf(entry)->request;
  if (!request.WantsPromptOutput(entry)) return;
  if (request.prompt_output == nullptr) request.prompt_output = std::make_shared<executor::BatchRowDetails>();
  executor::BatchRowDetails& out = *request.prompt_output;
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
    if (!request.wants_prompt_logprobs || next < request.prompt_logprobs_start || next == request.prompt_tokens) return;
    out.prompt_logprobs[next] = sampler->Logprob(logits, tokens[next]);
    if (top_count == 0) return;
    const std::vector<TokenLogprob> top = sampler->TopLogprobs(logits, request.prompt_top_logprobs);
    for (size_t i = 0; i < top_count; ++i) {
      out.prompt_top_tokens[next * top_count + i] = top[i].token;
      out.prompt_top_logprobs[next * top_count + i] = top[i].logprob;
    }
  };
  const size_t end = entry.first + static_cast<size_t>(entry.tokens);
  for (size_t chunk = std::max(entry.first, request.prompt_output_start); chunk < end; chunk += max_logits_rows_) {
    std::vector<int> rows(std::min<size_t>(end - chunk, max_logits_rows_));
    std::iota(rows.begin(), rows.end(), first_row + static_cast<int>(chunk - entry.first));
    ranks_.Logits(rows, logits_.floats());
    ranks_.pool()->Run(static_cast<int>(rows.size()), [&](int i, int thread) {
      try {
        gather(chunk + i, logits_.floats() + static_cast<size_t>(i) * ranks_.logits_stride(), &samplers_[thread]);
      } catch (const std::bad_alloc&) {
        out_of_memory = true;
      }
    });
  }
  if (out_of_memory) throw std::bad_alloc();
}

void CpuModelRunner::Pool(const StepEntry& entry, int first_row) {
  const PooledTokens pooled = TokensToPool(entry);
  if (pooled.count == 0) return;
  const size_t hidden_size = static_cast<size_t>(model_.hidden_size);
  std::vector<float> states(hidden_size);
  ranks_.SumFinal(first_row + static_cast<int>(pooled.first), static_cast<int>(pooled.count), states.data());
  Request* const request = SequenceOf(entry)->request;
  AddPooled(states.data(), entry.first == 0, PreparedEmbedding(request, hidden_size));
}

}  // namespace embedded::cpu
