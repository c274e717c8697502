// What ranks exchange: all of them on the first GPU, and on a GPU each where there are as many.
#include "native/embedded/cuda/rank_exchange.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "gpu_test.h"
#include "native/embedded/cuda/rank_threads.h"
#include "native/executor/cpp/failure.h"

namespace embedded::cuda {
namespace {

TEST(RankThreads, RunEveryRankAndMeet) {
  RankThreads threads(4);
  std::atomic<int> before{0}, behind{0};
  for (int run = 1; run <= 100; ++run) {
    threads.Run([&](int) {
      ++before;
      threads.Meet();
      EXPECT_EQ(before, 4 * run);
      threads.Meet();
      ++behind;
    });
    EXPECT_EQ(behind, 4 * run);
  }
}

TEST(RankThreads, AFailureOfOneRankEndsAllAndIsThrown) {
  RankThreads threads(3);
  for (int round = 0; round < 20; ++round) {
    try {
      threads.Run([&](int rank) {
        if (rank == 1) throw executor::Failure(EXECUTOR_OUT_OF_MEMORY, "rank 1 has no memory");
        threads.Meet();
        ADD_FAILURE() << "rank " << rank << " met one that never came";
      });
      FAIL() << "nothing was thrown";
    } catch (const executor::Failure& failure) {
      EXPECT_EQ(failure.code(), EXECUTOR_OUT_OF_MEMORY) << failure.what();
    }
    int met = 0;
    threads.Run([&](int rank) {
      threads.Meet();
      if (rank == 0) ++met;
    });
    EXPECT_EQ(met, 1);
  }
}

// So many ranks on the first GPU and, if there are more, spread over the GPUs.
std::vector<std::vector<Device>> Places(int ranks) {
  std::vector<std::vector<Device>> places;
  places.emplace_back(static_cast<size_t>(ranks));
  int gpus = 0;
  if (cudaGetDeviceCount(&gpus) != cudaSuccess || gpus < 2) return places;
  std::vector<Device>& apart = places.emplace_back(static_cast<size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) apart[static_cast<size_t>(rank)].id = rank % gpus;
  return places;
}

std::string NameOf(const std::vector<Device>& place) {
  int last = 0;
  for (const Device& device : place) last = std::max(last, device.id);
  return std::to_string(place.size()) + " ranks on " + std::to_string(last + 1) + (last == 0 ? " GPU" : " GPUs");
}

enum class Shots { kOne, kTwo };

ExchangeOptions Taking(Shots shots, ExchangeMemory memory = ExchangeMemory::kPeers) {
  ExchangeOptions options;
  options.memory = memory;
  options.two_shot_floats = shots == Shots::kOne ? std::numeric_limits<size_t>::max() : 0;
  return options;
}
const char* NameOf(Shots shots) { return shots == Shots::kOne ? "one shot" : "two shots"; }

// Each with what it adds and with hidden states.
class Ranks {
 public:
  Ranks(const std::vector<Device>& devices, const ExchangeSizes& sizes, const ExchangeOptions& options = {})
      : sizes_(sizes),
        devices_(devices),
        threads_(static_cast<int>(devices.size())),
        exchange_(devices, sizes, &threads_, options) {
    for (const Device& device : devices) {
      CheckKernel(cudaSetDevice(device.id), "choosing a GPU");
      ranks_.push_back(std::make_unique<Rank>(sizes));
    }
    CheckKernel(cudaSetDevice(devices.front().id), "choosing a GPU");
  }

  struct Rank {
    explicit Rank(const ExchangeSizes& sizes)
        : added(sizes.hidden_floats),
          hidden(sizes.hidden_floats),
          part_logits(static_cast<size_t>(sizes.max_logits_rows) * static_cast<size_t>(sizes.part_width)),
          logits(static_cast<size_t>(sizes.max_logits_rows) * static_cast<size_t>(sizes.vocab_size)) {}
    Stream stream = MakeStream();
    DeviceArray<float> added, hidden, part_logits, logits;
    GraphExec graph;
  };

  // On each rank's thread and GPU.
  template <typename Body>
  void Run(const Body& body) {
    threads_.Run([&](int rank) {
      CheckKernel(cudaSetDevice(devices_[static_cast<size_t>(rank)].id), "choosing a GPU");
      body(rank);
    });
  }
  RankExchange& exchange() { return exchange_; }
  Rank& at(int rank) { return *ranks_[static_cast<size_t>(rank)]; }
  int count() const { return threads_.ranks(); }

  // Two layers' worth of exchanges, whose second parts are the hidden states themselves, and the logits.
  void Exchange(int rank, cudaStream_t stream) {
    Rank& own = at(rank);
    RankEnd* const end = exchange_.end(rank);
    const auto add = [&](HiddenPart which, const DeviceArray<float>& from) {
      Copy(end->part(which), from, stream);
      end->AddParts(which, own.hidden.get(), sizes_.hidden_floats, stream);
    };
    for (int layer = 0; layer < kLayers; ++layer) {
      add(HiddenPart::kAttention, own.added);
      add(HiddenPart::kFeedForward, own.hidden);
    }
    end->BeginLogits(stream);
    Copy(end->part_logits(), own.part_logits, stream);
    end->GatherLogits(sizes_.max_logits_rows, own.logits.get(), stream);
  }
  // New values; all ranks have the same hidden states.
  void Fill(uint32_t seed) {
    for (int rank = 0; rank < count(); ++rank) {
      Put(&at(rank).hidden, seed);
      Put(&at(rank).added, seed + 1 + static_cast<uint32_t>(rank));
      Put(&at(rank).part_logits, seed + 100 + static_cast<uint32_t>(rank));
    }
    CheckKernel(cudaDeviceSynchronize(), "filling");
  }
  void ExpectRight(uint32_t seed, const std::string& what) {
    for (int rank = 0; rank < count(); ++rank) CheckKernel(cudaStreamSynchronize(at(rank).stream.get()), "exchanging");
    exchange_.CheckNoneIsLost();
    std::vector<float> hidden = RandomFloats(sizes_.hidden_floats, seed);
    std::vector<std::vector<float>> added;
    for (int rank = 0; rank < count(); ++rank)
      added.push_back(RandomFloats(sizes_.hidden_floats, seed + 1 + static_cast<uint32_t>(rank)));
    for (size_t i = 0; i < hidden.size(); ++i)
      for (int layer = 0; layer < kLayers; ++layer) {
        float sum = added[0][i];
        for (size_t rank = 1; rank < added.size(); ++rank) sum += added[rank][i];
        hidden[i] += sum;
        sum = hidden[i];
        for (size_t rank = 1; rank < added.size(); ++rank) sum += hidden[i];
        hidden[i] += sum;
      }
    for (int rank = 0; rank < count(); ++rank)
      EXPECT_TRUE(at(rank).hidden.Read() == hidden) << what << ", rank " << rank << ", not the same bits";
    const std::vector<float> logits = at(0).logits.Read();
    const size_t width = static_cast<size_t>(sizes_.part_width), vocab_size = static_cast<size_t>(sizes_.vocab_size);
    for (int rank = 0; rank < count(); ++rank) {
      const std::vector<float> part =
          RandomFloats(at(rank).part_logits.size(), seed + 100 + static_cast<uint32_t>(rank));
      for (size_t i = 0; i < part.size(); ++i) {
        const size_t row = i / width, column = static_cast<size_t>(rank) * width + i % width;
        if (column >= vocab_size) continue;
        ASSERT_EQ(logits[row * vocab_size + column], part[i]) << what << ", logit " << column;
      }
    }
  }

 private:
  static constexpr int kLayers = 2;

  static void Copy(float* to, const DeviceArray<float>& from, cudaStream_t stream) {
    CheckKernel(cudaMemcpyAsync(to, from.get(), sizeof(float) * from.size(), cudaMemcpyDeviceToDevice, stream),
                "copying");
  }
  static void Put(DeviceArray<float>* to, uint32_t seed) {
    const std::vector<float> values = RandomFloats(to->size(), seed);
    CheckKernel(cudaMemcpy(to->get(), values.data(), sizeof(float) * values.size(), cudaMemcpyHostToDevice), "putting");
  }

  ExchangeSizes sizes_;
  std::vector<Device> devices_;
  RankThreads threads_;
  RankExchange exchange_;
  std::vector<std::unique_ptr<Rank>> ranks_;
};

class Exchange : public GpuTestWith<std::tuple<int, Shots, ExchangeMemory>> {};

std::string NameOfCase(const testing::TestParamInfo<std::tuple<int, Shots, ExchangeMemory>>& test) {
  const auto [ranks, shots, memory] = test.param;
  return std::to_string(ranks) + (shots == Shots::kOne ? "_ranks_one_shot" : "_ranks_two_shots") +
         (memory == ExchangeMemory::kPeers ? "" : "_through_the_host");
}
INSTANTIATE_TEST_SUITE_P(Ranks, Exchange,
                         testing::Combine(testing::Values(2, 3, 4, 8), testing::Values(Shots::kOne, Shots::kTwo),
                                          testing::Values(ExchangeMemory::kPeers, ExchangeMemory::kHost)),
                         NameOfCase);

TEST_P(Exchange, SumsAreTheSameOnAllRanksAndEachPartOfTheLogitsIsInItsPlace) {
  const auto [ranks, shots, memory] = GetParam();
  for (const std::vector<Device>& place : Places(ranks))
    for (const size_t floats : {size_t{8}, size_t{4096}, size_t{40 * 4096 + 8}}) {
      const int vocab_size = 503;
      Ranks all(place, {floats, 3, (vocab_size + ranks - 1) / ranks, vocab_size}, Taking(shots, memory));
      const std::string what = NameOf(place) + ", " + NameOf(shots) + ", " + std::to_string(floats) + " values";
      all.Fill(7);
      all.Run([&](int rank) { all.Exchange(rank, all.at(rank).stream.get()); });
      all.ExpectRight(7, what + ", ordered by the host");
      // Kernels are loaded: from here on they may wait for each other.
      all.Run([&](int rank) {
        Ranks::Rank& own = all.at(rank);
        own.graph = CaptureGraph(own.stream.get(), [&](cudaStream_t stream) { all.Exchange(rank, stream); });
      });
      for (uint32_t replay = 0; replay < 12; ++replay) {
        all.Fill(1000 * replay);
        all.Run([&](int rank) {
          CheckKernel(cudaGraphLaunch(all.at(rank).graph.get(), all.at(rank).stream.get()), "launching");
        });
        all.ExpectRight(1000 * replay, what + ", replay " + std::to_string(replay));
        if (replay % 4 != 3) continue;
        all.Fill(1000 * replay + 500);
        all.Run([&](int rank) { all.Exchange(rank, all.at(rank).stream.get()); });
        all.ExpectRight(1000 * replay + 500, what + ", ordered by the host between replays");
      }
    }
}

class LostRank : public GpuTest {};

TEST_F(LostRank, IsNamedAndNothingWaitsForItAgain) {
  Ranks all(Places(2).front(), {4096, 1, 4, 8}, {std::chrono::milliseconds(100), {}, {}});
  all.Fill(1);
  all.Run([&](int rank) { all.Exchange(rank, all.at(rank).stream.get()); });
  all.ExpectRight(1, "before");
  all.Run([&](int rank) {
    Ranks::Rank& own = all.at(rank);
    own.graph = CaptureGraph(own.stream.get(), [&](cudaStream_t stream) { all.Exchange(rank, stream); });
  });
  for (int i = 0; i < 50; ++i)
    CheckKernel(cudaGraphLaunch(all.at(0).graph.get(), all.at(0).stream.get()), "launching one rank alone");
  CheckKernel(cudaStreamSynchronize(all.at(0).stream.get()), "waiting for one rank alone");
  try {
    all.exchange().CheckNoneIsLost();
    FAIL() << "nothing was thrown";
  } catch (const executor::Failure& failure) {
    EXPECT_EQ(failure.code(), EXECUTOR_FAILED);
    EXPECT_EQ(std::string(failure.what()).rfind("Rank 1 on GPU 0 ", 0), 0u) << failure.what();
  }
}

class ExchangeTime : public GpuTestWith<int> {
 protected:
  // What `launch` takes on the first rank's GPU, of all ranks at the same time.
  template <typename Body>
  static float Microseconds(Ranks* all, int replays, Body launch) {
    const Event start = MakeTimingEvent(), end = MakeTimingEvent();
    all->Run([&](int rank) {
      cudaStream_t const stream = all->at(rank).stream.get();
      for (int i = 0; i < replays + 1; ++i) {
        if (rank == 0 && i == 1) CheckKernel(cudaEventRecord(start.get(), stream), "timing");
        launch(rank, stream);
      }
      if (rank == 0) CheckKernel(cudaEventRecord(end.get(), stream), "timing");
    });
    for (int rank = 0; rank < all->count(); ++rank)
      CheckKernel(cudaStreamSynchronize(all->at(rank).stream.get()), "timing");
    all->exchange().CheckNoneIsLost();
    float ms = 0;
    CheckKernel(cudaEventElapsedTime(&ms, start.get(), end.get()), "timing");
    return 1000 * ms / static_cast<float>(replays);
  }
};
INSTANTIATE_TEST_SUITE_P(Ranks, ExchangeTime, testing::Values(2, 4, 8));

TEST_P(ExchangeTime, IsPrinted) {
  constexpr int kExchanges = 64;
  constexpr size_t kMiB = (size_t{1} << 20) / sizeof(float);
  const std::vector<Device> place = Places(GetParam()).back();
  for (const Shots shots : {Shots::kOne, Shots::kTwo})
    for (const size_t floats :
         {kMiB / 64, kMiB / 32, kMiB / 8, kMiB / 4, kMiB / 2, kMiB, 2 * kMiB, 8 * kMiB, 64 * kMiB}) {
      Ranks all(place, {floats, 1, 4, 8}, Taking(shots));
      const auto exchange = [&](int rank, cudaStream_t stream) {
        for (int i = 0; i < kExchanges; ++i)
          all.exchange().end(rank)->AddParts(i % 2 == 0 ? HiddenPart::kAttention : HiddenPart::kFeedForward,
                                             all.at(rank).hidden.get(), floats, stream);
      };
      for (int rank = 0; rank < all.count(); ++rank) all.at(rank).hidden.Zero();
      CheckKernel(cudaDeviceSynchronize(), "filling");
      const float ordered = Microseconds(&all, 2, exchange) / kExchanges;
      all.Run([&](int rank) {
        Ranks::Rank& own = all.at(rank);
        own.graph = CaptureGraph(own.stream.get(), [&](cudaStream_t stream) { exchange(rank, stream); });
      });
      const float replayed = Microseconds(&all, floats > 8 * kMiB ? 2 : 20,
                                          [&](int rank, cudaStream_t stream) {
                                            CheckKernel(cudaGraphLaunch(all.at(rank).graph.get(), stream), "launching");
                                          }) /
                             kExchanges;
      std::printf("%s, %s, %zu KiB: %.2f us for each exchange in a graph, %.2f ordered by the host\n",
                  NameOf(place).c_str(), NameOf(shots), floats * sizeof(float) / 1024, replayed, ordered);
    }
}

}  // namespace
}  // namespace embedded::cuda
