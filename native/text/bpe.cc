#include "native/text/bpe.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "native/text/byte_level.h"
#include "native/text/hash.h"
#include "native/text/long_word.h"
#include "native/text/tokenizer_error.h"
#include "native/text/unicode.h"

namespace text {

Bpe::Bpe(const Settings& settings, TokenIds ids, const std::vector<Merge>& merges, std::vector<uint32_t> ties)
    : settings_(settings), ids_(std::move(ids)), multiplier_(HashSeed()), ties_(std::move(ties)) {
  for (int byte = 0; byte < 256; ++byte) {
    const char character = static_cast<char>(byte);
    const bool is_symbol = settings_.alphabet == Alphabet::kBytes || byte < 0x80;
    bytes_[byte] = is_symbol ? ids_.Find({&character, 1}).value_or(-1) : -1;
    char name[7];
    std::snprintf(name, sizeof(name), "<0x%02X>", byte);
    fallback_[byte] = settings_.byte_fallback ? ids_.Find(name).value_or(-1) : -1;
  }
  if (settings_.alphabet == Alphabet::kCharacters) {
    characters_.assign(0x10000, -1);
    ids_.ForEach([&](std::string_view name, int32_t id) {
      if (name.empty()) return;
      const Utf8Character character = CharacterAt(name, 0);
      if (character.size == name.size() && character.code < characters_.size()) characters_[character.code] = id;
    });
  }
  if (!settings_.unk_token.empty()) unk_ = ids_.Find(settings_.unk_token);

  size_t slots = 4;
  for (; slots < 2 * merges.size(); slots *= 2) --slot_shift_;
  slots_.assign(slots, kEmpty);
  joined_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto [left, right, joined] = merges[rank];
    const uint64_t pair = PairOf(left, right);
    size_t slot = SlotOf(pair);
    while (slots_[slot] != kEmpty && slots_[slot] >> 22 != pair) slot = (slot + 1) & (slots - 1);
    slots_[slot] = pair << 22 | rank;
    joined_.push_back(joined);
  }
  MarkJoints(merges);
}

// A token's edges are the symbols that its name begins and ends with. Only symbols that no character of a name stands for,
// unk_token and the bytes of a fallback, are joined at other edges, and no real file has such merges.
void Bpe::MarkJoints(const std::vector<Merge>& merges) {
  struct Edges {
    int32_t first = -1, last = -1;
  };
  int32_t largest = 0;
  ids_.ForEach([&](std::string_view, int32_t id) { largest = std::max(largest, id); });
  std::vector<Edges> edges(static_cast<size_t>(largest) + 1);
  std::vector<bool> is_odd(edges.size());
  ids_.ForEach([&](std::string_view name, int32_t id) {
    if (name.empty()) return;
    const bool is_bytes = settings_.alphabet == Alphabet::kBytes;
    size_t last = name.size() - 1;
    while (!is_bytes && last > 0 && (name[last] & 0xC0) == 0x80) --last;
    edges[id] = {SymbolOf(name.substr(0, is_bytes ? 1 : CharacterAt(name, 0).size)), SymbolOf(name.substr(last))};
  });
  if (unk_) is_odd[*unk_] = true;
  for (const int32_t id : fallback_)
    if (id >= 0) is_odd[id] = true;
  ids_.ForEach([&](std::string_view name, int32_t) { longest_ = std::max(longest_, name.size()); });
  joints_.assign((size_t{1} << kJointBits) / 64, 0);
  for (const Merge& merge : merges) {
    if (is_odd[merge.left] || is_odd[merge.right]) {
      std::fill(joints_.begin(), joints_.end(), UINT64_MAX);
      return;
    }
    const int32_t left = edges[merge.left].last, right = edges[merge.right].first;
    if (left < 0 || right < 0) continue;  // no text has symbols for such a token
    const size_t joint = Joint(left, right);
    joints_[joint / 64] |= uint64_t{1} << joint % 64;
  }
}

int32_t Bpe::SymbolOf(std::string_view character) const {
  const auto first = static_cast<uint8_t>(character[0]);
  if (settings_.alphabet == Alphabet::kBytes || first < 0x80) return bytes_[first];
  const char32_t code = CharacterAt(character, 0).code;
  if (code < characters_.size()) return characters_[code];
  return ids_.Find(character).value_or(-1);
}

bool Bpe::MayShrink() const {
  const auto are_all_there = [](const std::array<int32_t, 256>& ids) {
    for (int byte = 0; byte < 256; ++byte) {
      const bool is_in_utf8 = byte != 0xC0 && byte != 0xC1 && byte < 0xF5;
      if (is_in_utf8 && ids[byte] < 0) return false;
    }
    return true;
  };
  if (settings_.alphabet == Alphabet::kBytes && are_all_there(bytes_)) return false;
  if (settings_.byte_fallback && are_all_there(fallback_)) return false;
  return settings_.unk_token.empty() || settings_.fuse_unk;
}

WordCache::WordCache() : seed_(HashSeed()), entries_(size_t{1} << 13) {}

size_t WordCache::Place(std::string_view word, Kind kind) const {
  return (Hash(word, seed_) + static_cast<size_t>(kind)) % entries_.size();
}

bool WordCache::Find(std::string_view word, Kind kind, std::vector<int32_t>* tokens) const {
  const Entry& entry = entries_[Place(word, kind)];
  if (entry.kind != kind || entry.size != word.size() || std::memcmp(entry.bytes, word.data(), word.size()) != 0)
    return false;
  tokens->insert(tokens->end(), entry.tokens, entry.tokens + entry.count);
  return true;
}

void WordCache::Add(std::string_view word, Kind kind, const std::vector<int32_t>& tokens, size_t first) {
  const size_t count = tokens.size() - first;
  if (count > kMaxTokens) return;
  Entry& entry = entries_[Place(word, kind)];
  entry.kind = kind;
  entry.size = static_cast<uint8_t>(word.size());
  entry.count = static_cast<uint8_t>(count);
  std::memcpy(entry.bytes, word.data(), word.size());
  std::copy(tokens.begin() + static_cast<ptrdiff_t>(first), tokens.end(), entry.tokens);
}

BpeEncoder::BpeEncoder(const Bpe& bpe)
    : bpe_(bpe), part_(bpe.settings_.ignore_merges ? WordCache::Kind::kPart : WordCache::Kind::kPiece) {}

BpeEncoder::~BpeEncoder() = default;

void BpeEncoder::Begin(std::string_view piece) {
  piece_ = piece;
  phase_ = Phase::kPiece;
  at_ = 0;
  next_.clear();
  next_at_ = 0;
  unk_waits_ = false;
  word_.clear();
  long_word_.reset();
}

BpeEncoder::State BpeEncoder::Continue(WordCache* cache, Slice* slice, size_t limit, std::vector<int32_t>* tokens) {
  limit_ = limit;
  const auto over_limit = [&] { return tokens->size() > limit; };
  if (phase_ == Phase::kPiece) {
    first_token_ = tokens->size();
    phase_ = Phase::kDone;
    if (bpe_.settings_.ignore_merges) {
      if (const auto id = bpe_.ids_.Find(piece_)) {
        tokens->push_back(*id);
        return over_limit() ? State::kFull : State::kDone;
      }
    }
    if (piece_.size() <= WordCache::kMaxBytes && cache->Find(piece_, WordCache::Kind::kPiece, tokens))
      return over_limit() ? State::kFull : State::kDone;
    phase_ = Phase::kSymbols;
  }
  while (phase_ != Phase::kDone) {
    if (over_limit()) return State::kFull;
    if (long_word_) {
      if (!long_word_may_fit_) return State::kFull;
      if (!long_word_->Continue(slice, tokens)) return over_limit() ? State::kFull : State::kPending;
      long_word_.reset();
    } else if (next_at_ < next_.size()) {
      if (Append(next_[next_at_], Source::kOther, cache, tokens) && ++next_at_ == next_.size())
        next_.clear(), next_at_ = 0;
    } else if (at_ < piece_.size()) {
      const auto first = static_cast<uint8_t>(piece_[at_]);
      const bool is_byte = bpe_.settings_.alphabet == Bpe::Alphabet::kBytes || first < 0x80;
      const std::string_view character = piece_.substr(at_, is_byte ? 1 : CharacterAt(piece_, at_).size);
      const int32_t symbol = bpe_.SymbolOf(character);
      if (symbol < 0 || unk_waits_) {
        ReadOdd(symbol, character);
      } else if (Append(symbol, Source::kCharacter, cache, tokens)) {
        word_end_ = at_ + character.size();
      } else {
        continue;
      }
      at_ += character.size();
      if (slice->IsOver(character.size())) return over_limit() ? State::kFull : State::kPending;
    } else if (unk_waits_) {
      unk_waits_ = false;
      next_.assign(1, *bpe_.unk_);
      next_at_ = 0;
    } else if (word_.empty() || EndWord(cache, tokens)) {
      phase_ = Phase::kDone;
    }
  }
  if (over_limit()) return State::kFull;
  if (piece_.size() <= WordCache::kMaxBytes) cache->Add(piece_, WordCache::Kind::kPiece, *tokens, first_token_);
  return State::kDone;
}

bool BpeEncoder::Append(int32_t symbol, Source source, WordCache* cache, std::vector<int32_t>* tokens) {
  if (!word_.empty() && !bpe_.MayJoin(word_.back(), symbol) && !EndWord(cache, tokens)) return false;
  if (word_.empty()) {
    word_begin_ = at_;
    word_is_text_ = true;
  }
  word_is_text_ = word_is_text_ && source == Source::kCharacter;
  word_.push_back(symbol);
  return true;
}

// The order is that of Hugging Face tokenizers: bytes of a fallback overtake an unk_token that waits to be fused.
void BpeEncoder::ReadOdd(int32_t symbol, std::string_view character) {
  next_.clear();
  next_at_ = 0;
  if (symbol >= 0) {
    next_.push_back(*bpe_.unk_);
    next_.push_back(symbol);
    unk_waits_ = false;
    return;
  }
  std::string name(character);
  if (bpe_.settings_.alphabet == Bpe::Alphabet::kBytes) {
    name.clear();
    AppendUtf8(ByteLevelCharacter(static_cast<uint8_t>(character[0])), &name);
  }
  for (const char byte : name) next_.push_back(bpe_.fallback_[static_cast<uint8_t>(byte)]);
  if (std::find(next_.begin(), next_.end(), -1) == next_.end()) return;
  next_.clear();
  if (bpe_.settings_.unk_token.empty()) return;
  if (!bpe_.unk_)
    throw TokenizerError(TokenizerErrorKind::kFile, "model.unk_token is \"" + bpe_.settings_.unk_token +
                                                        "\"; expected a token of model.vocab, because the text has a "
                                                        "character that no token stands for.");
  if (unk_waits_ && !bpe_.settings_.fuse_unk) next_.push_back(*bpe_.unk_);
  unk_waits_ = true;
}

bool BpeEncoder::EndWord(WordCache* cache, std::vector<int32_t>* tokens) {
  if (word_.size() > kShortWord) {
    long_word_may_fit_ = word_.size() / bpe_.longest_ <= limit_ - tokens->size();
    long_word_ = std::make_unique<LongWord>(bpe_, std::exchange(word_, {}));
    return false;
  }
  const std::string_view bytes = word_is_text_ ? piece_.substr(word_begin_, word_end_ - word_begin_) : "";
  const bool is_cached =
      word_is_text_ && word_.size() > 2 && bytes.size() <= WordCache::kMaxBytes && bytes.size() < piece_.size();
  if (!is_cached || !cache->Find(bytes, part_, tokens)) {
    const size_t from = tokens->size();
    MergeShort(tokens);
    if (is_cached) cache->Add(bytes, part_, *tokens, from);
  }
  word_.clear();
  return true;
}

void BpeEncoder::MergeShort(std::vector<int32_t>* tokens) {
  uint32_t ranks[kShortWord];  // of a symbol with the one behind it
  size_t count = word_.size();
  for (size_t i = 0; i + 1 < count; ++i) ranks[i] = bpe_.RankOf(word_[i], word_[i + 1]);
  while (count > 1) {
    const uint32_t* const first = bpe_.ties_.empty()
                                      ? std::min_element(ranks, ranks + count - 1)
                                      : std::min_element(ranks, ranks + count - 1, [&](uint32_t a, uint32_t b) {
                                          return bpe_.OrderOf(a) < bpe_.OrderOf(b);
                                        });
    const auto best = static_cast<size_t>(first - ranks);
    if (ranks[best] == Bpe::kNoRank) break;
    word_[best] = bpe_.joined_[ranks[best]];
    --count;
    std::memmove(&word_[best + 1], &word_[best + 2], (count - best - 1) * sizeof(word_[0]));
    std::memmove(&ranks[best], &ranks[best + 1], (count - best - 1) * sizeof(ranks[0]));
    if (best > 0) ranks[best - 1] = bpe_.RankOf(word_[best - 1], word_[best]);
    if (best + 1 < count) ranks[best] = bpe_.RankOf(word_[best], word_[best + 1]);
  }
  tokens->insert(tokens->end(), word_.begin(), word_.begin() + static_cast<ptrdiff_t>(count));
}

}  // namespace text
