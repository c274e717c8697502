// Kept KV blocks by what comes before them: which one begins like the rest of a prompt?
#ifndef EMBEDDED_NEXT_BLOCKS_H_
#define EMBEDDED_NEXT_BLOCKS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "native/embedded/block_key.h"

namespace embedded {

// Holds the tokens of each block once. A look-up costs a logarithm of the blocks, however many begin alike.
class NextBlocks {
  struct Place {
    BlockKey before;
    std::vector<int32_t> tokens;
  };
  // The same, borrowed.
  struct Prompt {
    const BlockKey& before;
    const int32_t* tokens;
    size_t count;
  };
  struct Less {
    using is_transparent = void;
    static Prompt Of(const Place& place) { return {place.before, place.tokens.data(), place.tokens.size()}; }
    static const Prompt& Of(const Prompt& prompt) { return prompt; }
    static bool Compare(const Prompt& a, const Prompt& b);
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Compare(Of(a), Of(b));
    }
  };
  using Blocks = std::map<Place, int, Less>;

 public:
  using Iterator = Blocks::iterator;
  struct Match {
    int block;
    size_t tokens;  // at its start
    bool is_whole;  // it has no others
  };

  // No other block has these tokens after `before`.
  Iterator Add(const BlockKey& before, std::vector<int32_t> tokens, int block) {
    return blocks_.emplace(Place{before, std::move(tokens)}, block).first;
  }
  // Gives the block's tokens.
  std::vector<int32_t> Remove(Iterator place) { return std::move(blocks_.extract(place).key().tokens); }
  // The block after `before` that has the most of these tokens at its start, if one has any.
  std::optional<Match> Find(const BlockKey& before, const int32_t* tokens, size_t count) const;

 private:
  Blocks blocks_;
};

}  // namespace embedded

#endif  // EMBEDDED_NEXT_BLOCKS_H_
