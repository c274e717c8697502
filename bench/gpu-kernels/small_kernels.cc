// Times the CUDA kernels that lie between the matrices: microseconds, and GB/s of the bytes that must be moved, beside
// the floor of those bytes over the memory bandwidth. Llama-3.1-8B shapes. Everything runs in a CUDA graph of many
// launches over rotating buffers, so that neither launch gaps nor the cache are measured; the median of 9 replays.
//   gpu_small_kernels [GB/s of the memory, default 4480: a read-only stream on one H200]
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "native/embedded/cuda/decode_attention.h"
#include "native/embedded/cuda/dummy_weights.h"
#include "native/embedded/cuda/embedding.h"
#include "native/embedded/cuda/finish_heads.h"
#include "native/embedded/cuda/launch.h"
#include "native/embedded/cuda/prefill_attention.h"
#include "native/embedded/cuda/rms_norm.h"
#include "native/embedded/cuda/rope_append.h"
#include "native/embedded/cuda/sampling.h"
#include "native/embedded/cuda/silu.h"

namespace {

using namespace embedded::cuda;

constexpr Element kElement = Element::kBfloat16;
constexpr int kHidden = 4096, kIntermediate = 14336, kHeads = 32, kKvHeads = 8, kHeadDim = 128, kVocab = 128256;
double memory_gb_per_s = 4480;

void Check(cudaError_t status) { CheckKernel(status, "kernels_bench"); }

class Memory {
 public:
  explicit Memory(size_t bytes) : bytes_(bytes) { Check(cudaMalloc(&data_, bytes)); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { cudaFree(data_); }
  template <typename T = void>
  T* get(size_t offset_bytes = 0) const {
    return reinterpret_cast<T*>(static_cast<char*>(data_) + offset_bytes);
  }
  // Random numbers near 0, in the element type.
  Memory& Randomize() {
    FillDummyWeights({1, 0, 1.7f}, kElement, bytes_ / 2, data_, nullptr);
    Check(cudaDeviceSynchronize());
    return *this;
  }
  template <typename T>
  void Write(const std::vector<T>& values) {
    Check(cudaMemcpy(data_, values.data(), sizeof(T) * values.size(), cudaMemcpyHostToDevice));
  }

 private:
  void* data_ = nullptr;
  size_t bytes_;
};

// Median microseconds of one launch; `launch(i)` is captured for i < launches.
double Time(int launches, const std::function<void(int, cudaStream_t)>& launch) {
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  cudaEvent_t begin, end;
  Check(cudaStreamCreate(&stream));
  Check(cudaEventCreate(&begin));
  Check(cudaEventCreate(&end));
  Check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < launches; ++i) launch(i, stream);
  Check(cudaStreamEndCapture(stream, &graph));
  Check(cudaGraphInstantiate(&executable, graph, 0));
  std::vector<float> times;
  for (int i = 0; i < 11; ++i) {
    Check(cudaEventRecord(begin, stream));
    Check(cudaGraphLaunch(executable, stream));
    Check(cudaEventRecord(end, stream));
    Check(cudaEventSynchronize(end));
    float ms = 0;
    Check(cudaEventElapsedTime(&ms, begin, end));
    if (i >= 2) times.push_back(ms);
  }
  std::nth_element(times.begin(), times.begin() + 4, times.end());
  Check(cudaGraphExecDestroy(executable));
  Check(cudaGraphDestroy(graph));
  Check(cudaStreamDestroy(stream));
  return times[4] * 1000.0 / launches;
}

void Report(const std::string& name, double microseconds, double bytes) {
  std::printf("%-44s %9.2f us %8.0f GB/s  floor %8.2f us\n", name.c_str(), microseconds, bytes / microseconds / 1e3,
              bytes / memory_gb_per_s / 1e3);
  std::fflush(stdout);
}

void BenchElementwise(int rows) {
  const size_t r = static_cast<size_t>(rows);
  constexpr int kCopies = 8;
  const size_t hidden_bytes = r * kHidden * 4, delta_bytes = r * kHidden * 2, ffn_bytes = r * kIntermediate * 4;
  Memory hidden(kCopies * hidden_bytes), delta(kCopies * delta_bytes), out(kCopies * delta_bytes),
      ffn(kCopies * ffn_bytes), ffn_out(kCopies * ffn_bytes / 2), weight(kHidden * 2),
      table(size_t{kVocab} * kHidden * 2), tokens(r * 4);
  hidden.Randomize();
  delta.Randomize();
  ffn.Randomize();
  weight.Randomize();
  table.Randomize();
  std::vector<int32_t> ids(r);
  for (size_t i = 0; i < r; ++i) ids[i] = static_cast<int32_t>(i * 40503 % kVocab);
  tokens.Write(ids);
  const std::string batch = ", " + std::to_string(rows) + " rows";
  Report("residual + RMSNorm, fp32 residual" + batch,
         Time(64,
              [&](int i, cudaStream_t stream) {
                const size_t copy = static_cast<size_t>(i % kCopies);
                RmsNorm({kElement, Residual::kFloat32, rows, kHidden, 1e-5f},
                        {hidden.get(copy * hidden_bytes), delta.get(copy * delta_bytes), nullptr, weight.get(),
                         out.get(copy * delta_bytes)},
                        stream);
              }),
         static_cast<double>(r) * kHidden * 12);
  Report("SiLU * up" + batch,
         Time(64,
              [&](int i, cudaStream_t stream) {
                const size_t copy = static_cast<size_t>(i % kCopies);
                SiluMultiply({kElement, rows, kIntermediate},
                             {ffn.get(copy * ffn_bytes), ffn_out.get(copy * ffn_bytes / 2)}, stream);
              }),
         static_cast<double>(r) * kIntermediate * 6);
  Report("embedding" + batch,
         Time(64,
              [&](int i, cudaStream_t stream) {
                GatherEmbeddings({kElement, Residual::kFloat32, rows, kHidden},
                                 {tokens.get<int32_t>(),
                                  nullptr,
                                  nullptr,
                                  {{table.get()}, kVocab},
                                  hidden.get(static_cast<size_t>(i % kCopies) * hidden_bytes)},
                                 stream);
              }),
         static_cast<double>(r) * kHidden * 6);
}

// One step's attention and append for sequences of these lengths, the layers' caches one after the other.
void BenchAttention(const std::string& name, const std::vector<int32_t>& lengths, int tokens_per_block, KvType type) {
  const int sequences = static_cast<int>(lengths.size());
  const int longest = *std::max_element(lengths.begin(), lengths.end());
  const int max_blocks = (longest + tokens_per_block - 1) / tokens_per_block;
  std::vector<int32_t> table(lengths.size() * static_cast<size_t>(max_blocks), 0), positions, order;
  int blocks = 0;
  double context = 0;
  for (const int32_t length : lengths) {
    blocks += (length + tokens_per_block - 1) / tokens_per_block;
    context += length;
    positions.push_back(length - 1);
  }
  for (int i = 0; i < blocks; ++i) order.push_back(i);
  std::shuffle(order.begin(), order.end(), std::mt19937(1));
  for (size_t s = 0; s < lengths.size(); ++s)
    for (int b = 0; b * tokens_per_block < lengths[s]; ++b) {
      table[s * static_cast<size_t>(max_blocks) + static_cast<size_t>(b)] = order.back();
      order.pop_back();
    }
  const bool is_int8 = type == KvType::kInt8;
  KvFormat kv({kElement, 1, blocks, kKvHeads, tokens_per_block, kHeadDim}, type);
  kv.layout.layers = static_cast<int>(std::clamp<size_t>(size_t{2} << 30, kv.bytes(), kv.bytes() * 32) / kv.bytes());
  Memory cache(kv.bytes()), qkv(lengths.size() * (kHeads + 2 * kKvHeads) * kHeadDim * 2),
      out(lengths.size() * kHeads * kHeadDim * 2), device_table(table.size() * 4), device_lengths(lengths.size() * 4),
      device_positions(lengths.size() * 4),
      workspace(DecodeAttentionWorkspaceBytes(kv, kHeads, sequences, CurrentDeviceTraits())),
      angles(static_cast<size_t>(longest) * kHeadDim / 2 * 8);
  cache.Randomize();
  qkv.Randomize();
  device_table.Write(table);
  device_lengths.Write(lengths);
  device_positions.Write(positions);
  angles.Write(AngleTable(std::vector<float>(kHeadDim / 2, 0.01f), 1, longest));
  const int width = (kHeads + 2 * kKvHeads) * kHeadDim;
  const DecodeAttentionShape shape{kv, sequences, kHeads, max_blocks, width, 1 / std::sqrt(128.0f)};
  const auto buffers = [&](int layer) {
    return DecodeAttentionBuffers{qkv.get(),
                                  kv.Keys(cache.get(), layer % kv.layout.layers),
                                  kv.Values(cache.get(), layer % kv.layout.layers),
                                  device_table.get<int32_t>(),
                                  device_lengths.get<int32_t>(),
                                  out.get(),
                                  workspace.get()};
  };
  constexpr int kLaunches = 32;
  PlanDecodeAttention(shape, buffers(0), nullptr);
  Check(cudaDeviceSynchronize());
  Report("decode attention, " + name + (is_int8 ? ", int8" : ""),
         Time(kLaunches, [&](int i, cudaStream_t stream) { DecodeAttention(shape, buffers(i), stream); }),
         context * kKvHeads * (is_int8 ? 2 * (kHeadDim + 4) : 4 * kHeadDim));
  Report("  its plan, once a step",
         Time(kLaunches, [&](int, cudaStream_t stream) { PlanDecodeAttention(shape, buffers(0), stream); }), 0);
  const auto append = [&](int i, cudaStream_t stream) {
    void* const keys = kv.Keys(cache.get(), i % kv.layout.layers);
    void* const values = kv.Values(cache.get(), i % kv.layout.layers);
    if (is_int8)
      return FinishHeads({kElement, sequences, qkv.get(), nullptr, nullptr, nullptr, 0, type},
                         {out.get(), keys, values, angles.get<float2>(), device_positions.get<int32_t>(), nullptr,
                          device_table.get<int32_t>(), max_blocks, kHeads, kKvHeads, kHeadDim, tokens_per_block},
                         stream);
    RopeAppend({kv.layout, sequences, kHeads, max_blocks},
               {qkv.get(), angles.get<float2>(), device_positions.get<int32_t>(), nullptr, device_table.get<int32_t>(),
                keys, values},
               stream);
  };
  Report("  RoPE + append", Time(kLaunches, append),
         static_cast<double>(sequences) *
             (2 * kHeads * kHeadDim * 2 + 2 * kKvHeads * (is_int8 ? 3 * kHeadDim + 4 : 4 * kHeadDim)));
}

// Chunks of equal size, with a history before each.
void BenchPrefill(int sequences, int query_tokens, int context_tokens, KvType type = KvType::kElements) {
  constexpr int kTokensPerBlock = 64, kLaunches = 8, kWidth = (kHeads + 2 * kKvHeads) * kHeadDim;
  const int blocks_each = (context_tokens + kTokensPerBlock - 1) / kTokensPerBlock;
  const int blocks = sequences * blocks_each;
  const KvFormat kv({kElement, 1, blocks, kKvHeads, kTokensPerBlock, kHeadDim}, type);
  const int rows = sequences * query_tokens;
  const PrefillLimits limits{sequences, rows, blocks, blocks};
  Memory cache(kv.bytes()), qkv(static_cast<size_t>(rows) * kWidth * 2),
      out(static_cast<size_t>(rows) * kHeads * kHeadDim * 2),
      device_memory(PrefillAttention::DeviceBytes(kv, kHeads, limits, CurrentDeviceTraits()));
  cache.Randomize();
  qkv.Randomize();
  void* pinned = nullptr;
  Check(cudaMallocHost(&pinned, PrefillAttention::PinnedBytes(limits)));
  std::vector<int> table(static_cast<size_t>(blocks));
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<int>(i);
  std::vector<PrefillSequence> chunks;
  for (int s = 0; s < sequences; ++s) chunks.push_back({query_tokens, context_tokens, table.data() + s * blocks_each});
  {
    PrefillAttention attention(kv, kHeads, 1 / std::sqrt(128.0f), limits, device_memory.get(), pinned);
    const double seen = context_tokens - query_tokens + (query_tokens + 1) / 2.0;  // tokens, by the average row
    for (const auto& [name, kernel] :
         {std::pair<const char*, PrefillKernel>{"FA2", PrefillKernel::kFa2}, {"FA3", PrefillKernel::kFa3}}) {
      if (!attention.Has(kernel)) continue;
      attention.Plan(chunks, kernel, nullptr);
      Check(cudaDeviceSynchronize());
      const double microseconds = Time(kLaunches, [&](int, cudaStream_t stream) {
        attention.Run({qkv.get(), kWidth, kv.Keys(cache.get(), 0), kv.Values(cache.get(), 0), out.get()}, stream);
      });
      std::printf("prefill %s, %d x %d after %d%-12s %9.2f us %8.0f TFLOP/s\n", name, sequences, query_tokens,
                  context_tokens - query_tokens, type == KvType::kInt8 ? ", int8" : "", microseconds,
                  4.0 * rows * seen * kHeads * kHeadDim / microseconds / 1e6);
      std::fflush(stdout);
    }
  }
  Check(cudaFreeHost(pinned));
}

void BenchSampling(int rows) {
  const size_t r = static_cast<size_t>(rows);
  const size_t copies = std::max<size_t>(1, 32 / r);
  Memory logits(copies * r * kVocab * 4), device_rows(r * sizeof(SamplingRow)), drawn(r * sizeof(DrawnToken)),
      tokens(r * 4), top(r * 20 * sizeof(TopLogprob)), workspace(SamplingWorkspaceBytes(rows, kVocab));
  struct Mode {
    const char* name;
    float spread, temperature;
    int top_k;
    float top_p, min_p;
    int top_logprobs;
  };
  for (const Mode& mode : std::vector<Mode>{{"greedy", 3, 0, 0, 1, 0, 0},
                                            {"greedy, 20 top logprobs", 3, 0, 0, 1, 0, 20},
                                            {"temperature", 3, 1, 0, 1, 0, 0},
                                            {"min-p 0.05", 3, 1, 0, 1, 0.05f, 0},
                                            {"top-k 50", 3, 1, 50, 1, 0, 0},
                                            {"top-p 0.95", 3, 1, 0, 0.95f, 0, 0},
                                            {"top-p 0.95, flat", 0.5f, 1, 0, 0.95f, 0, 0},
                                            {"top-k 50, top-p 0.95", 3, 1, 50, 0.95f, 0, 0}}) {
    std::vector<float> values(copies * r * kVocab);
    std::minstd_rand random(3);
    for (float& value : values) {  // near enough to normal
      float sum = 0;
      for (int i = 0; i < 4; ++i) sum += static_cast<float>(random()) / 2147483648.0f - 0.5f;
      value = sum * 1.7f * mode.spread;
    }
    logits.Write(values);
    std::vector<SamplingRow> sampling(r);
    for (size_t i = 0; i < r; ++i) {
      sampling[i].logits_row = static_cast<int32_t>(i);
      sampling[i].temperature = mode.temperature;
      sampling[i].top_k = mode.top_k;
      sampling[i].top_p = mode.top_p;
      sampling[i].min_p = mode.min_p;
      sampling[i].position = i;
      sampling[i].top_logprobs = mode.top_logprobs;
    }
    device_rows.Write(sampling);
    Report(std::string(mode.name) + ", " + std::to_string(rows) + " rows",
           Time(16,
                [&](int i, cudaStream_t stream) {
                  SampleTokens(
                      {rows, kVocab, kVocab, mode.top_logprobs,
                       mode.temperature == 0 && mode.top_logprobs == 0 ? SamplingWork::kGreedy : SamplingWork::kAny},
                      {logits.get<float>(static_cast<size_t>(i) % copies * r * kVocab * 4), nullptr,
                       device_rows.get<SamplingRow>(), drawn.get<DrawnToken>(), tokens.get<int32_t>(),
                       top.get<TopLogprob>(), workspace.get()},
                      stream);
                }),
           static_cast<double>(r) * kVocab * 4);
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc > 1) memory_gb_per_s = std::atof(argv[1]);
  for (const int rows : {1, 16, 64, 256, 2048}) BenchElementwise(rows);
  std::vector<int32_t> mixed;
  for (int i = 0; i < 64; ++i) mixed.push_back(static_cast<int32_t>(64 * std::pow(512.0, i / 63.0)));
  for (const KvType type : {KvType::kElements, KvType::kInt8}) {
    for (const int batch : {1, 16, 64, 256})
      for (const int context : {128, 1024, 8192})
        if (batch * context <= 64 * 8192)
          BenchAttention("batch " + std::to_string(batch) + " at " + std::to_string(context),
                         std::vector<int32_t>(static_cast<size_t>(batch), context), 64, type);
    BenchAttention("batch 1 at 32768", {32768}, 64, type);
    BenchAttention("batch 16 at 1024, blocks of 16", std::vector<int32_t>(16, 1024), 16, type);
    BenchAttention("batch 64, from 64 to 32768", mixed, 64, type);
  }
  BenchPrefill(1, 128, 128);
  BenchPrefill(1, 512, 512);
  BenchPrefill(1, 2048, 2048);
  BenchPrefill(1, 8192, 8192);
  BenchPrefill(16, 512, 512);
  BenchPrefill(64, 128, 128);
  BenchPrefill(1, 512, 32768);
  BenchPrefill(1, 128, 8192);
  BenchPrefill(1, 8192, 8192, KvType::kInt8);
  BenchPrefill(1, 512, 32768, KvType::kInt8);
  for (const int rows : {1, 64, 256}) BenchSampling(rows);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
