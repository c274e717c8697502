#include "native/isolation/wire.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <deque>
#include <string>

#include "native/isolation/config_fields.h"
#include "native/isolation/ended_rows.h"
#include "native/isolation/request_fields.h"
#include "native/isolation/response_fields.h"

namespace isolation {

// Visits the fields as Writer and Reader do and sets each: numbers count up from 1, arrays hold what offsets may be.
class Filler {
 public:
  template <typename... T>
  void Values(T&... values) {
    (Set(values), ...);
  }
  template <typename T>
  void Array(const T*& data, uint64_t count) {
    T* made = New<T>(count);
    for (uint64_t i = 0; i < count; ++i) made[i] = static_cast<T>(i);
    data = made;
  }
  void Text(const char*& text) {
    auto made = std::make_shared<std::string>("text " + std::to_string(++next_));
    owned_.push_back(made);
    text = made->c_str();
  }
  template <typename T, typename... Context>
  void Group(const T*& group, Context... context) {
    T* made = New<T>(1);
    Fill(made, context...);
    group = made;
  }
  template <typename T>
  void Groups(const T*& groups, uint64_t count) {
    T* made = New<T>(count);
    for (uint64_t i = 0; i < count; ++i) Fill(made + i);
    groups = made;
  }
  template <typename T>
  void GroupPointers(const T* const*& groups, uint64_t count) {
    const T** made = New<const T*>(count);
    for (uint64_t i = 0; i < count; i += 2) Group(made[i]);  // the others are null
    groups = made;
  }
  void Texts(const char* const*& texts, uint64_t count) {
    const char** made = New<const char*>(count);
    for (uint64_t i = 0; i < count; ++i) Text(made[i]);
    texts = made;
  }
  void Need(bool /*is_there*/) {}
  template <typename T, typename... Context>
  void Fill(T* value, Context... context) {
    if constexpr (HasSize<T>::value) value->size = sizeof(T);
    next_ = 0;
    Fields(*this, *value, context...);
  }

 private:
  template <typename T>
  void Set(T& value) {
    value = static_cast<T>(std::is_enum_v<T> ? 1 : ++next_);
  }
  template <typename T>
  T* New(uint64_t count) {
    auto made = std::make_shared<std::vector<T>>(count + 1);  // never null, of no elements either
    owned_.push_back(made);
    return made->data();
  }

  uint64_t next_ = 0;
  std::deque<std::shared_ptr<void>> owned_;
};

void Fields(Filler& filler, ExecutorTensor& tensor) {
  tensor = {nullptr, DATA_TYPE_BFLOAT16, 2, {2, 3, 1, 1}};
  const unsigned char* data = nullptr;
  filler.Array(data, executor::TensorBytes(tensor));
  tensor.data = data;
}

namespace {

Bytes PayloadOf(const Bytes& message) { return Bytes(message.begin() + sizeof(Header), message.end()); }

template <typename T>
std::shared_ptr<const T> Read(const Bytes& payload) {
  return Decode<T>(Payload(payload));
}

// What setting every field makes of a struct whose bytes were all `unset`.
template <typename T, typename... Context>
std::array<unsigned char, sizeof(T)> Filled(unsigned char unset, Context... context) {
  std::array<unsigned char, sizeof(T)> bytes;
  bytes.fill(unset);
  T value;
  std::memcpy(&value, bytes.data(), sizeof(value));
  Filler filler;
  Fields(filler, value, context...);
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

// Bytes of the struct that no field sets: its size, what is reserved, callbacks, and padding. They are as they were twice; an
// address that a field was set to may hold one of the two bytes.
template <typename T, typename... Context>
size_t UnsentBytes(Context... context) {
  constexpr unsigned char kUnset[] = {0xAA, 0x55};
  const auto first = Filled<T>(kUnset[0], context...);
  const auto second = Filled<T>(kUnset[1], context...);
  size_t unsent = 0;
  for (size_t i = 0; i < sizeof(T); ++i) unsent += first[i] == kUnset[0] && second[i] == kUnset[1];
  return unsent;
}

template <typename T>
class Wire : public testing::Test {};
using Messages =
    testing::Types<HostConfig, ExecutorRequest, ExecutorBatch, StatsAnswer, ExecutorInfo, ExecutorKvEvents>;
TYPED_TEST_SUITE(Wire, Messages);

TYPED_TEST(Wire, WhatIsReadIsWhatWasWritten) {
  Filler filler;
  TypeParam value{};
  filler.Fill(&value);
  const Bytes message = Encode(MessageType::kCreate, value);
  const auto read = Read<TypeParam>(PayloadOf(message));
  EXPECT_EQ(Encode(MessageType::kCreate, *read), message);
}

TYPED_TEST(Wire, AMessageThatBreaksOffIsRefusedWhereverItDoes) {
  Filler filler;
  TypeParam value{};
  filler.Fill(&value);
  Bytes payload = PayloadOf(Encode(MessageType::kCreate, value));
  while (!payload.empty()) {
    payload.pop_back();
    EXPECT_THROW(Read<TypeParam>(payload), executor::Failure) << payload.size() << " bytes";
  }
}

TEST(WireFields, NoFieldOfTheContractIsLeftOut) {
  constexpr size_t kSize = 4;
  constexpr size_t kPadding = 4;  // each ExecutorTokenLists and the ExecutorLogitBias have as much
  EXPECT_EQ(UnsentBytes<ExecutorSampling>(), kSize);
  EXPECT_EQ(UnsentBytes<ExecutorOutputConfig>(), kSize + kPadding);
  EXPECT_EQ(UnsentBytes<ExecutorLora>(), kSize + sizeof(ExecutorLora::reserved));
  EXPECT_EQ(UnsentBytes<ExecutorRetentionRange>(), 0u);
  EXPECT_EQ(UnsentBytes<ExecutorKvRetention>(), kSize + kPadding);
  EXPECT_EQ(UnsentBytes<ExecutorGuided>(), kPadding);
  EXPECT_EQ(UnsentBytes<ExecutorReasoning>(), kSize + sizeof(ExecutorReasoning::reserved));
  EXPECT_EQ(UnsentBytes<ExecutorDraft>(), kSize + kPadding);
  EXPECT_EQ(UnsentBytes<ExecutorLogitBias>(), kPadding);
  EXPECT_EQ(UnsentBytes<ExecutorMultimodal>(/*token_count=*/3u), kSize + kPadding);
  EXPECT_EQ(UnsentBytes<ExecutorRequest>(), kSize + 6 * kPadding);
  EXPECT_EQ(UnsentBytes<ExecutorContextPhase>(), kSize + kPadding);
  EXPECT_EQ(UnsentBytes<ExecutorLookahead>(), 0u);
  EXPECT_EQ(UnsentBytes<ExecutorEagle>(), kSize + kPadding);

  EXPECT_EQ(UnsentBytes<ExecutorSchedulerConfig>(), kSize);
  EXPECT_EQ(UnsentBytes<ExecutorKvCacheConfig>(), kSize);
  EXPECT_EQ(UnsentBytes<ExecutorParallelConfig>(), kSize + kPadding);
  EXPECT_EQ(UnsentBytes<ExecutorPeftCacheConfig>(), kSize);
  EXPECT_EQ(UnsentBytes<ExecutorPromptLookup>(), kSize);
  EXPECT_EQ(UnsentBytes<ExecutorDraftModel>(), kSize + kPadding);
  EXPECT_EQ(UnsentBytes<ExecutorDecodingConfig>(), kSize + 2 * kPadding);
  EXPECT_EQ(UnsentBytes<ExecutorGuidedDecodingConfig>(), kSize);
  EXPECT_EQ(UnsentBytes<ExecutorPerfConfig>(), kSize);
  EXPECT_EQ(UnsentBytes<ExecutorTransceiverConfig>(), kSize);
  constexpr size_t kCallbacks = 3 * sizeof(void*);
  EXPECT_EQ(UnsentBytes<ExecutorConfig>(), kSize + kPadding + kCallbacks);

  EXPECT_EQ(UnsentBytes<ExecutorRowDetails>(), kSize + sizeof(ExecutorRowDetails::reserved));
  EXPECT_EQ(UnsentBytes<ExecutorBatch>(), kSize);
  EXPECT_EQ(UnsentBytes<ExecutorRequestStats>(), 0u);
  EXPECT_EQ(UnsentBytes<ExecutorStats>(), kSize + kPadding);
  EXPECT_EQ(UnsentBytes<ExecutorInfo>(), kSize + sizeof(ExecutorInfo::reserved));
  EXPECT_EQ(UnsentBytes<ExecutorKvBlock>(), 0u);
  EXPECT_EQ(UnsentBytes<ExecutorKvEvent>(), 0u);
  EXPECT_EQ(UnsentBytes<ExecutorKvEvents>(), kSize);
}

TEST(WireFields, WhatLiesPastTheSizeOfAnOlderCallersStructIsUnset) {
  ExecutorSampling sampling{};
  sampling.size = offsetof(ExecutorSampling, top_k);
  sampling.temperature = 0.5f;
  sampling.top_k = 40;
  ExecutorRequest request{};
  request.size = sizeof(request);
  request.sampling = &sampling;
  const auto read = Read<ExecutorRequest>(PayloadOf(Encode(MessageType::kSubmit, request)));
  EXPECT_EQ(read->sampling->temperature, 0.5f);
  EXPECT_EQ(read->sampling->top_k, 0u);
}

TEST(WireFields, ABatchWhoseOffsetsLeadAstrayIsRefused) {
  Bytes payload = PayloadOf(Encode(MessageType::kBatch, *EndedRows({1, 2, 3}, FINISH_CANCELLED)));
  ASSERT_NO_THROW(Read<ExecutorBatch>(payload));
  // At the end there are four offsets, here the second, and the flags of six arrays that are absent.
  payload[payload.size() - (3 + 6) * sizeof(uint32_t)] = 7;
  EXPECT_THROW(Read<ExecutorBatch>(payload), executor::Failure);
}

}  // namespace
}  // namespace isolation
