#include "native/embedded/cpu/ranks.h"

#include <algorithm>
#include <optional>

#include "native/embedded/checkpoint/rank_model.h"

namespace embedded::cpu {

Ranks::Ranks(const RunnerOptions& options, const Kernels& kernels, int threads)
    : model_(options.model),
      tp_size_(options.model.tp_size),
      pp_size_(options.model.pp_size),
      vocab_size_(options.model.vocab_size),
      max_lora_rank_(options.limits.adapters ? options.limits.adapters->max_rank : 0),
      max_step_tokens_(options.limits.max_num_tokens),
      max_logits_rows_(options.limits.max_draws),
      kv_dtype_(options.limits.kv_dtype),
      kernels_(kernels),
      team_(options.model.tp_size),
      logits_stride_((options.model.vocab_size + kPanelWidth - 1) / kPanelWidth * kPanelWidth) {
  for (int rank = 0; rank < tp_size_; ++rank)
    pools_.push_back(std::make_unique<ThreadPool>(std::max(1, threads / tp_size_)));
  // All threads load a rank, one rank after the other.
  std::optional<ThreadPool> all_threads;
  if (tp_size_ > 1) all_threads.emplace(threads);
  const int count = options.model.ranks();
  for (int rank = 0; rank < count; ++rank) {
    const auto on_progress = [&](double done) { return options.on_progress((rank + done) / count); };
    auto made = std::make_unique<Rank>();
    made->model = RankModel(options.model, rank);
    made->weights = LoadWeights(options.weights_file(static_cast<size_t>(rank)), made->model, kernels,
                                all_threads ? &*all_threads : pool(), on_progress);
    weight_bytes_ += made->weights.bytes;
    ranks_.push_back(std::move(made));
  }
}

uint64_t Ranks::bytes_per_block() const {
  uint64_t bytes = 0;
  for (const auto& rank : ranks_) bytes += KvMemory::BytesPerBlock(rank->model, kv_dtype_);
  return bytes;
}

void Ranks::Allocate(int kv_blocks) {
  const bool is_split = tp_size_ > 1;
  for (size_t i = 0; i < ranks_.size(); ++i) {
    Rank& rank = *ranks_[i];
    const int tp_rank = static_cast<int>(i) % tp_size_;
    rank.kv_memory = std::make_unique<KvMemory>(rank.model, kv_dtype_, kernels_, kv_blocks);
    rank.llama = std::make_unique<Llama>(rank.model, rank.weights, *rank.kv_memory, kernels_,
                                         pools_[static_cast<size_t>(tp_rank)].get(), max_step_tokens_,
                                         is_split ? team_.communicator(tp_rank) : nullptr);
    if (max_lora_rank_ > 0) rank.llama->AllowAdapters(static_cast<int>(i), max_lora_rank_, max_step_tokens_);
  }
  if (!is_split) return;
  const size_t part_bytes = sizeof(float) * static_cast<size_t>(max_logits_rows_) *
                            static_cast<size_t>(at(pp_size_ - 1, 0).llama->logits_stride());
  for (int rank = 0; rank < tp_size_; ++rank) part_logits_.emplace_back(part_bytes, PageSize::kDefault);
  all_logits_ = PagedMemory(part_bytes * static_cast<size_t>(tp_size_), PageSize::kDefault);
}

std::vector<RankAdapter> Ranks::Prepare(const Adapter& adapter) const {
  std::vector<RankAdapter> prepared;
  for (int rank = 0; rank < model_.ranks(); ++rank) prepared.emplace_back(adapter, model_, rank);
  return prepared;
}

void Ranks::CopyBlocks(const std::vector<BlockCopy>& copies) {
  if (copies.empty()) return;
  for (const auto& rank : ranks_)
    pool()->Run(rank->model.layers, [&](int layer, int) {
      for (const BlockCopy& copy : copies) rank->kv_memory->CopyLayer(copy.from, copy.to, layer);
    });
}

bool Ranks::Forward(const std::vector<TokenSpan>& spans, const std::atomic<bool>& abandon) {
  bool is_done = false;  // as rank 0 has it, and so all
  team_.Run([&](int tp_rank) {
    const Llama* before = nullptr;
    for (int stage = 0; stage < pp_size_; ++stage) {
      Llama& llama = *at(stage, tp_rank).llama;
      if (!llama.Forward(spans, before, abandon)) return;
      before = &llama;
    }
    if (tp_rank == 0) is_done = true;
  });
  return is_done;
}

void Ranks::Logits(const std::vector<int>& rows, float* out) {
  if (tp_size_ == 1) return at(pp_size_ - 1, 0).llama->Logits(rows, out);
  const size_t count = rows.size();
  const size_t part_stride = static_cast<size_t>(at(pp_size_ - 1, 0).llama->logits_stride());
  team_.Run([&](int tp_rank) {
    float* const part = part_logits_[static_cast<size_t>(tp_rank)].floats();
    at(pp_size_ - 1, tp_rank).llama->Logits(rows, part);
    // Each rank could have all; tokens are drawn once.
    team_.communicator(tp_rank)->AllGather(part, count * part_stride, tp_rank == 0 ? all_logits_.floats() : nullptr);
  });
  const int head_rows = at(pp_size_ - 1, 0).model.head_rows;
  pool()->Run(static_cast<int>(count), [&](int row, int) {
    float* to = out + static_cast<size_t>(row) * static_cast<size_t>(logits_stride_);
    for (int rank = 0; rank < tp_size_; ++rank) {
      const float* const from =
          all_logits_.floats() + (static_cast<size_t>(rank) * count + static_cast<size_t>(row)) * part_stride;
      to = std::copy_n(from, std::clamp(vocab_size_ - rank * head_rows, 0, head_rows), to);
    }
  });
}

}  // namespace embedded::cpu
