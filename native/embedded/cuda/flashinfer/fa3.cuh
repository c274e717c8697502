// The body of the FA3 units: fa3_*.cu instantiate it.
#ifndef EMBEDDED_CUDA_FLASHINFER_FA3_CUH_
#define EMBEDDED_CUDA_FLASHINFER_FA3_CUH_

// FlashInfer's cutlass_utils.cuh would bring in all of CUTLASS's test utilities, and cuRAND, for this one alias.
#define FLASHINFER_CUTLASS_UTILS_CUH_
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cutlass/numeric_types.h>

#include <cute/tensor.hpp>
#include <cutlass/gemm/dispatch_policy.hpp>
namespace flashinfer {
template <typename T>
struct cutlass_dtype {
  using type = T;
};
template <>
struct cutlass_dtype<half> {
  using type = cutlass::half_t;
};
template <>
struct cutlass_dtype<nv_bfloat16> {
  using type = cutlass::bfloat16_t;
};
template <typename T>
using cutlass_dtype_t = typename cutlass_dtype<T>::type;
}  // namespace flashinfer

#include <algorithm>
#include <flashinfer/attention/hopper/default_params.cuh>
#include <flashinfer/attention/hopper/prefill_sm90.cuh>
#include <flashinfer/attention/hopper/variants.cuh>
#include <flashinfer/attention/mask.cuh>
#include <flashinfer/attention/scheduler.cuh>
#include <vector>

#include "native/embedded/cuda/flashinfer/flashinfer.h"
#include "native/embedded/cuda/launch.h"

namespace embedded::cuda {

// A type of our own: FA2's parameters have the same name, and the linker would take one for the other.
template <typename C>
struct Fa3Params : flashinfer::BatchPrefillPagedParams<C, C, C, int32_t> {};

template <typename T, int kDim>
FlashInferPlan Fa3<T, kDim>::Plan(const FlashInferWorkspace& w, const FlashInferStep& step, cudaStream_t stream) {
  flashinfer::PrefillPlanSM90Info info;
  const KvLayout& kv = step.kv;
  CheckKernel(
      flashinfer::PrefillSM90Plan<int32_t>(
          w.floats, w.float_bytes, w.ints, w.pinned, w.int_bytes, info, step.query_ends, step.block_ends, step.contexts,
          static_cast<uint32_t>(step.rows), static_cast<uint32_t>(step.sequences), static_cast<uint32_t>(step.heads),
          static_cast<uint32_t>(kv.kv_heads), kDim, kDim, static_cast<uint32_t>(kv.tokens_per_block), /*causal=*/true,
          /*enable_cuda_graph=*/false, sizeof(T), stream),
      "the plan of FlashInfer's FA3");
  const std::vector<int64_t> values = info.ToVector();
  FlashInferPlan plan;
  plan.count = values.size();
  std::copy(values.begin(), values.end(), plan.values.begin());
  return plan;
}

template <typename T, int kDim>
void Fa3<T, kDim>::Run(const FlashInferWorkspace& w, const FlashInferPlan& plan, const FlashInferStep& step,
                       const FlashInferLayer& layer, cudaStream_t stream) {
  using C = flashinfer::cutlass_dtype_t<T>;
  using Params = Fa3Params<C>;
  flashinfer::PrefillPlanSM90Info info;
  info.FromVector({plan.values.begin(), plan.values.begin() + static_cast<std::ptrdiff_t>(plan.count)});
  const KvLayout& kv = step.kv;
  Params params{};
  params.q_ptr = static_cast<C*>(layer.queries);
  params.k_ptr = static_cast<C*>(layer.keys);
  params.v_ptr = static_cast<C*>(layer.values);
  params.o_ptr = static_cast<C*>(layer.out);
  params.lse_ptr = nullptr;
  params.q_stride_n = layer.query_stride;
  params.o_stride_n = step.heads * kDim;
  params.q_stride_h = params.o_stride_h = kDim;
  params.k_page_stride = params.v_page_stride = static_cast<int64_t>(kv.block_elements());
  params.k_stride_n = params.v_stride_n = kDim;
  params.k_stride_h = params.v_stride_h = kv.tokens_per_block * kDim;
  params.nnz_qo = step.rows;
  params.num_qo_heads = step.heads;
  params.num_kv_heads = kv.kv_heads;
  params.group_size = step.heads / kv.kv_heads;
  params.page_size = kv.tokens_per_block;
  params.window_left = -1;
  params.causal = true;
  params.additional_params.sm_scale = layer.scale;
  const auto ints = [&](int64_t offset) { return flashinfer::GetPtrFromBaseOffset<int32_t>(w.ints, offset); };
  params.qo_tile_indices = ints(info.qo_tile_indices_offset);
  params.qo_indptr = ints(info.qo_indptr_offset);
  params.kv_indptr = ints(info.kv_indptr_offset);
  params.qo_lens = ints(info.qo_len_offset);
  params.kv_lens = ints(info.kv_len_offset);
  params.head_indices = ints(info.head_indices_offset);
  params.work_indptr = ints(info.work_indptr_offset);
  params.batch_indices = ints(info.batch_indices_offset);
  params.kv_indices = layer.blocks;
  const auto run = [&](auto same_schedule) {
    CheckKernel(flashinfer::BatchPrefillWithPagedKVCacheDispatched<kDim, kDim, flashinfer::MaskMode::kCausal,
                                                                   /*window*/ false, decltype(same_schedule)::value,
                                                                   flashinfer::StandardAttention, Params>(
                    params, /*enable_pdl=*/false, stream),
                "FlashInfer's FA3");
  };
  if (info.same_schedule_for_all_heads) return run(std::true_type());
  run(std::false_type());
}

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_FLASHINFER_FA3_CUH_
