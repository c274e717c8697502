#include "native/embedded/cuda/step_pooling.h"

#include <new>
#include <utility>

#include "native/embedded/draw_failures.h"
#include "native/embedded/pooling.h"

namespace embedded::cuda {
namespace {

size_t SpanBytes(int max_sequences) { return sizeof(RowSpan) * static_cast<size_t>(max_sequences); }
size_t SumBytes(int max_sequences, int hidden_size) {
  return sizeof(float) * static_cast<size_t>(max_sequences) * static_cast<size_t>(hidden_size);
}

}  // namespace

size_t StepPooling::DeviceBytes(int max_sequences, int hidden_size) {
  return SpanBytes(max_sequences) + SumBytes(max_sequences, hidden_size);
}

StepPooling::StepPooling(int max_sequences, int hidden_size)
    : hidden_size_(hidden_size),
      device_spans_(SpanBytes(max_sequences), "embeddings"),
      device_sums_(SumBytes(max_sequences, hidden_size), "embeddings"),
      spans_(SpanBytes(max_sequences), "embeddings"),
      sums_(SumBytes(max_sequences, hidden_size), "embeddings") {}

void StepPooling::Submit(const Step& step, const StepPlan& plan, Rank* rank, StepBuffers* buffers) {
  constexpr char kPooling[] = "pooling hidden states";
  on_their_way_.clear();
  for (size_t i = 0; i < step.entries.size(); ++i) {
    const StepEntry& entry = step.entries[i];
    const PooledTokens pooled = TokensToPool(entry);
    if (pooled.count == 0) continue;
    Request* const request = SequenceOf(entry)->request;
    try {
      PreparedEmbedding(request, static_cast<size_t>(hidden_size_));
      on_their_way_.push_back({request->prompt_output, entry.first == 0});
    } catch (const std::bad_alloc&) {
      buffers->FailEntry(i, OutOfOutputMemory(request->id));
      continue;
    }
    spans_.as<RowSpan>()[on_their_way_.size() - 1] = {plan.first_token[i] + static_cast<int32_t>(pooled.first),
                                                      static_cast<int32_t>(pooled.count)};
  }
  if (on_their_way_.empty()) return;
  const int count = static_cast<int>(on_their_way_.size());
  Check(cudaMemcpyAsync(device_spans_.data(), spans_.data(), SpanBytes(count), cudaMemcpyHostToDevice, rank->stream()),
        kPooling);
  rank->SumFinal(plan, device_spans_.as<RowSpan>(), count, device_sums_.as<float>());
  Check(cudaMemcpyAsync(sums_.data(), device_sums_.data(), SumBytes(count, hidden_size_), cudaMemcpyDeviceToHost,
                        rank->stream()),
        kPooling);
}

void StepPooling::Collect() {
  const float* sums = sums_.as<float>();
  for (const OnItsWay& each : std::exchange(on_their_way_, {})) {
    AddPooled(sums, each.is_first, &each.output->embedding);
    sums += hidden_size_;
  }
}

}  // namespace embedded::cuda
