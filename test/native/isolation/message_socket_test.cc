#include "native/isolation/message_socket.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <thread>
#include <utility>

#include "native/isolation/batch_slice.h"
#include "native/isolation/descriptor.h"
#include "native/isolation/ended_rows.h"
#include "native/isolation/response_fields.h"

namespace isolation {
namespace {

struct Sockets {
  Sockets() : Sockets(Pair()) {}

  Descriptor addon;
  Descriptor host;

 private:
  explicit Sockets(std::pair<int, int> ends) : addon(ends.first), host(ends.second) {}
  static std::pair<int, int> Pair() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    return {ends[0], ends[1]};
  }
};

Bytes HeaderOf(uint64_t payload_bytes, MessageType type, uint64_t request_id = 0, uint32_t version = kWireVersion) {
  const Header header = {payload_bytes, version, type, request_id};
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  return Bytes(bytes, bytes + sizeof(header));
}

// While it lives, the process can have so many more bytes of memory, in steps of pages.
class AddressSpaceLimit {
 public:
  explicit AddressSpaceLimit(uint64_t bytes) {
    getrlimit(RLIMIT_AS, &before_);
    uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlimit limited = {pages * static_cast<uint64_t>(getpagesize()) + bytes, before_.rlim_max};
    setrlimit(RLIMIT_AS, &limited);
  }
  ~AddressSpaceLimit() { setrlimit(RLIMIT_AS, &before_); }
  AddressSpaceLimit(const AddressSpaceLimit&) = delete;
  AddressSpaceLimit& operator=(const AddressSpaceLimit&) = delete;

 private:
  rlimit before_;
};

TEST(MessageReceiver, TakesNoMemoryForWhatWasAnnouncedAndHasNotCome) {
  const Sockets sockets;
  Send(sockets.host.get(), HeaderOf(uint64_t{1} << 62, MessageType::kBatch));
  Send(sockets.host.get(), Bytes(100'000));
  MessageReceiver receiver(MessageReceiver::From::kHost);
  EXPECT_EQ(receiver.Receive(sockets.addon.get(), MSG_DONTWAIT), MessageReceiver::State::kIncomplete);
  EXPECT_EQ(receiver.Receive(sockets.addon.get(), MSG_DONTWAIT), MessageReceiver::State::kIncomplete);
}

TEST(MessageReceiver, RefusesWhatTheOtherEndNeverSends) {
  const std::vector<Bytes> refused = {
      HeaderOf(0, static_cast<MessageType>(0)),
      HeaderOf(0, static_cast<MessageType>(static_cast<uint32_t>(MessageType::kFailed) + 1)),
      HeaderOf(0, MessageType::kSubmit),
      HeaderOf(1, MessageType::kShutDown),
      HeaderOf(sizeof(double) + 1, MessageType::kProgress),
      HeaderOf((1 << 20) + 1, MessageType::kLog),
      HeaderOf(0, MessageType::kBatch, 0, kWireVersion + 1)};
  for (const Bytes& header : refused) {
    const Sockets sockets;
    Send(sockets.host.get(), header);
    MessageReceiver receiver(MessageReceiver::From::kHost);
    EXPECT_THROW(receiver.Receive(sockets.addon.get(), MSG_DONTWAIT), executor::Failure);
  }
}

TEST(MessageReceiver, LosesABatchOfOneRequestForWhichThereIsNoMemoryAndReadsTheNext) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "where memory is refused, a sanitizer ends the process";
#endif
  const Sockets sockets;
  constexpr size_t kSize = 8 << 20;
  Bytes large = HeaderOf(kSize, MessageType::kBatch, 7);
  large.resize(large.size() + kSize);
  const Bytes small = Encode(MessageType::kBatch, *EndedRows({8}, FINISH_LENGTH));
  std::thread sender([&] {
    Send(sockets.host.get(), large);
    Send(sockets.host.get(), small);
  });
  MessageReceiver receiver(MessageReceiver::From::kHost);
  {
    const AddressSpaceLimit limit(kSize / 2);
    ASSERT_EQ(receiver.Receive(sockets.addon.get(), 0), MessageReceiver::State::kMessage);
  }
  const Message lost = receiver.Take();
  EXPECT_TRUE(lost.is_lost);
  EXPECT_EQ(lost.request_id, 7u);
  ASSERT_EQ(receiver.Receive(sockets.addon.get(), 0), MessageReceiver::State::kMessage);
  Message next = receiver.Take();
  EXPECT_FALSE(next.is_lost);
  EXPECT_EQ(Decode<ExecutorBatch>(std::move(next.payload))->request_ids[0], 8u);
  sender.join();
}

TEST(BatchSlice, HasTheRowsWithWhatBelongsToThem) {
  const uint64_t ids[] = {1, 2, 3};
  const uint32_t sequences[] = {0, 1, 2};
  const uint8_t finish[] = {FINISH_NONE, FINISH_LENGTH, FINISH_NONE};
  const uint8_t flags[] = {0, ROW_SEQUENCE_FINAL, 0};
  const uint32_t token_offsets[] = {0, 1, 3, 4};
  const int32_t tokens[] = {10, 20, 21, 30};
  const float logprobs[] = {-1, -2, -3, -4};
  const uint32_t top_offsets[] = {0, 1, 2, 4, 4};
  const int32_t top_tokens[] = {10, 20, 21, 22};
  ExecutorRowDetails details{};
  details.size = sizeof(details);
  const ExecutorRowDetails* const row_details[] = {nullptr, &details, nullptr};
  const ExecutorBatch batch = {sizeof(ExecutorBatch), 3,      5,        ids,         sequences,  finish,   flags,
                               token_offsets,         tokens, logprobs, top_offsets, top_tokens, logprobs, row_details};
  const BatchSlice slice(batch, 1, 3);
  const auto read = Decode<ExecutorBatch>(Payload([&] {
    const Bytes message = Encode(MessageType::kBatch, slice.batch());
    return Bytes(message.begin() + sizeof(Header), message.end());
  }()));
  ASSERT_EQ(read->row_count, 2u);
  EXPECT_EQ(read->request_ids[0], 2u);
  EXPECT_EQ(read->request_ids[1], 3u);
  EXPECT_EQ(read->sequences[1], 2u);
  EXPECT_EQ(read->finish[0], FINISH_LENGTH);
  EXPECT_EQ(read->flags[0], ROW_SEQUENCE_FINAL);
  EXPECT_EQ(std::vector<int32_t>(read->tokens, read->tokens + read->token_offsets[2]),
            (std::vector<int32_t>{20, 21, 30}));
  EXPECT_EQ(read->logprobs[2], -4);
  EXPECT_EQ(std::vector<uint32_t>(read->top_offsets, read->top_offsets + 4), (std::vector<uint32_t>{0, 1, 3, 3}));
  EXPECT_EQ(read->top_tokens[0], 20);
  EXPECT_NE(read->details[0], nullptr);
  EXPECT_EQ(read->details[1], nullptr);
}

}  // namespace
}  // namespace isolation
