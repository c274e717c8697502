#include "native/embedded/cuda/model_runner.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "native/embedded/cuda/launch.h"
#include "native/embedded/cuda/matmul_choices.h"
#include "native/embedded/cuda/prompt_output.h"
#include "native/embedded/draw_failures.h"
#include "native/executor/cpp/copy_sized.h"

namespace embedded::cuda {
namespace {

constexpr DeviceDefaults kDefaults{/*max_batch_size=*/256, /*max_num_tokens=*/8192, kKvMemoryFraction,
                                   /*takes_device_ids=*/true};

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

}  // namespace

CudaModelRunner::CudaModelRunner(const RunnerOptions& options, const Device& device)
    : device_(device),
      model_(options.model),
      memory_(PlanMemory(options, device, CurrentDeviceTraits(), DeviceMemory().free_bytes)),
      stream_(MakeStream()),
      matmul_(device, DefaultMatmulChoicesDir()),
      linear_(&matmul_),
      weights_(LoadWeights(options.weights_file(0), model_, memory_.element, options.on_progress, stream_.get())),
      cache_(memory_.kv.bytes(), "the KV cache"),
      llama_(model_, weights_, memory_.kv, cache_.data(), &linear_, memory_.limits),
      sampler_(memory_.limits.max_sequences, model_.vocab_size),
      arrays_(StepArrays(nullptr, memory_.limits.max_tokens, memory_.limits.max_sequences).bytes, "a step's input"),
      block_table_(sizeof(int32_t) * static_cast<size_t>(memory_.limits.max_sequences) *
                       static_cast<size_t>(memory_.limits.max_blocks),
                   "block tables"),
      copies_(sizeof(KvBlockCopy) * static_cast<size_t>(StepBuffers::MaxCopies(memory_.limits.max_sequences)),
              "copies of KV blocks"),
      prompt_rows_(sizeof(int32_t) * static_cast<size_t>(memory_.limits.max_sequences), "logits of prompts"),
      buffers_{StepBuffers(BufferLimits(memory_, model_)), StepBuffers(BufferLimits(memory_, model_))},
      gaps_(StepGaps::FromEnvironment()) {
  // Attention gives what lies past a sequence's end the weight 0, but 0 * NaN is NaN.
  Check(cudaMemset(cache_.data(), 0, cache_.bytes()), "clearing the KV cache");
  Check(cudaMemset(block_table_.data(), 0, block_table_.bytes()), "clearing block tables");
  Tune();
  Check(cudaDeviceSynchronize(), "loading the model");
  info_.device = device.name;
  info_.tokens_per_block = memory_.kv.tokens_per_block;
  info_.kv_blocks = memory_.kv.blocks;
  info_.weight_bytes = memory_.weight_bytes;
  info_.kv_cache_bytes = memory_.kv.bytes();
  info_.device_memory_bytes = memory_.bytes();
  info_.max_steps_in_flight = static_cast<int>(kStepsInFlight);
}

void CudaModelRunner::Tune() {
  constexpr auto kMostTime = std::chrono::milliseconds(1500);
  const auto deadline = std::chrono::steady_clock::now() + kMostTime;
  // All positions below 0: nothing is stored in the cache.
  Check(cudaMemset(arrays_.data(), 0xFF, arrays_.bytes()), "clearing a step's input");
  Check(cudaDeviceSynchronize(), "clearing a step's input");
  const StepArrays arrays(arrays_.data(), memory_.limits.max_sequences, memory_.limits.max_sequences);
  std::vector<int> sizes = DecodeBuckets(memory_.limits.max_sequences);
  std::reverse(sizes.begin(), sizes.end());  // what is chosen without measuring is the worst for the largest
  llama_.Tune({arrays, block_table_.as<int32_t>(), sampler_.newest(), 0, 0}, sizes, sampler_.logits(), deadline,
              &linear_, stream_.get());
  matmul_.choices().Save();
}

// The members' memory may still be in use.
CudaModelRunner::~CudaModelRunner() {
  cudaSetDevice(device_.id);
  cudaStreamSynchronize(stream_.get());
}

void CudaModelRunner::Submit(const Step& step, const std::atomic<bool>&) {
  Check(cudaSetDevice(device_.id), "choosing the GPU");  // of this thread
  WithFailures([&] { SubmitStep(step); });
}

StepResults CudaModelRunner::Collect() {
  StepBuffers& buffers = buffers_[collected_++ % kStepsInFlight];
  Check(cudaEventSynchronize(buffers.done().get()), "computing a step");
  if (gaps_) gaps_->Collect();
  return buffers.Results(model_.dtype);
}

void CudaModelRunner::SubmitStep(const Step& step) {
  StepBuffers& buffers = buffers_[submitted_++ % kStepsInFlight];
  const StepPlan plan = PlanRows(step, memory_.limits.max_sequences);
  const StepArrays arrays = buffers.Arrays(plan.decode_only() ? memory_.limits.max_sequences : plan.tokens);
  const int longest_table = FillArrays(step, plan, arrays, buffers.block_table(), memory_.limits.max_blocks);
  sampler_.Plan(plan, arrays.sampling);
  const std::vector<int> host_logits = buffers.Expect(plan, step.entries.size(), sampler_.top_width());

  if (gaps_) gaps_->Submit(plan.decode_only() ? plan.decode_rows : 0);
  CopyBlocks(step.copies, &buffers);
  Upload(plan, longest_table, buffers);
  Compute(step, plan);
  GatherPromptOutput(step, plan, &buffers);
  Draw(plan, host_logits, &buffers);
  Check(cudaEventRecord(buffers.done().get(), stream_.get()), "submitting a step");
}

void CudaModelRunner::CopyBlocks(const std::vector<BlockCopy>& copies, StepBuffers* buffers) {
  if (copies.empty()) return;
  if (copies.size() > copies_.bytes() / sizeof(KvBlockCopy)) throw std::logic_error("a step copies too many KV blocks");
  for (size_t i = 0; i < copies.size(); ++i) buffers->copies()[i] = {copies[i].from, copies[i].to};
  Check(cudaMemcpyAsync(copies_.data(), buffers->copies(), sizeof(KvBlockCopy) * copies.size(), cudaMemcpyHostToDevice,
                        stream_.get()),
        "submitting copies of KV blocks");
  for (size_t first = 0; first < copies.size();) {
    size_t end = first + 1;  // a copy that meets one before it waits for it
    const auto meets = [&](const BlockCopy& other) {
      return other.to == copies[end].from || other.to == copies[end].to || other.from == copies[end].to;
    };
    while (end < copies.size() && std::none_of(copies.begin() + static_cast<std::ptrdiff_t>(first),
                                               copies.begin() + static_cast<std::ptrdiff_t>(end), meets))
      ++end;
    CopyKvBlocks(memory_.kv, {copies_.as<KvBlockCopy>() + first, static_cast<int>(end - first), cache_.data()},
                 stream_.get());
    first = end;
  }
}

void CudaModelRunner::Upload(const StepPlan& plan, int longest_table, const StepBuffers& buffers) {
  constexpr char kUploading[] = "copying a step's input to the GPU";
  const StepArrays from = buffers.Arrays(plan.decode_only() ? memory_.limits.max_sequences : plan.tokens);
  Check(cudaMemcpyAsync(arrays_.data(), from.tokens, from.bytes, cudaMemcpyHostToDevice, stream_.get()), kUploading);
  const size_t pitch = sizeof(int32_t) * static_cast<size_t>(memory_.limits.max_blocks);
  Check(cudaMemcpy2DAsync(block_table_.data(), pitch, buffers.block_table(), pitch,
                          sizeof(int32_t) * static_cast<size_t>(longest_table), plan.order.size(),
                          cudaMemcpyHostToDevice, stream_.get()),
        kUploading);
}

void CudaModelRunner::Compute(const Step& step, const StepPlan& plan) {
  const StepArrays arrays(arrays_.data(), plan.decode_only() ? memory_.limits.max_sequences : plan.tokens,
                          memory_.limits.max_sequences);
  const LlamaStep on_device{arrays, block_table_.as<int32_t>(), sampler_.newest(), plan.tokens, plan.decode_rows};
  if (!plan.decode_only()) {
    llama_.PlanPrefill(PrefillSequencesOf(step, plan), stream_.get());
    return llama_.Forward(on_device, stream_.get());
  }
  graphs_.Run(plan.decode_rows, gaps_ ? gaps_->graph() : 0, stream_.get(), [&](cudaStream_t stream) {
    if (gaps_) gaps_->RecordStart(stream);
    llama_.Forward(on_device, stream);
    llama_.Logits(arrays.logits_rows, plan.logits_rows, sampler_.logits(), stream);
  });
}

void CudaModelRunner::GatherPromptOutput(const Step& step, const StepPlan& plan, StepBuffers* buffers) {
  const size_t vocab_size = static_cast<size_t>(model_.vocab_size);
  const size_t most_rows = static_cast<size_t>(memory_.limits.max_sequences);
  for (size_t i = 0; i < step.entries.size(); ++i) {
    const StepEntry& entry = step.entries[i];
    const RequestSequence& sequence = *SequenceOf(entry);
    Request& request = *sequence.request;
    if (!request.WantsPromptOutput(entry)) continue;
    try {
      PreparePromptOutput(&request, vocab_size);
      const size_t tokens = static_cast<size_t>(entry.tokens);
      std::vector<float> logits(std::min(tokens, most_rows) * vocab_size);
      for (size_t first = 0; first < tokens; first += most_rows) {
        std::vector<int32_t> rows(std::min(most_rows, tokens - first));
        std::iota(rows.begin(), rows.end(), plan.first_token[i] + static_cast<int32_t>(first));
        const int count = static_cast<int>(rows.size());
        Check(cudaMemcpyAsync(prompt_rows_.data(), rows.data(), sizeof(int32_t) * rows.size(), cudaMemcpyHostToDevice,
                              stream_.get()),
              "submitting a prompt's logits");
        llama_.Logits(prompt_rows_.as<int32_t>(), count, sampler_.logits(), stream_.get());
        Check(cudaMemcpyAsync(logits.data(), sampler_.logits(), sizeof(float) * rows.size() * vocab_size,
                              cudaMemcpyDeviceToHost, stream_.get()),
              "copying a prompt's logits");
        Check(cudaStreamSynchronize(stream_.get()), "computing a prompt's logits");
        NotePromptLogits(sequence, entry.first + first, rows.size(), logits.data(), vocab_size);
      }
    } catch (const std::bad_alloc&) {
      buffers->FailEntry(i, OutOfOutputMemory(request.id));
    }
    // A step of decode rows alone has its logits where these went.
    if (plan.decode_only()) {
      const StepArrays arrays(arrays_.data(), memory_.limits.max_sequences, memory_.limits.max_sequences);
      llama_.Logits(arrays.logits_rows, plan.logits_rows, sampler_.logits(), stream_.get());
    }
  }
}

void CudaModelRunner::Draw(const StepPlan& plan, const std::vector<int>& host_logits, StepBuffers* buffers) {
  if (plan.draws.empty()) return;
  constexpr char kCopying[] = "copying what was drawn";
  const StepArrays arrays(arrays_.data(), plan.decode_only() ? memory_.limits.max_sequences : plan.tokens,
                          memory_.limits.max_sequences);
  cudaStream_t const stream = stream_.get();
  if (!plan.decode_only()) llama_.Logits(arrays.logits_rows, plan.logits_rows, sampler_.logits(), stream);
  sampler_.Run(arrays.sampling, buffers->processors(), stream);
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
          CAN_BAD_TOKENS | CAN_SEVERAL_SEQUENCES | CAN_OUTPUT_PENALTIES,
      kDefaults,
      [](const RunnerOptions& options) -> std::unique_ptr<ModelRunner> {
        const ExecutorParallelConfig parallel = executor::CopySized(options.config.parallel);
        const int id = parallel.device_id_count > 0 ? parallel.device_ids[0] : 0;
        return WithFailures([&] { return std::make_unique<CudaModelRunner>(options, OpenDevice(id)); });
      },
      {QuantAlgo::kW8A16, QuantAlgo::kW4A16, QuantAlgo::kW4A16Awq, QuantAlgo::kFp8, QuantAlgo::kFp8PerChannelPerToken,
       QuantAlgo::kGgml}};
  return device;
}

}  // namespace embedded::cuda
