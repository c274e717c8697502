// Names for what a KV block holds: a hash chain over tokens, so that equal prefixes have equal keys.
#ifndef EMBEDDED_BLOCK_KEY_H_
#define EMBEDDED_BLOCK_KEY_H_

#include <cstddef>
#include <cstdint>

namespace embedded {

// The key of a block depends on its tokens and, through the key before it, on all tokens before them. Two prefixes that
// differ have the same key with a chance of 2^-128; nobody can search for such a pair, because the hash is keyed with
// random bits of the process.
struct BlockKey {
  uint64_t low = 0;
  uint64_t high = 0;

  bool operator==(const BlockKey& other) const { return low == other.low && high == other.high; }
};

struct HashOfKey {
  size_t operator()(const BlockKey& key) const { return static_cast<size_t>(key.low); }
};

// What stands before the first block: blocks are only shared between requests of one salt, or of none.
BlockKey RootKey();
BlockKey RootKey(uint64_t salt);
// Likewise of one adapter, by its serial number.
BlockKey RootKey(const BlockKey& root, uint64_t adapter);
// Likewise of prompts of one length, where a model's keys and values go by it.
BlockKey RootOfLength(const BlockKey& root, uint32_t prompt_tokens);

// The key of the block of these tokens that follows the block of `previous`.
BlockKey NextKey(const BlockKey& previous, const int32_t* tokens, size_t count);

// SipHash-2-4 with a 128-bit result (Aumasson and Bernstein, https://cr.yp.to/siphash/siphash-20120918.pdf, and the
// 128-bit variant of its authors' reference implementation). `key` is used as 16 bytes, little-endian.
BlockKey SipHash128(const BlockKey& key, const void* bytes, size_t count);

}  // namespace embedded

#endif  // EMBEDDED_BLOCK_KEY_H_
