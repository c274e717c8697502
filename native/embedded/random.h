// Random numbers that belong to a request: a draw is a function of (seed, sequence, position), never of a row or a
// step.
#ifndef EMBEDDED_RANDOM_H_
#define EMBEDDED_RANDOM_H_

#include <array>
#include <cstdint>

namespace embedded {

// Philox4x32-10: ten rounds over a counter of 128 bits and a key of 64 (Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011).
std::array<uint32_t, 4> Philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// Uniform in [0, 1), 53 bits.
double Uniform(uint64_t seed, uint32_t sequence, uint64_t position);

}  // namespace embedded

#endif  // EMBEDDED_RANDOM_H_
