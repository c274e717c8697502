#include "native/embedded/block_key.h"

#include <cstring>
#include <random>

namespace embedded {
namespace {

uint64_t RotateLeft(uint64_t value, int bits) { return value << bits | value >> (64 - bits); }

class SipState {
 public:
  explicit SipState(const BlockKey& key)
      : v0_(0x736f6d6570736575 ^ key.low),
        v1_(0x646f72616e646f6d ^ key.high ^ 0xee),  // 0xee: of the 128-bit variant
        v2_(0x6c7967656e657261 ^ key.low),
        v3_(0x7465646279746573 ^ key.high) {}

  void Take(uint64_t word) {
    v3_ ^= word;
    Rounds(2);
    v0_ ^= word;
  }

  // Takes the last bytes of a message of `length` bytes.
  BlockKey Finish(const void* bytes, size_t count, size_t length) {
    const auto* next = static_cast<const unsigned char*>(bytes);
    const auto* const end = next + count;
    for (; end - next >= 8; next += 8) {
      uint64_t word;
      std::memcpy(&word, next, 8);
      Take(word);
    }
    uint64_t last = 0;
    std::memcpy(&last, next, static_cast<size_t>(end - next));
    Take(last | uint64_t{length} << 56);
    BlockKey result;
    v2_ ^= 0xee;
    Rounds(4);
    result.low = v0_ ^ v1_ ^ v2_ ^ v3_;
    v1_ ^= 0xdd;
    Rounds(4);
    result.high = v0_ ^ v1_ ^ v2_ ^ v3_;
    return result;
  }

 private:
  void Rounds(int count) {
    for (int i = 0; i < count; ++i) {
      v0_ += v1_;
      v1_ = RotateLeft(v1_, 13) ^ v0_;
      v0_ = RotateLeft(v0_, 32);
      v2_ += v3_;
      v3_ = RotateLeft(v3_, 16) ^ v2_;
      v0_ += v3_;
      v3_ = RotateLeft(v3_, 21) ^ v0_;
      v2_ += v1_;
      v1_ = RotateLeft(v1_, 17) ^ v2_;
      v2_ = RotateLeft(v2_, 32);
    }
  }

  uint64_t v0_, v1_, v2_, v3_;
};

BlockKey RandomKey() {
  std::random_device device;
  const auto word = [&] { return uint64_t{device()} << 32 | device(); };
  return {word(), word()};
}

}  // namespace

BlockKey SipHash128(const BlockKey& key, const void* bytes, size_t count) {
  return SipState(key).Finish(bytes, count, count);
}

BlockKey RootKey() { return {}; }

BlockKey RootKey(uint64_t salt) { return {salt, 1}; }

BlockKey RootKey(const BlockKey& root, uint64_t adapter) { return {root.low, root.high | adapter << 1}; }

BlockKey RootOfLength(const BlockKey& root, uint32_t prompt_tokens) {
  return {root.low, root.high | uint64_t{prompt_tokens} << 40};  // above the serial number of any adapter
}

BlockKey NextKey(const BlockKey& previous, const int32_t* tokens, size_t count) {
  static const BlockKey process_key = RandomKey();
  SipState state(process_key);
  state.Take(previous.low);
  state.Take(previous.high);
  return state.Finish(tokens, count * sizeof(*tokens), sizeof(previous) + count * sizeof(*tokens));
}

}  // namespace embedded
