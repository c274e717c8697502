#include "native/embedded/cuda/model_runner.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "native/embedded/cuda/launch.h"
#include "native/embedded/cuda/prompt_output.h"
#include "native/embedded/draw_failures.h"
#include "native/executor/cpp/copy_sized.h"

namespace embedded::cuda {
namespace {

constexpr DeviceDefaults kDefaults{/*max_batch_size=*/256, /*max_num_tokens=*/8192, kKvMemoryFraction,
                                   /*takes_device_ids=*/true, /*has_own_memory=*/true};

constexpr char kChoosing[] = "choosing the GPU";

// A kernel's failure as the executor's.
template <typename Body>
auto WithFailures(Body body) {
  try {
    return body();
  } catch (const KernelError& error) {
    throw CudaFailure(error.status(), error.what());
  }
}

StepBufferLimits BufferLimits(const MemoryPlan& memory, const ModelConfig& model) {
  return {memory.limits.max_tokens, memory.limits.max_sequences, memory.limits.max_blocks, model.vocab_size};
}

// By rank. All have as many blocks as the GPU with the least memory has room for.
std::vector<MemoryPlan> PlanRanks(const RunnerOptions& options, const std::vector<Device>& devices) {
  std::vector<MemoryPlan> plans;
  for (const Device& device : devices) {
    Check(cudaSetDevice(device.id), kChoosing);
    const auto sharing =
        std::count_if(devices.begin(), devices.end(), [&](const Device& other) { return other.id == device.id; });
    plans.push_back(PlanMemory(options, static_cast<int>(plans.size()), device, CurrentDeviceTraits(),
                               DeviceMemory().free_bytes / static_cast<size_t>(sharing)));
  }
  int blocks = plans.front().kv.layout.blocks;
  uint64_t block_bytes = 0;
  for (const MemoryPlan& plan : plans) {
    blocks = std::min(blocks, plan.kv.layout.blocks);
    block_bytes += plan.kv.bytes_per_block();
  }
  for (MemoryPlan& plan : plans) {
    plan.kv.layout.blocks = blocks;
    plan.host_blocks = HostBlocksOf(options.limits, block_bytes);
    plan.limits.max_blocks = std::min(plan.limits.max_blocks, blocks);
  }
  return plans;
}

// By rank.
std::vector<Device> OpenDevices(const RunnerOptions& options) {
  const ExecutorParallelConfig parallel = executor::CopySized(options.config.parallel);
  const int ranks = options.model.ranks(), tp_size = options.model.tp_size;
  if (tp_size > kMaxExchangeRanks)
    throw executor::Failure(EXECUTOR_MODEL_UNSUPPORTED,
                            "The engine has a tpSize of " + std::to_string(tp_size) + "; expected at most " +
                                std::to_string(kMaxExchangeRanks) +
                                ", because the CUDA executor runs no more. Convert the model again with a smaller "
                                "tpSize, or use executor: 'cpu'.");
  const size_t found = parallel.device_id_count > 0 || ranks == 1 ? static_cast<size_t>(ranks) : FindDevices().size();
  if (found < static_cast<size_t>(ranks))
    throw executor::Failure(
        EXECUTOR_ENGINE_RANKS,
        "CUDA shows this process " + std::to_string(found) + (found == 1 ? " GPU" : " GPUs") +
            "; expected one for each of the engine's " + std::to_string(ranks) +
            " ranks. Convert the model again with a smaller tpSize or ppSize, check CUDA_VISIBLE_DEVICES, "
            "or use executor: 'cpu'.");
  std::vector<Device> devices;
  for (int rank = 0; rank < ranks; ++rank)
    devices.push_back(OpenDevice(parallel.device_id_count > 0 ? parallel.device_ids[rank] : rank));
  return devices;
}

// By stage; none where a stage has one rank. Leaves the drawing rank's device as the calling thread's.
std::vector<std::unique_ptr<RankExchange>> MakeExchanges(const std::vector<Device>& devices, const ModelConfig& model,
                                                         const LlamaLimits& limits, RankThreads* threads) {
  std::vector<std::unique_ptr<RankExchange>> exchanges;
  for (auto first = devices.begin(); model.tp_size > 1 && first != devices.end(); first += model.tp_size)
    exchanges.push_back(std::make_unique<RankExchange>(std::vector<Device>(first, first + model.tp_size),
                                                       ExchangeSizesOf(model, limits), threads));
  Check(cudaSetDevice((devices.end() - model.tp_size)->id), kChoosing);
  return exchanges;
}

std::string NamesOf(const std::vector<Device>& devices) {
  if (devices.size() == 1) return devices.front().name;
  std::string names;
  for (const Device& device : devices)
    if (names.find(device.name) == std::string::npos) names += ", " + device.name;
  return std::to_string(devices.size()) + " ranks" + names;
}

}  // namespace

CudaModelRunner::CudaModelRunner(const RunnerOptions& options, const std::vector<Device>& devices)
    : model_(options.model),
      threads_(model_.tp_size),
      memory_(PlanRanks(options, devices)),
      exchanges_(MakeExchanges(devices, model_, memory_.front().limits, &threads_)),
      ranks_(devices.size()),
      has_adapters_(options.limits.adapters.has_value()),
      sampler_(memory_.front().limits.max_sequences, model_.vocab_size),
      buffers_{StepBuffers(BufferLimits(memory_.front(), model_)), StepBuffers(BufferLimits(memory_.front(), model_))},
      pooling_{StepPooling(memory_.front().limits.max_sequences, model_.hidden_size),
               StepPooling(memory_.front().limits.max_sequences, model_.hidden_size)},
      drawn_(MakeEvent()),
      gaps_(StepGaps::FromEnvironment()) {
  const bool lacks_peers = std::any_of(exchanges_.begin(), exchanges_.end(), [](const auto& exchange) {
    return exchange->memory() == ExchangeMemory::kHost;
  });
  if (lacks_peers || model_.pp_size > 1) {
    newest_ = PinnedBuffer(sizeof(int32_t) * static_cast<size_t>(memory_.front().limits.max_sequences), "drawn tokens");
    std::memset(newest_.data(), 0, newest_.bytes());
  }
  LoadRanks(options, devices);
  info_.device = NamesOf(devices);
  if (lacks_peers) info_.device += ", without peer access";
  info_.tokens_per_block = memory_.front().kv.layout.tokens_per_block;
  info_.kv_blocks = memory_.front().kv.layout.blocks;
  info_.host_blocks = memory_.front().host_blocks;
  for (const MemoryPlan& memory : memory_) {
    info_.weight_bytes += memory.weight_bytes;
    info_.kv_cache_bytes += memory.kv.bytes();
    info_.pinned_memory_bytes += memory.host_bytes();
    info_.device_memory_bytes += memory.bytes();
  }
  info_.max_steps_in_flight = static_cast<int>(kStepsInFlight);
  if (options.limits.adapters) {
    for (int slot = kAdapterSlots; slot > 0; --slot) free_adapter_slots_.push_back(slot - 1);
    info_.adapter_values = options.limits.adapters->host_bytes / sizeof(float);
    for (const MemoryPlan& memory : memory_)
      info_.adapter_values = std::min(info_.adapter_values, memory.adapter_bytes / kElementBytes);
  }
}

void CudaModelRunner::LoadRanks(const RunnerOptions& options, const std::vector<Device>& devices) {
  std::vector<std::atomic<double>> done(devices.size());
  std::atomic<bool> is_aborted{false};
  std::vector<std::mutex> measuring(devices.size());  // by the first rank on a GPU
  const size_t tp_size = static_cast<size_t>(model_.tp_size);
  threads_.Run([&](int tp_rank) {
    for (size_t rank = static_cast<size_t>(tp_rank); rank < devices.size(); rank += tp_size) {
      Check(cudaSetDevice(devices[rank].id), kChoosing);
      // The first rank reports for all: one thread calls what was given.
      const auto on_progress = [&](double part) {
        done[rank] = part;
        if (tp_rank > 0) return !is_aborted;
        double sum = 0;
        for (const std::atomic<double>& each : done) sum += each;
        if (!options.on_progress(sum / static_cast<double>(devices.size()))) is_aborted = true;
        return !is_aborted;
      };
      RankEnd* const end = exchanges_.empty() ? nullptr : exchanges_[rank / tp_size]->end(tp_rank);
      try {
        ranks_[rank] =
            std::make_unique<Rank>(options, static_cast<int>(rank), devices[rank], memory_[rank], end, on_progress);
      } catch (...) {
        is_aborted = true;  // the others need not load on
        throw;
      }
    }
    // What a rank measures, another on its GPU would disturb.
    threads_.Meet();
    for (size_t rank = static_cast<size_t>(tp_rank); rank < devices.size(); rank += tp_size) {
      Check(cudaSetDevice(devices[rank].id), kChoosing);
      const auto first = std::find_if(devices.begin(), devices.end(),
                                      [&](const Device& other) { return other.id == devices[rank].id; });
      const std::lock_guard<std::mutex> lock(measuring[static_cast<size_t>(first - devices.begin())]);
      ranks_[rank]->Tune(draw_buffers());
    }
  });
}

// The members' memory may still be in use, by other ranks too.
CudaModelRunner::~CudaModelRunner() {
  for (const auto& rank : ranks_) {
    cudaSetDevice(rank->device().id);
    cudaStreamSynchronize(rank->stream());
  }
}

template <typename Body>
void CudaModelRunner::OnEachRank(const Body& body) {
  const size_t tp_size = static_cast<size_t>(model_.tp_size);
  threads_.Run([&](int tp_rank) {
    for (size_t rank = static_cast<size_t>(tp_rank); rank < ranks_.size(); rank += tp_size) {
      Check(cudaSetDevice(ranks_[rank]->device().id), kChoosing);
      body(ranks_[rank].get());
    }
  });
}

const Rank* CudaModelRunner::Before(const Rank* rank) const {
  for (size_t i = static_cast<size_t>(model_.tp_size); i < ranks_.size(); ++i)
    if (ranks_[i].get() == rank) return ranks_[i - static_cast<size_t>(model_.tp_size)].get();
  return nullptr;
}

void CudaModelRunner::Submit(const Step& step, const std::atomic<bool>&) {
  SubmitWithoutDraws(step);
  Draw();
}

void CudaModelRunner::SubmitWithoutDraws(const Step& step) {
  Check(cudaSetDevice(drawer().device().id), kChoosing);  // of this thread
  WithFailures([&] { SubmitStep(step); });
}

StepResults CudaModelRunner::Collect() {
  const size_t slot = collected_++ % kStepsInFlight;
  StepBuffers& buffers = buffers_[slot];
  Check(cudaEventSynchronize(buffers.done().get()), "computing a step");
  if (gaps_) gaps_->Collect();
  for (const auto& exchange : exchanges_) exchange->CheckNoneIsLost();
  pooling_[slot].Collect();
  return buffers.Results(model_.dtype);
}

void CudaModelRunner::SubmitStep(const Step& step) {
  const LlamaLimits& limits = memory_.front().limits;
  const size_t slot = submitted_++ % kStepsInFlight;
  StepBuffers& buffers = buffers_[slot];
  StepPlan plan = PlanRows(step, limits.max_sequences);
  const StepArrays arrays = buffers.Arrays(plan.decode_only() ? limits.max_sequences : plan.tokens);
  const int longest_table = FillArrays(step, plan, arrays, buffers.block_table(), limits.max_blocks);
  sampler_.Plan(step, plan, arrays.sampling);
  std::vector<int> host_logits = buffers.Expect(plan, step.entries.size(), sampler_.top_width());
  KvBlockCopy* const copies = buffers.Copies(step.copies.size());
  for (size_t i = 0; i < step.copies.size(); ++i) copies[i] = {step.copies[i].from, step.copies[i].to};

  if (const std::vector<int> slots = LoadAdapters(step, &buffers); !slots.empty()) {
    FillAdapterSlots(step, plan, slots, arrays);
    plan.has_adapters = true;
  }

  if (gaps_) gaps_->Submit(plan.decode_only() ? plan.decode_rows : 0);
  // Until all ranks have launched their part, nothing is called that may wait for a GPU: kernels wait for those of other ranks.
  OnEachRank([&](Rank* rank) {
    if (rank != &drawer()) Check(cudaStreamWaitEvent(rank->stream(), drawn_.get(), 0), "waiting for drawn tokens");
    rank->CopyBlocks(step.copies, copies);
    rank->Upload(plan, longest_table, buffers);
    if (const Rank* const before = Before(rank)) rank->Receive(*before, plan);
    rank->Compute(step, plan, draw_buffers(), gaps_.get());
  });
  GatherPromptOutput(step, plan, &buffers);
  pooling_[slot].Submit(step, plan, &drawer(), &buffers);
  if (!plan.draws.empty() && !plan.decode_only())
    OnEachRank([&](Rank* rank) { rank->StepLogits(plan, draw_buffers()); });
  planned_ = {std::move(plan), std::move(host_logits), &buffers};
}

void CudaModelRunner::Draw() {
  Check(cudaSetDevice(drawer().device().id), kChoosing);
  WithFailures([&] { DrawTokens(); });
  if (newest_.data() != nullptr)
    Check(cudaMemcpyAsync(newest_.data(), sampler_.newest(), newest_.bytes(), cudaMemcpyDeviceToHost, stream()),
          "sharing drawn tokens");
  if (ranks_.size() > 1) Check(cudaEventRecord(drawn_.get(), stream()), "submitting a step");
  // The other ranks' work is done too: the drawing one's kernels have waited for it.
  Check(cudaEventRecord(planned_->buffers->done().get(), stream()), "submitting a step");
  planned_.reset();
}

void CudaModelRunner::GatherPromptOutput(const Step& step, const StepPlan& plan, StepBuffers* buffers) {
  const size_t vocab_size = static_cast<size_t>(model_.vocab_size);
  const size_t most_rows = static_cast<size_t>(memory_.front().limits.max_sequences);
  for (size_t i = 0; i < step.entries.size(); ++i) {
    const StepEntry& entry = step.entries[i];
    const RequestSequence& sequence = *SequenceOf(entry);
    Request& request = *sequence.request;
    if (!request.WantsPromptOutput(entry)) continue;
    try {
      PreparePromptOutput(&request, vocab_size);
      const size_t tokens = static_cast<size_t>(entry.tokens);
      const size_t start = std::max(request.prompt_output_start, entry.first) - entry.first;
      std::vector<float> logits(std::min(tokens - start, most_rows) * vocab_size);
      for (size_t first = start; first < tokens; first += most_rows) {
        std::vector<int32_t> rows(std::min(most_rows, tokens - first));
        std::iota(rows.begin(), rows.end(), plan.first_token[i] + static_cast<int32_t>(first));
        OnEachRank([&](Rank* rank) { rank->LogitsOf(rows, draw_buffers()); });
        Check(cudaMemcpyAsync(logits.data(), sampler_.logits(), sizeof(float) * rows.size() * vocab_size,
                              cudaMemcpyDeviceToHost, stream()),
              "copying a prompt's logits");
        Check(cudaStreamSynchronize(stream()), "computing a prompt's logits");
        NotePromptLogits(sequence, entry.first + first, rows.size(), logits.data(), vocab_size);
      }
    } catch (const std::bad_alloc&) {
      buffers->FailEntry(i, OutOfOutputMemory(request.id));
    }
    // A step of decode rows alone has its logits where these went.
    if (plan.decode_only()) OnEachRank([&](Rank* rank) { rank->StepLogits(plan, draw_buffers()); });
  }
}

std::vector<int> CudaModelRunner::LoadAdapters(const Step& step, StepBuffers* buffers) {
  std::vector<int> slots;
  // A step with adapters rounds elsewhere, so where that may not depend on what runs together each step is one.
  if (has_adapters_ && memory_.front().limits.batch_invariant) slots.resize(step.entries.size(), kNoAdapterSlot);
  for (size_t i = 0; i < step.entries.size(); ++i) {
    const Request& request = *SequenceOf(step.entries[i])->request;
    if (request.adapter == nullptr) continue;
    slots.resize(step.entries.size(), kNoAdapterSlot);
    auto loaded = adapters_.find(request.adapter->serial);
    if (loaded == adapters_.end()) {
      try {
        DropEvictedAdapters();
        loaded =
            adapters_.emplace(request.adapter->serial, LoadedAdapter{request.adapter, LoadAdapter(*request.adapter)})
                .first;
      } catch (const executor::Failure& failure) {
        if (failure.code() == EXECUTOR_FAILED) throw;
        buffers->FailEntry(i, executor::Failure(failure).OfRequest(request.id));
        continue;
      }
    }
    slots[i] = loaded->second.slot;
  }
  return slots;
}

int CudaModelRunner::LoadAdapter(const Adapter& adapter) {
  if (free_adapter_slots_.empty())
    throw executor::Failure(EXECUTOR_OUT_OF_MEMORY, "The GPU has " + std::to_string(kAdapterSlots) +
                                                        " adapters; expected fewer. Run fewer adapters at once.")
        .About("lora");
  const int slot = free_adapter_slots_.back();
  OnEachRank([&](Rank* rank) { rank->adapters()->Load(slot, adapter, rank->stream()); });
  free_adapter_slots_.pop_back();
  return slot;
}

void CudaModelRunner::DropEvictedAdapters() {
  std::vector<int> slots;
  for (auto each = adapters_.begin(); each != adapters_.end();) {
    if (each->second.adapter.expired()) slots.push_back(each->second.slot);
    each = each->second.adapter.expired() ? adapters_.erase(each) : std::next(each);
  }
  if (slots.empty()) return;
  OnEachRank([&](Rank* rank) { rank->adapters()->Drop(slots, rank->stream()); });
  free_adapter_slots_.insert(free_adapter_slots_.end(), slots.begin(), slots.end());
}

// Waits for the masks, which were computed while the GPU was given its work and began with it.
void CudaModelRunner::SetMasks(const StepPlan& plan, StepBuffers* buffers) {
  for (size_t i = 0; i < plan.draws.size(); ++i) {
    const PlannedDraw& draw = plan.draws[i];
    const std::shared_ptr<Guide>& guide = draw.sequence->request->sequences[draw.index].guide;
    if (guide == nullptr || !guide->is_asked()) continue;
    try {
      sampler_.SetMask(i, guide->Wait());
    } catch (const executor::Failure& failure) {
      buffers->FailEntry(draw.entry, failure);
    }
  }
}

void CudaModelRunner::DrawTokens() {
  const auto& [plan, host_logits, buffers] = planned_.value();
  if (plan.draws.empty()) return;
  constexpr char kCopying[] = "copying what was drawn";
  cudaStream_t const stream = this->stream();
  SetMasks(plan, buffers);
  sampler_.Run(drawer().Arrays(plan).sampling, buffers->processors(), stream);
  if (gaps_) gaps_->RecordEnd(stream);
  Check(cudaMemcpyAsync(buffers->drawn(), sampler_.drawn(), sizeof(DrawnToken) * plan.draws.size(),
                        cudaMemcpyDeviceToHost, stream),
        kCopying);
  if (sampler_.top_width() > 0)
    Check(cudaMemcpyAsync(buffers->top(), sampler_.top(),
                          sizeof(TopLogprob) * plan.draws.size() * static_cast<size_t>(sampler_.top_width()),
                          cudaMemcpyDeviceToHost, stream),
          kCopying);
  if (host_logits.empty()) return;
  const size_t vocab_size = static_cast<size_t>(model_.vocab_size);
  float* to = buffers->HostLogits(host_logits.size());
  for (const int row : host_logits)
    Check(cudaMemcpyAsync(std::exchange(to, to + vocab_size), sampler_.logits() + static_cast<size_t>(row) * vocab_size,
                          sizeof(float) * vocab_size, cudaMemcpyDeviceToHost, stream),
          kCopying);
}

const embedded::Device& CudaDevice() {
  static const embedded::Device device{
      "cuda",
      CAN_MIN_P | CAN_LOGPROBS | CAN_TOP_LOGPROBS | CAN_PROMPT_LOGPROBS | CAN_CONTEXT_LOGITS | CAN_GENERATION_LOGITS |
          CAN_PENALTIES | CAN_NO_REPEAT_NGRAM_SIZE | CAN_LOGIT_BIAS | CAN_MIN_TOKENS | CAN_STOP_TOKENS |
          CAN_BAD_TOKENS | CAN_SEVERAL_SEQUENCES | CAN_OUTPUT_PENALTIES | CAN_BLOCK_REUSE | CAN_KV_RETENTION |
          CAN_CACHE_SALT | CAN_PRIORITY | CAN_BEAM_SEARCH | CAN_EMBEDDINGS | CAN_DRAFT | CAN_PROMPT_LOOKUP,
      kDefaults,
      [](const RunnerOptions& options) -> std::unique_ptr<ModelRunner> {
        return WithFailures([&] { return std::make_unique<CudaModelRunner>(options, OpenDevices(options)); });
      },
      {QuantAlgo::kW8A16, QuantAlgo::kW4A16, QuantAlgo::kW4A16Awq, QuantAlgo::kFp8, QuantAlgo::kFp8PerChannelPerToken,
       QuantAlgo::kGgml},
      /*warms_up=*/true};
  return device;
}

}  // namespace embedded::cuda
