#include "native/embedded/cpu/calibrate.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <utility>

#include "native/embedded/checkpoint/rank_model.h"
#include "native/embedded/control_groups.h"
#include "native/embedded/cpu/dispatch.h"
#include "native/embedded/cpu/weights.h"

namespace embedded::cpu {
namespace {

using Texts = std::vector<std::vector<int32_t>>;

struct Stage {
  ModelConfig model;
  LlamaWeights weights;
  std::unique_ptr<KvMemory> kv_memory;
  std::unique_ptr<Llama> llama;
};

// The texts of one step, each with KV blocks of its own.
class Group {
 public:
  Group(Texts::const_iterator first, Texts::const_iterator end) {
    for (auto text = first; text != end; ++text) {
      tables_.emplace_back((text->size() + kTokensPerBlock - 1) / kTokensPerBlock);
      std::iota(tables_.back().begin(), tables_.back().end(), blocks_);
      blocks_ += static_cast<int>(tables_.back().size());
      const int count = static_cast<int>(text->size());
      spans_.push_back({text->data(), count, 0, count, tables_.back().data()});
      tokens_ += count;
    }
  }
  const std::vector<TokenSpan>& spans() const { return spans_; }
  int blocks() const { return blocks_; }
  int tokens() const { return tokens_; }

 private:
  std::vector<std::vector<int>> tables_;
  std::vector<TokenSpan> spans_;
  int blocks_ = 0;
  int tokens_ = 0;
};

std::vector<Group> GroupsOf(const Texts& texts, size_t group_tokens) {
  std::vector<Group> groups;
  for (auto first = texts.begin(); first != texts.end();) {
    auto end = first;
    for (size_t tokens = 0; end != texts.end() && (end == first || tokens + end->size() <= group_tokens); ++end)
      tokens += end->size();
    groups.emplace_back(first, end);
    first = end;
  }
  return groups;
}

}  // namespace

std::vector<InputMaxima> FindInputMaxima(const std::string& engine_dir, const Texts& texts, size_t group_tokens,
                                         const std::function<void(int done, int total)>& on_progress) {
  const ModelConfig model = ReadEngineConfig(engine_dir, {}).model;
  const Kernels& kernels = SelectKernels();
  ThreadPool pool(UsableCpus());
  const std::vector<Group> groups = GroupsOf(texts, group_tokens);
  const size_t layers = static_cast<size_t>(model.layers / model.pp_size);
  std::vector<InputMaxima> maxima(static_cast<size_t>(model.layers));
  const std::atomic<bool> abandon{false};
  int done = 0;
  for (const Group& group : groups) {
    std::unique_ptr<Stage> before;
    for (int rank = 0; rank < model.pp_size; ++rank) {
      auto stage = std::make_unique<Stage>();
      stage->model = RankModel(model, rank);
      stage->weights = LoadWeights(engine_dir + "/rank" + std::to_string(rank) + ".safetensors", stage->model, kernels,
                                   &pool, [](double) { return true; });
      stage->kv_memory = std::make_unique<KvMemory>(stage->model, KV_DTYPE_AUTO, kernels, group.blocks());
      stage->llama =
          std::make_unique<Llama>(stage->model, stage->weights, *stage->kv_memory, kernels, &pool, group.tokens());
      const auto first = maxima.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(rank) * layers);
      std::vector<InputMaxima> of_stage(first, first + static_cast<std::ptrdiff_t>(layers));
      stage->llama->RecordInputs(&of_stage);
      stage->llama->Forward(group.spans(), before ? before->llama.get() : nullptr, abandon);
      std::copy(of_stage.begin(), of_stage.end(), first);
      before = std::move(stage);
      on_progress(++done, static_cast<int>(groups.size()) * model.pp_size);
    }
  }
  return maxima;
}

}  // namespace embedded::cpu
