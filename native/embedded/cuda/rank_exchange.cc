#include "native/embedded/cuda/rank_exchange.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "native/embedded/cuda/launch.h"

namespace embedded::cuda {
namespace {

constexpr char kExchange[] = "the exchange of ranks";

std::string NameOf(const Device& device) { return "GPU " + std::to_string(device.id) + " (" + device.name + ")"; }

// Why not every rank can read the memory of the others; empty: it can.
std::string WithoutPeerAccess(const std::vector<Device>& devices) {
  const char* const variable = std::getenv("NODE_TENSORRT_LLM_CUDA_PEER_ACCESS");
  if (variable != nullptr && std::string(variable) == "0") return "NODE_TENSORRT_LLM_CUDA_PEER_ACCESS is 0";
  for (const Device& from : devices)
    for (const Device& to : devices) {
      int can = 1;
      if (from.id != to.id) Check(cudaDeviceCanAccessPeer(&can, from.id, to.id), "asking for peer access");
      if (!can) return NameOf(from) + " cannot read the memory of " + NameOf(to);
    }
  return "";
}

// Lets kernels of the calling thread's device read and write the other one's memory.
void EnablePeerAccess(const Device& from, const Device& to) {
  if (from.id == to.id) return;
  const cudaError_t error = cudaDeviceEnablePeerAccess(to.id, 0);
  if (error == cudaErrorPeerAccessAlreadyEnabled) {
    cudaGetLastError();  // not sticky: the next call must not report it
    return;
  }
  Check(error, "letting GPUs read each other's memory");
}

// From so many on two shots are faster, as measured on H200s. Two ranks read as much in one.
size_t TwoShotFloats(size_t ranks, ExchangeWait wait) {
  constexpr size_t kByFlags = size_t{512} * 1024 / sizeof(float);
  constexpr size_t kOrdered = size_t{2} * 1024 * 1024 / sizeof(float);  // the threads of the ranks meet once more
  if (ranks == 2) return std::numeric_limits<size_t>::max();
  return wait == ExchangeWait::kByFlags ? kByFlags : kOrdered;
}

}  // namespace

RankEnd::Part::Part(size_t floats, ExchangeMemory memory, const char* what) : own(sizeof(float) * floats, what) {
  if (memory == ExchangeMemory::kHost) copy = PinnedBuffer(own.bytes(), what);
}

void RankEnd::Part::Share(size_t floats, cudaStream_t stream) const {
  if (copy.data() != nullptr) CopyToHost(own.as<float>(), copy.as<float>(), floats, stream);
}

RankEnd::RankEnd(int rank, const ExchangeSizes& sizes, ExchangeMemory memory, RankThreads* threads, const All* all)
    : rank_(rank),
      sizes_(sizes),
      threads_(threads),
      all_(*all),
      part_logits_(static_cast<size_t>(sizes.max_logits_rows) * static_cast<size_t>(sizes.part_width), memory,
                   "logits") {
  for (Part& part : parts_) part = Part(sizes.hidden_floats, memory, kExchange);
  for (Event& event : written_) event = MakeEvent();
  if (memory == ExchangeMemory::kHost) {
    host_flags_ = PinnedBuffer(sizeof(ExchangeFlags), kExchange);
    std::memset(host_flags_.data(), 0, sizeof(ExchangeFlags));
    return;
  }
  flags_ = DeviceBuffer(sizeof(ExchangeFlags), kExchange);
  Check(cudaMemset(flags_.data(), 0, sizeof(ExchangeFlags)), kExchange);
  Check(cudaDeviceSynchronize(), kExchange);
}

ExchangeFlags* RankEnd::flags() const {
  return host_flags_.data() == nullptr ? flags_.as<ExchangeFlags>() : host_flags_.as<ExchangeFlags>();
}

void RankEnd::Connect(int* lost_rank, const ExchangeOptions& options, int most_blocks) {
  two_shot_floats_ = options.two_shot_floats;
  ExchangePeers peers{};
  peers.rank = rank_;
  peers.ranks = static_cast<int>(all_.size());
  peers.most_blocks = most_blocks;
  peers.lost_rank = lost_rank;
  peers.timeout_ns = static_cast<uint64_t>(options.patience.count());
  const auto connect = [&](auto part_of) {
    for (size_t rank = 0; rank < all_.size(); ++rank) {
      const RankEnd& end = *all_[rank];
      peers.flags[rank] = end.flags();
      const Part& part = part_of(end);
      peers.parts[rank] = &end == this ? part.own.as<float>() : part.shared();
    }
    return peers;
  };
  for (const HiddenPart which : {HiddenPart::kAttention, HiddenPart::kFeedForward})
    hidden_peers_[static_cast<size_t>(which)] =
        connect([&](const RankEnd& end) -> const Part& { return end.parts_[static_cast<size_t>(which)]; });
  logits_peers_ = connect([](const RankEnd& end) -> const Part& { return end.part_logits_; });
}

EmbeddingTable RankEnd::Embedding(int part_rows) const {
  EmbeddingTable table{{}, part_rows};
  for (size_t rank = 0; rank < all_.size(); ++rank) table.parts[rank] = all_[rank]->embedding_;
  return table;
}

ExchangeWait RankEnd::Order(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  Check(cudaStreamIsCapturing(stream, &status), "asking whether a stream is recorded");
  if (status != cudaStreamCaptureStatusNone) return ExchangeWait::kByFlags;
  WaitForOthers(stream);
  return ExchangeWait::kBefore;
}

void RankEnd::WaitForOthers(cudaStream_t stream) {
  constexpr char kOrdering[] = "ordering the ranks' streams";
  const size_t turn = meetings_++ % written_.size();
  Check(cudaEventRecord(written_[turn].get(), stream), kOrdering);
  Meet();
  for (const auto& other : all_)
    if (other.get() != this) Check(cudaStreamWaitEvent(stream, other->written_[turn].get(), 0), kOrdering);
}

void RankEnd::AddParts(HiddenPart which, float* hidden, size_t count, cudaStream_t stream) {
  ExchangePeers peers = hidden_peers_[static_cast<size_t>(which)];
  const Part& part = parts_[static_cast<size_t>(which)];
  part.Share(count, stream);
  const ExchangeWait wait = Order(stream);
  if (count < two_shot_floats_.value_or(TwoShotFloats(all_.size(), wait)))
    return embedded::cuda::AddParts(peers, hidden, count, wait, stream);
  peers.parts[rank_] = part.shared();  // where the sum of its slice goes
  if (wait == ExchangeWait::kByFlags) return AddPartsInTwoShots(peers, hidden, count, stream);
  SumSlice(peers, count, stream);
  WaitForOthers(stream);
  AddSlices(peers, hidden, count, stream);
}

void RankEnd::BeginLogits(cudaStream_t stream) { Order(stream); }

void RankEnd::GatherLogits(int rows, float* out, cudaStream_t stream) {
  part_logits_.Share(static_cast<size_t>(rows) * static_cast<size_t>(sizes_.part_width), stream);
  const ExchangeWait wait = Order(stream);
  GatherColumns(logits_peers_, {rows, sizes_.part_width, sizes_.vocab_size}, is_first() ? out : nullptr, wait, stream);
}

RankExchange::RankExchange(std::vector<Device> devices, const ExchangeSizes& sizes, RankThreads* threads,
                           const ExchangeOptions& options)
    : devices_(std::move(devices)), lost_rank_(sizeof(int), kExchange) {
  const std::string obstacle = WithoutPeerAccess(devices_);
  memory_ = options.memory.value_or(obstacle.empty() ? ExchangeMemory::kPeers : ExchangeMemory::kHost);
  if (memory_ == ExchangeMemory::kHost && sizes.splits_embedding)
    throw executor::Failure(EXECUTOR_UNAVAILABLE,
                            obstacle +
                                "; expected peer access between the GPUs of an engine whose embedding is split. "
                                "Choose GPUs that have it with parallel.deviceIds (nvidia-smi topo -p2p r lists "
                                "them), or convert the model again without parallelEmbedding.");
  *lost_rank_.as<int>() = 0;
  int most_blocks = kMaxExchangeBlocks;
  for (const Device& device : devices_) {
    Check(cudaSetDevice(device.id), kExchange);
    if (memory_ == ExchangeMemory::kPeers)
      for (const Device& other : devices_) EnablePeerAccess(device, other);
    LoadExchangeKernels();
    // Where ranks share a GPU, the blocks of all of them have room on it at the same time.
    const auto sharing =
        std::count_if(devices_.begin(), devices_.end(), [&](const Device& other) { return other.id == device.id; });
    if (sharing > 1)
      most_blocks =
          std::min(most_blocks, std::max(1, CurrentDeviceTraits().multiprocessors / static_cast<int>(sharing)));
    ends_.push_back(std::make_unique<RankEnd>(static_cast<int>(ends_.size()), sizes, memory_, threads, &ends_));
  }
  for (const auto& end : ends_) end->Connect(lost_rank_.as<int>(), options, most_blocks);
  Check(cudaSetDevice(devices_.front().id), kExchange);
}

void RankExchange::CheckNoneIsLost() const {
  const int lost = *static_cast<volatile int*>(lost_rank_.as<int>());
  if (lost == 0) return;
  throw executor::Failure(EXECUTOR_FAILED, "Rank " + std::to_string(lost - 1) + " on " +
                                               NameOf(devices_[static_cast<size_t>(lost - 1)]) +
                                               " did not give its part of a step in time; expected it within seconds. "
                                               "Check that GPU with nvidia-smi, and load the engine again in a new "
                                               "process. With isolation: 'process' that is done for you.");
}

}  // namespace embedded::cuda
