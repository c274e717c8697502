#include "native/embedded/block_key.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

namespace embedded {
namespace {

// What `openssl mac -macopt hexkey:000102...0f -macopt size:16 SIPHASH` gives for the bytes 0, 1, 2, ...
TEST(BlockKey, SipHashGivesOpenSslsValues) {
  const BlockKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::vector<uint8_t> bytes(32);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  const struct {
    size_t count;
    BlockKey hash;
  } cases[] = {
      {0, {0xe6a825ba047f81a3, 0x930255c71472f66d}},  {1, {0x44af996bd8c187da, 0x45fc229b11597634}},
      {7, {0x53c1dbd8beebf1a1, 0x3982f01fa64ab8c0}},  {8, {0x61f55862baa9623b, 0xb49714f364e2830f}},
      {32, {0x3efcea5eca56397c, 0x68eb4665559d3e36}},
  };
  for (const auto& known : cases) EXPECT_TRUE(SipHash128(key, bytes.data(), known.count) == known.hash) << known.count;
}

TEST(BlockKey, DependsOnTheTokensTheirNumberTheBlockBeforeAndTheSalt) {
  const std::vector<int32_t> tokens{1, 2, 3, 4};
  const BlockKey key = NextKey(RootKey(), tokens.data(), 4);
  EXPECT_TRUE(key == NextKey(RootKey(), tokens.data(), 4));
  EXPECT_FALSE(key == NextKey(RootKey(), tokens.data(), 3));
  EXPECT_FALSE(key == NextKey(key, tokens.data(), 4));
  EXPECT_FALSE(key == NextKey(RootKey(0), tokens.data(), 4));
  EXPECT_FALSE(NextKey(RootKey(1), tokens.data(), 4) == NextKey(RootKey(0), tokens.data(), 4));
  const std::vector<int32_t> others{1, 2, 3, 5};
  EXPECT_FALSE(key == NextKey(RootKey(), others.data(), 4));
}

}  // namespace
}  // namespace embedded
