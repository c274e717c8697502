// Times the linear layers of known models, each kernel that can do them, cuBLASLt beside it:
//   build/cuda/bin/gpu_kernels [llama-8b] [llama-70b] [smollm2-135m] [bfloat16] [int4] [int8] [fp8] ...   all models and bfloat16 by default
// Each figure is the median of 7 replays of a CUDA graph of launches over rotating weights, larger together than the L2. "error" is
// against the plain kernel, on what the first launch gives. Then whole steps of one token, without attention.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "native/embedded/cuda/device.h"
#include "native/embedded/cuda/dummy_weights.h"
#include "native/embedded/cuda/linear_layers.h"
#include "native/embedded/cuda/resources.h"

namespace {

using namespace embedded::cuda;

struct Model {
  const char* name;
  int hidden, heads, kv_heads, head_dim, intermediate, vocab, layers;

  int qkv() const { return (heads + 2 * kv_heads) * head_dim; }
};
constexpr Model kModels[] = {{"llama-8b", 4096, 32, 8, 128, 14336, 128256, 32},
                             {"llama-70b", 8192, 64, 8, 128, 28672, 128256, 80},
                             {"smollm2-135m", 576, 9, 3, 64, 1536, 49152, 30}};
struct NamedForm {
  const char* name;
  WeightForm form;
};
constexpr NamedForm kForms[] = {{"bfloat16", {}},
                                {"int8", {Codes::kInt8, Scales::kRows}},
                                {"int4", {Codes::kInt4, Scales::kRows}},
                                {"fp8", {Codes::kFp8, Scales::kRows}},
                                {"int4-groups128", {Codes::kInt4, Scales::kGroups128}},
                                {"int4-groups128-zeros", {Codes::kInt4, Scales::kGroups128Zeros}},
                                {"int4-groups32", {Codes::kInt4, Scales::kGroups32}},
                                {"int4-groups32-zeros", {Codes::kInt4, Scales::kGroups32Zeros}},
                                {"int8-groups32", {Codes::kInt8, Scales::kGroups32}}};
constexpr int kMaxTokens = 64;
constexpr int kTokensPerBlock = 64;
constexpr int kReplays = 7;

enum class Layer { kQkv, kDense, kGateUp, kDown, kHead };
constexpr Layer kLayers[] = {Layer::kQkv, Layer::kDense, Layer::kGateUp, Layer::kDown, Layer::kHead};
constexpr const char* kLayerNames[] = {"qkv", "o", "gate+up", "down", "head"};

// Weights to rotate over and what calls read and write.
class Buffers {
 public:
  Buffers(const Model& model, const NamedForm& form)
      : model_(model),
        form_(form),
        weights_(PoolBytes(model), "weights"),
        x_(Bytes(kMaxTokens, std::max(model.hidden, model.intermediate), kElementBytes), "x"),
        hidden_(Bytes(kMaxTokens, model.hidden, sizeof(float)), "hidden"),
        norm_(Bytes(1, model.hidden, kElementBytes), "norm"),
        out_(Bytes(kMaxTokens, std::max(model.vocab, 2 * model.intermediate), sizeof(float)), "out"),
        scratch_(Bytes(kMaxTokens, std::max(model.vocab, 2 * model.intermediate), kElementBytes), "scratch"),
        expanded_(Bytes(model.vocab, model.hidden, kElementBytes), "expanded"),
        cache_(Bytes(2 * kMaxTokens * model.kv_heads, kTokensPerBlock * model.head_dim, kElementBytes), "cache"),
        angles_(Bytes(kTokensPerBlock, model.head_dim / 2, sizeof(float2)), "angles"),
        rows_(Bytes(2, kMaxTokens, sizeof(int32_t)), "rows") {
    const auto fill = [](const DeviceBuffer& buffer, float center, float amplitude) {
      FillDummyWeights({1, center, amplitude}, Element::kBfloat16, buffer.bytes() / kElementBytes, buffer.data(),
                       nullptr);
    };
    fill(weights_, 0, 0.03f);
    fill(x_, 0, 1);
    fill(norm_, 1, 0.1f);
    fill(cache_, 0, 1);
    std::vector<float> hidden(hidden_.bytes() / sizeof(float));
    for (size_t i = 0; i < hidden.size(); ++i) hidden[i] = static_cast<float>(i * 7919 % 1000) / 500 - 1;
    std::vector<float2> angles(angles_.bytes() / sizeof(float2), make_float2(0.8f, 0.6f));
    std::vector<int32_t> rows;
    for (int t = 0; t < kMaxTokens; ++t) rows.push_back(t % kTokensPerBlock);  // positions
    for (int t = 0; t < kMaxTokens; ++t) rows.push_back(t);                    // one block a sequence
    Check(cudaMemcpy(hidden_.data(), hidden.data(), hidden_.bytes(), cudaMemcpyHostToDevice), "filling");
    Check(cudaMemcpy(angles_.data(), angles.data(), angles_.bytes(), cudaMemcpyHostToDevice), "filling");
    Check(cudaMemcpy(rows_.data(), rows.data(), rows_.bytes(), cudaMemcpyHostToDevice), "filling");
    Check(cudaDeviceSynchronize(), "filling");
  }

  // The layer's call; `copy` says which of the rotating matrices. With a norm where the layer has one and `fused` is asked.
  enum class Norm { kFused, kBefore };
  LinearCall Call(Layer layer, int tokens, Norm norm, size_t copy) const {
    const Model& m = model_;
    const LinearShape shape = ShapeOf(layer);
    LinearCall call{shape, weights_.as<uint8_t>() + copy * shape.weight_bytes(), tokens, ElementsInput{x_.data()}, {}};
    const bool has_norm = layer == Layer::kQkv || layer == Layer::kGateUp || layer == Layer::kHead;
    if (has_norm && norm == Norm::kFused) call.input = NormalizedInput{hidden_.as<float>(), norm_.data(), 1e-5f};
    const size_t plane = cache_.bytes() / 2;
    const int32_t* const positions = rows_.as<int32_t>();
    switch (layer) {
      case Layer::kQkv:
        call.output = RopeAppendOutput{out_.data(),
                                       cache_.data(),
                                       cache_.as<uint8_t>() + plane,
                                       angles_.as<float2>(),
                                       positions,
                                       nullptr,
                                       positions + kMaxTokens,
                                       1,
                                       m.heads,
                                       m.kv_heads,
                                       m.head_dim,
                                       kTokensPerBlock};
        break;
      case Layer::kDense:
      case Layer::kDown:
        call.output = HiddenOutput{out_.as<float>()};
        break;
      case Layer::kGateUp:
        call.output = SiluOutput{out_.data()};
        break;
      case Layer::kHead:
        call.output = FloatsOutput{out_.as<float>()};
        break;
    }
    return call;
  }
  size_t Copies(Layer layer) const { return weights_.bytes() / ShapeOf(layer).weight_bytes(); }
  LinearScratch scratch() const { return {scratch_.data(), expanded_.data()}; }
  const char* form() const { return form_.name; }
  const DeviceBuffer& out() const { return out_; }

 private:
  static size_t Bytes(int rows, int columns, size_t size) {
    return static_cast<size_t>(rows) * static_cast<size_t>(columns) * size;
  }
  static size_t PoolBytes(const Model& model) {
    return std::max(2 * Bytes(model.vocab, model.hidden, kElementBytes), size_t{1} << 30);
  }
  LinearShape ShapeOf(Layer layer) const {
    const Model& m = model_;
    const auto shape = [this](int outputs, int depth, int pair_distance) {
      LinearShape made{Element::kBfloat16, outputs, depth, form_.form};
      if (form_.form.is_packed()) made.form.pair_distance = pair_distance;
      return made;
    };
    switch (layer) {
      case Layer::kQkv:
        return shape(m.qkv(), m.hidden, m.head_dim / 2);
      case Layer::kDense:
        return shape(m.hidden, m.heads * m.head_dim, 1);
      case Layer::kGateUp:
        return shape(2 * m.intermediate, m.hidden, m.intermediate);
      case Layer::kDown:
        return shape(m.hidden, m.intermediate, 1);
      case Layer::kHead:
        break;
    }
    return shape(m.vocab, m.hidden, 1);
  }

  Model model_;
  NamedForm form_;
  DeviceBuffer weights_, x_, hidden_, norm_, out_, scratch_, expanded_, cache_, angles_, rows_;
};

// Microseconds of one launch.
template <typename Run>
double Time(cudaStream_t stream, int launches, Run run) {
  const GraphExec graph = CaptureGraph(stream, [&](cudaStream_t) {
    for (int i = 0; i < launches; ++i) run(static_cast<size_t>(i));
  });
  const Event start = MakeTimingEvent(), end = MakeTimingEvent();
  std::vector<float> times(kReplays + 1);
  for (float& ms : times) {
    Check(cudaEventRecord(start.get(), stream), "timing");
    Check(cudaGraphLaunch(graph.get(), stream), "timing");
    Check(cudaEventRecord(end.get(), stream), "timing");
    Check(cudaEventSynchronize(end.get()), "timing");
    Check(cudaEventElapsedTime(&ms, start.get(), end.get()), "timing");
  }
  std::sort(times.begin() + 1, times.end());  // the first replay warms up
  return times[1 + kReplays / 2] * 1e3 / launches;
}

// out, as the call's kernel left it, over zeros; elements or floats alike as 16-bit words would not compare, so floats where it stores
// floats and bf16 elsewhere.
std::vector<float> Read(const Buffers& buffers, const LinearCall& call) {
  const bool floats =
      std::holds_alternative<FloatsOutput>(call.output) || std::holds_alternative<HiddenOutput>(call.output);
  const size_t count = static_cast<size_t>(call.tokens) * static_cast<size_t>(call.shape.outputs);
  std::vector<float> values(count);
  if (floats) {
    Check(cudaMemcpy(values.data(), buffers.out().data(), count * sizeof(float), cudaMemcpyDeviceToHost), "reading");
    return values;
  }
  std::vector<uint16_t> bits(count);
  Check(cudaMemcpy(bits.data(), buffers.out().data(), count * kElementBytes, cudaMemcpyDeviceToHost), "reading");
  for (size_t i = 0; i < count; ++i) {
    const uint32_t word = static_cast<uint32_t>(bits[i]) << 16;
    std::copy_n(reinterpret_cast<const char*>(&word), sizeof(word), reinterpret_cast<char*>(&values[i]));
  }
  return values;
}

double RelativeError(const std::vector<float>& got, const std::vector<float>& expected) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    difference += std::pow(double{got[i]} - expected[i], 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

void TimeLayer(const Model& model, const Buffers& buffers, LinearLayers& layers, Layer layer, int tokens,
               cudaStream_t stream) {
  const auto norm = tokens == 1 ? Buffers::Norm::kFused : Buffers::Norm::kBefore;
  const size_t copies = buffers.Copies(layer);
  const auto once = [&](LinearKernel kernel, const LinearCall& call) {
    Check(cudaMemset(buffers.out().data(), 0, buffers.out().bytes()), "clearing");
    layers.RunWith(kernel, call, buffers.scratch(), stream);
    Check(cudaStreamSynchronize(stream), "running");
    return Read(buffers, call);
  };
  const auto report = [&](const char* name, LinearKernel kernel, Buffers::Norm with) {
    const LinearCall call = buffers.Call(layer, tokens, with, 0);
    if (!layers.Can(kernel, call)) return;
    const double error = RelativeError(once(kernel, call), once(LinearKernel::kPlain, call));
    const int launches = layer == Layer::kHead ? 8 : 36;
    const double us = Time(stream, launches, [&](size_t i) {
      layers.RunWith(kernel, buffers.Call(layer, tokens, with, i % copies), buffers.scratch(), stream);
    });
    std::printf("%-12s %s %2d tokens  %-7s %-16s %8.2f us %6.0f GB/s  error %.1e%s\n", model.name, buffers.form(),
                tokens, kLayerNames[static_cast<int>(layer)], name, us, call.shape.weight_bytes() / us * 1e-3, error,
                layers.Choose(call) == kernel ? "  chosen" : "");
  };
  report("packed", LinearKernel::kPacked, norm);
  report("ring", LinearKernel::kRing, norm);
  report("block-ring", LinearKernel::kBlockRing, Buffers::Norm::kBefore);
  report("direct", LinearKernel::kDirect, norm);
  report("invariant", LinearKernel::kInvariant, Buffers::Norm::kBefore);
  report("cublaslt", LinearKernel::kMatmul, Buffers::Norm::kBefore);
  std::vector<const void*> weights;
  for (size_t i = 0; i < copies; ++i) weights.push_back(buffers.Call(layer, tokens, Buffers::Norm::kBefore, i).weights);
  layers.Tune(buffers.Call(layer, tokens, norm, 0), weights, buffers.scratch(), stream);
  const LinearCall call = buffers.Call(layer, tokens, norm, 0);
  std::printf("%-12s %2d tokens  %-7s measured: %s\n", model.name, tokens, kLayerNames[static_cast<int>(layer)],
              NameOf(layers.Choose(call)));
  if (tokens >= 16) report("cublaslt tuned", LinearKernel::kMatmul, Buffers::Norm::kBefore);
}

// Ring parameters for each layer, with the norm in the kernel and without.
void Sweep(const Model& model, const Buffers& buffers, cudaStream_t stream) {
  const DeviceTraits& traits = CurrentDeviceTraits();
  const auto report = [&](Layer layer, const LinearCall& call, const char* kernel, const std::string& tuning,
                          auto run) {
    const int launches = layer == Layer::kHead ? 8 : 36;
    const double us = Time(stream, launches, run);
    std::printf("%-12s %2d tokens  %-7s %-10s %-5s %-18s %8.2f us %6.0f GB/s\n", model.name, call.tokens,
                kLayerNames[static_cast<int>(layer)], kernel,
                std::holds_alternative<NormalizedInput>(call.input) ? "norm" : "", tuning.c_str(), us,
                call.shape.weight_bytes() / us * 1e-3);
  };
  for (const Layer layer : kLayers) {
    const size_t copies = buffers.Copies(layer);
    for (const auto norm : {Buffers::Norm::kFused, Buffers::Norm::kBefore})
      for (const RingTuning& tuning :
           {RingTuning{16, 3, 2048}, RingTuning{16, 2, 2048}, RingTuning{12, 4, 2048}, RingTuning{12, 3, 2048},
            RingTuning{8, 6, 2048}, RingTuning{8, 3, 4096}, RingTuning{8, 2, 4096}}) {
        const LinearCall call = buffers.Call(layer, 1, norm, 0);
        const bool is_norm = std::holds_alternative<NormalizedInput>(call.input);
        const size_t bytes =
            size_t{2} * tuning.warps * tuning.stages * tuning.chunk_bytes + size_t{2} * call.shape.depth + 2048;
        if (bytes > static_cast<size_t>(traits.shared_memory_per_block) || (norm == Buffers::Norm::kFused && !is_norm))
          continue;
        report(layer, call, "ring",
               "W" + std::to_string(tuning.warps) + " S" + std::to_string(tuning.stages) + " C" +
                   std::to_string(tuning.chunk_bytes),
               [&](size_t i) { RingGemv(buffers.Call(layer, 1, norm, i % copies), tuning, stream); });
      }
    for (const int tokens : {1, 4, 8, 16})
      for (const int stages : {3, 4, 5, 6}) {
        const LinearCall call = buffers.Call(layer, tokens, Buffers::Norm::kBefore, 0);
        const bool kept = call.shape.depth == 4096 || (call.shape.depth == 8192 && tokens <= 8);
        const size_t rows = kept ? 16 : tokens + (tokens > 4 && tokens <= 8 ? 32 : 16);
        if (stages * rows * 2112 + 32768 + 256 > static_cast<size_t>(traits.shared_memory_per_block)) continue;
        report(layer, call, "block-ring", "S" + std::to_string(stages), [&](size_t i) {
          BlockRingGemv(buffers.Call(layer, tokens, Buffers::Norm::kBefore, i % copies), BlockRingTuning{stages},
                        stream);
        });
      }
  }
}

// All layers and the head for one token in one graph, each by the kernel that is chosen; no attention and no sampling.
void TimeStep(const Model& model, const Buffers& buffers, LinearLayers& layers, cudaStream_t stream) {
  size_t bytes = 0;
  const auto run = [&](Layer layer, size_t i) {
    const LinearCall call = buffers.Call(layer, 1, Buffers::Norm::kFused, i % buffers.Copies(layer));
    bytes += call.shape.weight_bytes();
    layers.Run(call, buffers.scratch(), stream);
  };
  const double us = Time(stream, 1, [&](size_t) {
    for (int i = 0; i < model.layers; ++i)
      for (const Layer layer : {Layer::kQkv, Layer::kDense, Layer::kGateUp, Layer::kDown})
        run(layer, static_cast<size_t>(i));
    run(Layer::kHead, 0);
  });
  std::printf("%-12s %s  1 token   linear layers of a step %.3f ms, %.0f GB/s\n", model.name, buffers.form(), us * 1e-3,
              bytes / us * 1e-3);
}

}  // namespace

int main(int count, char** names) {
  try {
    const Device device = OpenDevice(0);
    Matmul matmul(device, "");
    LinearLayers layers(&matmul);
    const Stream stream = MakeStream();
    std::printf("%s, cuBLASLt %zu from %s\n", device.name.c_str(), matmul.library().version,
                matmul.library().path.c_str());
    const auto named = [&](const char* name) {
      return std::any_of(names + 1, names + count, [&](const std::string& given) { return given == name; });
    };
    const bool any_model =
        std::none_of(std::begin(kModels), std::end(kModels), [&](const Model& m) { return named(m.name); });
    const bool any_form =
        std::any_of(std::begin(kForms), std::end(kForms), [&](const NamedForm& f) { return named(f.name); });
    for (const Model& model : kModels)
      for (const NamedForm& form : kForms) {
        if (!(any_model || named(model.name)) || !(any_form ? named(form.name) : !form.form.is_packed())) continue;
        const Buffers buffers(model, form);
        if (std::getenv("SWEEP") != nullptr && !form.form.is_packed()) Sweep(model, buffers, stream.get());
        for (const int tokens : {1, 2, 4, 8, 16, 32, 64})
          for (const Layer layer : kLayers) TimeLayer(model, buffers, layers, layer, tokens, stream.get());
        TimeStep(model, buffers, layers, stream.get());
      }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
