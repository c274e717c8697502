#ifndef TEXT_ADDED_TOKENS_H_
#define TEXT_ADDED_TOKENS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "native/text/slice.h"

namespace text {

// A token that is looked for in the text before the text is cut into words.
struct AddedToken {
  int32_t id;
  std::string text;
  bool single_word;                // not where a letter, digit or underscore stands beside it
  bool strips_left, strips_right;  // takes the whitespace beside it along
};

// Finds tokens in a text: of those that begin first the longest. Immutable, so threads may share it.
class AddedTokens {
 public:
  // No text is empty or there twice. Throws TokenizerError where they take more than `max_nodes`: about one for each byte,
  // less those of endings that tokens share.
  AddedTokens(std::vector<AddedToken> tokens, size_t max_nodes);

  bool empty() const { return tokens_.empty(); }
  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  friend class AddedTokenSplitter;

  // Nodes of a trie over the texts from their last byte to their first, breadth first, so that the children of a node lie
  // side by side. With links to the longest suffix that is a node too this is the automaton of Aho and Corasick.
  // Running it backwards over a text tells at each place the longest token that begins there, so that the
  // time is linear whatever the tokens; run forwards it would only tell those that end there.
  struct Node {
    uint32_t children;  // the first one; they end where those of the next node begin
    uint32_t suffix;
    int32_t token;  // the longest that the node ends, itself or as a suffix; -1: none
  };

  uint32_t Child(uint32_t node, uint8_t byte) const;  // 0: there is none
  uint32_t Next(uint32_t node, uint8_t byte) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;            // 0 is the root; the last one only ends the children of the one before
  std::vector<uint8_t> labels_;        // of nodes_
  std::array<uint32_t, 256> roots_{};  // children of the root
  size_t longest_ = 0;
};

// Cuts a text into added tokens and what is between them, in order.
class AddedTokenSplitter {
 public:
  enum class State { kText, kToken, kPending, kEnd };
  struct Part {
    State state;
    size_t begin, end;  // of kText
    int32_t id;         // of kToken
  };

  // Both must outlive it, and what `utf8` views.
  AddedTokenSplitter(const AddedTokens& tokens, std::string_view utf8) : added_(tokens), utf8_(utf8) {}

  Part Next(Slice* slice);

 private:
  struct Found {
    size_t begin;
    int32_t token;
  };

  bool FillBlock(Slice* slice);
  size_t WhitespaceEnd(size_t at);

  const AddedTokens& added_;
  std::string_view utf8_;
  size_t text_begin_ = 0;     // of what was not given out
  size_t match_from_ = 0;     // the next token begins here or later
  std::vector<Found> found_;  // tokens that begin in the block, the last one first
  size_t block_end_ = 0;
  std::optional<size_t> scan_at_;  // while the block is filled: what is behind it was looked at
  uint32_t scan_node_ = 0;
  std::optional<int32_t> waiting_id_;         // a token whose text before it was given out
  size_t spaces_begin_ = 0, spaces_end_ = 0;  // whitespace that was looked at
};

}  // namespace text

#endif  // TEXT_ADDED_TOKENS_H_
