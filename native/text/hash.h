#ifndef TEXT_HASH_H_
#define TEXT_HASH_H_

#include <cstdint>
#include <cstring>
#include <string_view>

namespace text {

// Odd and random, the same for the life of the process. A file that was made to fill one bucket of a table cannot know it.
uint64_t HashSeed();

inline uint64_t Mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t Hash(std::string_view bytes, uint64_t seed) {
  const char* at = bytes.data();
  size_t left = bytes.size();
  const auto load = [](const char* from, size_t size) {
    uint64_t value = 0;
    std::memcpy(&value, from, size);
    return value;
  };
  uint64_t hash = Mix(left ^ seed, 0x9E3779B97F4A7C15);
  for (; left > 16; left -= 16, at += 16) hash = Mix(hash ^ load(at, 8), load(at + 8, 8) ^ seed);
  uint64_t low = 0, high = 0;
  if (left >= 8) {
    low = load(at, 8);
    high = load(at + left - 8, 8);
  } else if (left >= 4) {
    low = load(at, 4);
    high = load(at + left - 4, 4);
  } else if (left > 0) {
    low = static_cast<uint8_t>(at[0]) | static_cast<uint64_t>(static_cast<uint8_t>(at[left / 2])) << 8 |
          static_cast<uint64_t>(static_cast<uint8_t>(at[left - 1])) << 16;
  }
  return Mix(hash ^ low, high ^ seed ^ 0xD6E8FEB86659FD93);
}

}  // namespace text

#endif  // TEXT_HASH_H_
