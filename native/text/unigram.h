#ifndef TEXT_UNIGRAM_H_
#define TEXT_UNIGRAM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "native/text/bpe.h"
#include "native/text/slice.h"

namespace text {

// The model Unigram: of all ways to write a text as tokens, the one whose scores sum up highest. Immutable, so threads may
// share it.
class Unigram {
 public:
  static constexpr size_t kMaxToken = 1024;  // bytes; how far one place of a text is looked at

  struct Settings {
    std::optional<int32_t> unk;  // for characters that no token has; neighbouring ones are one token
    bool byte_fallback = false;  // before it the bytes are tried: <0x0A>
  };

  // The id of a token is its place; of two that are called the same the last counts. No name is longer than kMaxToken.
  Unigram(const Settings& settings, const std::vector<std::string_view>& names, std::vector<double> scores);

  // Whether any number of characters may be a single token.
  bool MayShrink() const;

 private:
  friend class UnigramEncoder;

  // A trie over the names, breadth first, so that the children of a node lie side by side.
  struct Node {
    uint32_t children;  // the first one; they end where those of the next node begin
    int32_t id;         // -1: no token ends here
  };

  uint32_t Child(uint32_t node, uint8_t byte) const;  // 0: there is none
  std::optional<int32_t> Find(std::string_view name) const;

  Settings settings_;
  std::vector<double> scores_;
  double unk_score_;
  std::vector<Node> nodes_;            // 0 is the root; the last one only ends the children of the one before
  std::vector<uint8_t> labels_;        // of nodes_
  std::array<uint32_t, 256> roots_{};  // children of the root
  std::array<int32_t, 256> fallback_;  // of <0x00> to <0xFF>; -1 where there is none
  size_t longest_ = 1;                 // of the names, in bytes
};

// Encodes one piece after another, each step by step: n times the longest token at worst. Takes 16 bytes for each byte of
// text whose tokens are not certain yet, which are few.
class UnigramEncoder {
 public:
  using State = BpeEncoder::State;

  explicit UnigramEncoder(const Unigram& unigram) : unigram_(unigram) {}

  // As those of BpeEncoder.
  void Begin(std::string_view piece);
  State Continue(WordCache* cache, Slice* slice, size_t limit, std::vector<int32_t>* tokens);

 private:
  // The best way to write the text up to a place: its last token.
  struct Place {
    double score;
    uint32_t size;  // bytes of that token; 0: none ends here
    int32_t id;
  };
  static constexpr size_t kWindow = size_t{1} << 16;

  Place& PlaceAt(size_t at) { return places_[at - first_]; }
  // Offers the tokens that begin at at_ to where they end. Returns how much work it was.
  size_t ReadTokens();
  void Offer(size_t end, double score, size_t size, int32_t id);
  // The last place that the best way leads through however the text goes on.
  size_t CertainPlace();
  // Makes path_ of the way to `end`, and forgets the places before it.
  void TakePath(size_t end);
  void Append(const Place& place, std::vector<int32_t>* tokens);
  void AppendUnknown(std::vector<int32_t>* tokens);

  const Unigram& unigram_;
  std::string_view piece_;
  bool is_new_ = false;
  size_t first_token_ = 0;     // of the piece, in the tokens
  size_t at_ = 0;              // in piece_, where tokens are looked for next
  size_t first_ = 0;           // in piece_, of places_[0]
  std::vector<Place> places_;  // from first_ on, as far as tokens reach
  size_t window_ = kWindow;    // bytes from first_ to at_ at which what is certain is written
  std::vector<Place> path_;    // not in the tokens yet; the last one first
  size_t written_ = 0;         // in piece_: what is before is in the tokens, or unknown
  size_t unknown_ = 0;         // bytes before written_ that no token stands for
};

}  // namespace text

#endif  // TEXT_UNIGRAM_H_
