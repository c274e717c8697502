// The Llama graph (arXiv:2302.13971): one pass over the tokens of a step.
#ifndef EMBEDDED_CPU_LLAMA_H_
#define EMBEDDED_CPU_LLAMA_H_

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "native/embedded/checkpoint/config.h"
#include "native/embedded/communicator.h"
#include "native/embedded/cpu/attention.h"
#include "native/embedded/cpu/kernels.h"
#include "native/embedded/cpu/kv_memory.h"
#include "native/embedded/cpu/paged_memory.h"
#include "native/embedded/cpu/rank_adapter.h"
#include "native/embedded/cpu/rope.h"
#include "native/embedded/cpu/thread_pool.h"
#include "native/embedded/cpu/weights.h"

namespace embedded::cpu {

// Consecutive tokens of one sequence. Its earlier ones are in the cache, and its blocks reach to the last of these.
struct TokenSpan {
  const int32_t* tokens;
  int count;
  int first_position;
  int prompt_tokens;  // of the sequence
  const int* block_table;
  const std::vector<RankAdapter>* adapter = nullptr;  // by rank; null: none
};

// The largest absolute value that went into a layer's matrices.
struct InputMaxima {
  float qkv = 0;  // q, k and v
  float dense = 0;
  float fc = 0;  // fc and gate
  float proj = 0;
};

// The model or, where there are several ranks, what one rank has of it (RankModel). A token's bits do not depend on what
// else is in the step: see cpu/kernels.h. Borrows what it is given; one thread at a time.
class Llama {
 public:
  // `communicator`: of the ranks that share the layers; null for a model that is not split.
  Llama(const ModelConfig& model, const LlamaWeights& weights, const KvMemory& kv_memory, const Kernels& kernels,
        ThreadPool* pool, int max_step_tokens, Communicator* communicator = nullptr);

  // From now on spans may have adapters of up to this LoRA rank; `rank` is this Llama's among the engine's. Throws
  // std::bad_alloc.
  void AllowAdapters(int rank, int max_lora_rank, int max_step_tokens);

  // Computes the step's tokens, together at most max_step_tokens, and writes their keys and values. `before`: the rank of
  // the stage before, which has computed them; null in the first. False if `abandon` became true on the way, which is
  // looked at before each layer; all ranks see it at the same layer. Does not throw.
  bool Forward(const std::vector<TokenSpan>& spans, const Llama* before, const std::atomic<bool>& abandon);

  // From now on each Forward raises `maxima`, by layer, to what goes into the matrices; a value that is not a number stays. Borrows it.
  void RecordInputs(std::vector<InputMaxima>* maxima) { input_maxima_ = maxima; }

  // Logits of some tokens of the last Forward, counted over its spans: out [rows.size(), logits_stride()].
  void Logits(const std::vector<int>& rows, float* out);
  // The hidden states of tokens of the last Forward after the last norm, summed in double: out [hidden_size].
  void SumFinal(int first_row, int count, float* out);
  // head_rows rounded up to whole panels.
  int logits_stride() const { return logits_stride_; }

 private:
  void Place(const std::vector<TokenSpan>& spans);
  void Embed(const std::vector<TokenSpan>& spans);
  void Normalize(const std::vector<float>& weight);
  // Finishes the heads of queries and keys, bias, norm and rotation, and writes keys and values to the cache.
  void FinishHeads(int layer);
  void Attend(const std::vector<TokenSpan>& spans, int layer);
  // ffn = silu(normed * fc^T) * (normed * gate^T)
  void GatedUp(const LayerWeights& layer);
  // out [tokens, hidden_stride] += bias, where the model has one
  void AddBias(const std::vector<float>& bias, float* out);

  // Rows of floats, and the forms of them that products read (InputForm).
  struct Input {
    const float* floats;  // [tokens, depth], rows stride apart
    size_t stride;        // floats
    int tokens;
  };
  Input Normed(int tokens) const;
  void Record(int layer, const Input& input, int width, float InputMaxima::*maximum);
  // Multiplies the input of those tokens that have an adapter by what it has for products of this input.
  void Shrink(const Input& input, int layer, LoraInput which);
  // Adds the adapters' part to a panel of the product with the `module`th of the matrices that read the input.
  void AddAdapters(size_t module, int panel, size_t first_token, int rows, float* out, size_t out_stride) const;
  void MultiplyFloats(const PanelProduct& product) const;
  // hidden += input * matrix^T + bias; of a rank, their sum over all that share the layer.
  void AddToHidden(const Input& input, const Matrix& matrix, const std::vector<float>& bias);
  enum class Store { kReplace, kAdd };
  // Makes the forms that the matrices' layouts want, which are of one depth.
  void Prepare(const Input& input, std::initializer_list<const Matrix*> matrices);
  // Calls body(panel, first_token, rows) for all tokens and panels. Tokens go in groups whose rows, as `matrix` reads
  // them, stay in the second-level cache while the panels pass by, and a group's pieces of one panel are neighbours.
  template <typename Body>
  void RunPieces(const Input& input, const Matrix& matrix, int panels, const Body& body);
  // out [tokens, out_stride] = input * matrix^T, or added to it, for each of the matrices and the out of its place.
  void Multiply(const Input& input, std::initializer_list<const Matrix*> matrices, std::initializer_list<float*> outs,
                Store store, size_t out_stride);
  // The same for one panel and `rows` rows of prepared input: out [rows, 32], rows out_stride apart.
  void MultiplyPanel(const Input& input, size_t first_token, int rows, const Matrix& matrix, int panel, Store store,
                     float* out, size_t out_stride) const;

  const ModelConfig& model_;
  const LlamaWeights& weights_;
  const KvMemory& kv_memory_;
  const Kernels& kernels_;
  ThreadPool* pool_;
  Communicator* communicator_;
  const std::atomic<bool>* abandon_ = nullptr;  // of the Forward that runs
  bool is_abandoned_ = false;                   // as the ranks agreed at the end of the last layer
  std::vector<InputMaxima>* input_maxima_ = nullptr;
  Rope rope_;
  Attention attention_;
  std::vector<Attention::Scratch> attention_scratch_;  // by thread

  struct TokenPlace {
    int block;
    int slot;  // in the block
  };
  struct Tile {
    int span;
    int first_query;  // in the span
    int first_token;  // in the step
    int queries;
  };
  int tokens_ = 0;
  std::vector<TokenPlace> places_;  // by token
  std::vector<Tile> tiles_;

  size_t input_cache_bytes_;
  // Widths are rounded up to whole panels; the columns past the end stay 0.
  int hidden_stride_;
  int k_column_;  // of qkv: where the keys start
  int v_column_;  // and the values
  int qkv_stride_;
  int attended_stride_;
  int ffn_stride_;
  int logits_stride_;
  PagedMemory hidden_;    // [max_step_tokens, hidden_stride]
  PagedMemory partial_;   // [max_step_tokens, hidden_stride] and one more: a rank's part of a sum
  PagedMemory normed_;    // [max_step_tokens, hidden_stride]
  PagedMemory qkv_;       // [max_step_tokens, qkv_stride]
  PagedMemory attended_;  // [max_step_tokens, attended_stride]
  PagedMemory ffn_;       // [max_step_tokens, ffn_stride]
  struct PreparedInput {
    const InputForm* form;
    PagedMemory rows;  // [max_step_tokens] of the form
    size_t row_bytes;  // of the largest depth
  };
  std::vector<PreparedInput> prepared_;  // one for each form that a layout wants
  // Consecutive tokens of one adapter.
  struct AdaptedTokens {
    int first;
    int count;
    const RankAdapter* adapter;
    const LoraGroup* group;  // of the input that was shrunk last; null: the adapter has none
  };
  int rank_ = 0;                        // among the engine's
  std::vector<AdaptedTokens> adapted_;  // of the Forward that runs
  int shrunk_stride_ = 0;
  PagedMemory shrunk_;   // [max_step_tokens, shrunk_stride]
  PagedMemory cosines_;  // [max_step_tokens, head_dim / 2]
  PagedMemory sines_;    // [max_step_tokens, head_dim / 2]
};

}  // namespace embedded::cpu

#endif  // EMBEDDED_CPU_LLAMA_H_
