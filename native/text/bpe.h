#ifndef TEXT_BPE_H_
#define TEXT_BPE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "native/text/slice.h"
#include "native/text/token_ids.h"

namespace text {

constexpr int32_t kMaxTokenId = (1 << 21) - 1;  // far above any vocabulary; three fit the 64 bits of a merge
constexpr size_t kMaxMerges = (1 << 22) - 1;

// The model byte pair encoding: starts from a word's symbols, and joins the two neighbours whose merge ranks lowest, the
// leftmost of equals, until no merge fits. Immutable, so threads may share it.
class Bpe {
 public:
  enum class Alphabet {
    kCharacters,
    kBytes,  // names and words are the bytes that GPT-2's characters stand for
  };
  struct Settings {
    Alphabet alphabet = Alphabet::kCharacters;
    std::string unk_token;       // for a character that no token has; empty: such a character is dropped
    bool fuse_unk = false;       // neighbouring ones are one token
    bool byte_fallback = false;  // before unk_token the bytes are tried: <0x0A>
    bool ignore_merges = false;  // a word that is a token is that token, whatever the merges
  };
  struct Merge {
    int32_t left, right, joined;
  };

  // `ids` by name and `merges` by rank; of a pair that is there twice the last rank counts. Each id has one name.
  // `ties`: by merge, a number that rises with it and is the same for merges that rank alike; empty if none do.
  Bpe(const Settings& settings, TokenIds ids, const std::vector<Merge>& merges, std::vector<uint32_t> ties = {});

  const Settings& settings() const { return settings_; }
  // Whether some character leaves no trace in the tokens, or any number of them a single token.
  bool MayShrink() const;

 private:
  friend class BpeEncoder;
  friend class LongWord;

  struct Rule {
    uint32_t rank;
    int32_t joined;
  };
  static constexpr uint32_t kNoRank = UINT32_MAX;
  static constexpr uint64_t kEmpty = UINT64_MAX;
  static constexpr uint32_t kJointBits = 20;

  void MarkJoints(const std::vector<Merge>& merges);
  // The id of a symbol; -1 where no token is called so.
  int32_t SymbolOf(std::string_view character) const;
  static uint64_t PairOf(int32_t left, int32_t right) {
    return static_cast<uint64_t>(left) << 21 | static_cast<uint64_t>(right);
  }
  size_t SlotOf(uint64_t pair) const { return Hashed(pair) >> slot_shift_; }
  uint64_t Hashed(uint64_t pair) const { return (pair ^ (pair >> 32)) * multiplier_; }
  uint32_t RankOf(int32_t left, int32_t right) const {
    const uint64_t pair = PairOf(left, right);
    for (size_t slot = SlotOf(pair);; slot = (slot + 1) & (slots_.size() - 1)) {
      if (slots_[slot] == kEmpty) return kNoRank;
      if (slots_[slot] >> 22 == pair) return static_cast<uint32_t>(slots_[slot] & kMaxMerges);
    }
  }
  // What orders merges: their ranks, or what they share where some rank alike.
  uint32_t OrderOf(uint32_t rank) const { return ties_.empty() || rank == kNoRank ? rank : ties_[rank]; }
  size_t Joint(int32_t left, int32_t right) const { return Hashed(PairOf(left, right)) >> (64 - kJointBits); }
  // Whether some merge could ever join a token that ends in the symbol `left` with one that begins with `right`. Where
  // none can, the word may be cut before the merges, and the tokens are the same.
  bool MayJoin(int32_t left, int32_t right) const {
    const size_t joint = Joint(left, right);
    return (joints_[joint / 64] >> joint % 64 & 1) != 0;
  }

  Settings settings_;
  TokenIds ids_;
  uint64_t multiplier_;
  std::vector<uint64_t> slots_;        // left id, right id and rank, of 21, 21 and 22 bits
  int slot_shift_ = 62;                // of slots_.size() slots
  std::vector<int32_t> joined_;        // by rank
  std::vector<uint32_t> ties_;         // by rank, or empty
  std::vector<uint64_t> joints_;       // a bit for each hash of two symbols
  std::array<int32_t, 256> bytes_;     // kBytes: of each byte; kCharacters: of the ASCII ones
  std::vector<int32_t> characters_;    // kCharacters: those of the basic plane
  std::array<int32_t, 256> fallback_;  // of <0x00> to <0xFF>; -1 where there is none
  std::optional<int32_t> unk_;
  size_t longest_ = 1;  // of the names, in bytes, and so of the tokens in symbols
};

// The tokens of short words that were seen lately, half a megabyte of them. Not for two threads at once.
class WordCache {
 public:
  static constexpr size_t kMaxBytes = 28;
  static constexpr size_t kMaxTokens = 8;
  enum class Kind : uint8_t { kNone, kPiece, kPart };

  WordCache();

  bool Find(std::string_view word, Kind kind, std::vector<int32_t>* tokens) const;
  // The tokens are those from `first` on; more than kMaxTokens are not kept.
  void Add(std::string_view word, Kind kind, const std::vector<int32_t>& tokens, size_t first);

 private:
  struct Entry {
    Kind kind;
    uint8_t size, count;
    char bytes[kMaxBytes];
    int32_t tokens[kMaxTokens];
  };
  size_t Place(std::string_view word, Kind kind) const;

  uint64_t seed_;
  std::vector<Entry> entries_;  // a word has one place, and the last one there stays
};

class LongWord;

// Encodes one piece after another, each step by step.
class BpeEncoder {
 public:
  enum class State { kDone, kPending, kFull };

  explicit BpeEncoder(const Bpe& bpe);
  ~BpeEncoder();

  // `piece` is seen until it is done.
  void Begin(std::string_view piece);
  // Appends tokens. kPending where the slice is over; kFull where there are, or will be, more than `limit`, after which only Begin may
  // follow. Throws TokenizerError where unk_token is needed and is no token.
  State Continue(WordCache* cache, Slice* slice, size_t limit, std::vector<int32_t>* tokens);

 private:
  static constexpr size_t kShortWord = 64;  // symbols; the plain way is the faster one for them
  enum class Phase { kPiece, kSymbols, kDone };

  enum class Source { kCharacter, kOther };
  // Adds a symbol to the word: of the character at at_, or one that stands for none. False where the word ends before it
  // and is so long that it has to be merged first.
  bool Append(int32_t symbol, Source source, WordCache* cache, std::vector<int32_t>* tokens);
  // Reads a character that is no symbol, or comes behind one that is none, into next_.
  void ReadOdd(int32_t symbol, std::string_view character);
  bool EndWord(WordCache* cache, std::vector<int32_t>* tokens);
  void MergeShort(std::vector<int32_t>* tokens);

  const Bpe& bpe_;
  const WordCache::Kind
      part_;  // of a part of a piece: under ignore_merges it may have other tokens than a piece of the same text

  std::string_view piece_;
  Phase phase_ = Phase::kDone;
  size_t at_ = 0;              // in piece_, of the next character
  size_t first_token_ = 0;     // of the piece, in the tokens
  std::vector<int32_t> next_;  // symbols that come before that character
  size_t next_at_ = 0;
  bool unk_waits_ = false;                // unk_token comes next, once it is known that no other is fused with it
  std::vector<int32_t> word_;             // symbols
  size_t word_begin_ = 0, word_end_ = 0;  // in piece_
  bool word_is_text_ = true;              // its symbols are the characters from word_begin_
  size_t limit_ = 0;
  bool long_word_may_fit_ = true;
  std::unique_ptr<LongWord> long_word_;  // one that is being merged, before word_
};

}  // namespace text

#endif  // TEXT_BPE_H_
