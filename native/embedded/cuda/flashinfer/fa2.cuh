// The body of the FA2 units: fa2_*.cu instantiate it, one type and head_dim each, to compile side by side.
#ifndef EMBEDDED_CUDA_FLASHINFER_FA2_CUH_
#define EMBEDDED_CUDA_FLASHINFER_FA2_CUH_

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <flashinfer/attention/default_prefill_params.cuh>
#include <flashinfer/attention/prefill.cuh>
#include <flashinfer/attention/scheduler.cuh>
#include <flashinfer/attention/variants.cuh>
#include <vector>

#include "native/embedded/cuda/flashinfer/flashinfer.h"
#include "native/embedded/cuda/launch.h"

namespace embedded::cuda {

template <typename T, int kDim>
FlashInferPlan Fa2<T, kDim>::Plan(const FlashInferWorkspace& w, const FlashInferStep& step, cudaStream_t stream) {
  flashinfer::PrefillPlanInfo info;
  const KvLayout& kv = step.kv;
  CheckKernel(flashinfer::PrefillPlan<int32_t>(
                  w.floats, w.float_bytes, w.ints, w.pinned, w.int_bytes, info, step.query_ends, step.block_ends,
                  static_cast<uint32_t>(step.rows), static_cast<uint32_t>(step.sequences),
                  static_cast<uint32_t>(step.heads), static_cast<uint32_t>(kv.kv_heads), kDim, kDim,
                  static_cast<uint32_t>(kv.tokens_per_block), /*enable_cuda_graph=*/false, sizeof(T),
                  /*window_left=*/-1, /*fixed_split_size=*/-1,
                  /*disable_split_kv=*/step.split == SplitHistory::kNever, /*num_colocated_ctas=*/0,
                  /*uniform_q_len=*/0, stream),
              "the plan of FlashInfer's FA2");
  const std::vector<int64_t> values = info.ToVector();
  FlashInferPlan plan;
  plan.count = values.size();
  std::copy(values.begin(), values.end(), plan.values.begin());
  return plan;
}

template <typename T, int kDim>
void Fa2<T, kDim>::Run(const FlashInferWorkspace& w, const FlashInferPlan& plan, const FlashInferStep& step,
                       const FlashInferLayer& layer, cudaStream_t stream) {
  using Params = flashinfer::BatchPrefillPagedParams<T, T, T, int32_t>;
  using Variant = flashinfer::DefaultAttention</*custom mask*/ false, /*window*/ false, /*soft cap*/ false,
                                               /*alibi*/ false>;
  flashinfer::PrefillPlanInfo info;
  info.FromVector({plan.values.begin(), plan.values.begin() + static_cast<std::ptrdiff_t>(plan.count)});
  const KvLayout& kv = step.kv;
  flashinfer::paged_kv_t<T, int32_t> cache(
      static_cast<uint32_t>(kv.kv_heads), static_cast<uint32_t>(kv.tokens_per_block), kDim,
      static_cast<uint32_t>(step.sequences), flashinfer::QKVLayout::kHND, static_cast<T*>(layer.keys),
      static_cast<T*>(layer.values), layer.blocks, layer.block_ends, layer.last_block_tokens);
  Params params(static_cast<T*>(layer.queries), cache, nullptr, layer.query_ends, nullptr, nullptr,
                static_cast<T*>(layer.out), nullptr, nullptr, static_cast<uint32_t>(step.heads), layer.query_stride,
                kDim, /*window_left=*/-1, /*logits_soft_cap=*/0.0f, layer.scale, 1.0f, 1e4f);
  const auto ints = [&](int64_t offset) { return flashinfer::GetPtrFromBaseOffset<int32_t>(w.ints, offset); };
  params.padded_batch_size = static_cast<uint32_t>(info.padded_batch_size);
  params.max_total_num_rows = static_cast<uint32_t>(info.total_num_rows);
  params.request_indices = ints(info.request_indices_offset);
  params.qo_tile_indices = ints(info.qo_tile_indices_offset);
  params.kv_tile_indices = ints(info.kv_tile_indices_offset);
  params.o_indptr = ints(info.o_indptr_offset);
  params.kv_chunk_size_ptr = ints(info.kv_chunk_size_ptr_offset);
  T* partial_out = nullptr;
  float* partial_sums = nullptr;
  if (info.split_kv) {
    params.merge_indptr = ints(info.merge_indptr_offset);
    partial_out = flashinfer::GetPtrFromBaseOffset<T>(w.floats, info.v_offset);
    partial_sums = flashinfer::GetPtrFromBaseOffset<float>(w.floats, info.s_offset);
  }
  const auto run = [&](auto tile) {
    CheckKernel(flashinfer::BatchPrefillWithPagedKVCacheDispatched<decltype(tile)::value, kDim, kDim,
                                                                   flashinfer::PosEncodingMode::kNone, false,
                                                                   flashinfer::MaskMode::kCausal, Variant, Params>(
                    params, partial_out, partial_sums,
                    /*enable_pdl=*/false, stream),
                "FlashInfer's FA2");
  };
  if (info.cta_tile_q == 16) return run(std::integral_constant<uint32_t, 16>());
  if (info.cta_tile_q == 64) return run(std::integral_constant<uint32_t, 64>());
  run(std::integral_constant<uint32_t, 128>());
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_FLASHINFER_FA2_CUH_
