#include "native/text/unigram.h"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <numeric>
#include <utility>

#include "native/text/tokenizer_error.h"
#include "native/text/unicode.h"

namespace text {
namespace {

constexpr double kUnkPenalty = 10;  // below the lowest score

}  // namespace

Unigram::Unigram(const Settings& settings, const std::vector<std::string_view>& names, std::vector<double> scores)
    : settings_(settings), scores_(std::move(scores)) {
  unk_score_ = std::accumulate(scores_.begin(), scores_.end(), std::numeric_limits<double>::infinity(),
                               [](double a, double b) { return std::min(a, b); }) -
               kUnkPenalty;
  struct Range {  // of the sorted names that share a node
    uint32_t begin, end;
  };
  std::vector<uint32_t> sorted(names.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  std::stable_sort(sorted.begin(), sorted.end(), [&](uint32_t a, uint32_t b) { return names[a] < names[b]; });
  const auto byte_at = [&](uint32_t index, size_t depth) { return static_cast<uint8_t>(names[sorted[index]][depth]); };

  for (const std::string_view name : names) longest_ = std::max(longest_, name.size());

  std::vector<Range> ranges{{0, static_cast<uint32_t>(sorted.size())}};
  nodes_.push_back({0, -1});
  labels_.push_back(0);
  size_t level_begin = 0;
  for (size_t depth = 0; level_begin < nodes_.size(); ++depth) {
    const size_t level_end = nodes_.size();
    std::vector<Range> next;
    for (size_t node = level_begin; node < level_end; ++node) {
      auto [begin, end] = ranges[node - level_begin];
      nodes_[node].children = static_cast<uint32_t>(nodes_.size());
      for (; begin < end && names[sorted[begin]].size() == depth; ++begin)
        nodes_[node].id = static_cast<int32_t>(sorted[begin]);
      while (begin < end) {
        const uint8_t label = byte_at(begin, depth);
        uint32_t same = begin;
        while (same < end && byte_at(same, depth) == label) ++same;
        nodes_.push_back({0, -1});
        labels_.push_back(label);
        next.push_back({begin, same});
        begin = same;
      }
    }
    ranges = std::move(next);
    level_begin = level_end;
  }
  nodes_.push_back({static_cast<uint32_t>(nodes_.size()), -1});
  for (uint32_t child = nodes_[0].children; child < nodes_[1].children; ++child) roots_[labels_[child]] = child;

  for (int byte = 0; byte < 256; ++byte) {
    char name[7];
    std::snprintf(name, sizeof(name), "<0x%02X>", byte);
    fallback_[byte] = settings_.byte_fallback ? Find(name).value_or(-1) : -1;
  }
}

uint32_t Unigram::Child(uint32_t node, uint8_t byte) const {
  if (node == 0) return roots_[byte];
  const auto begin = labels_.begin() + nodes_[node].children, end = labels_.begin() + nodes_[node + 1].children;
  const auto found = std::lower_bound(begin, end, byte);
  return found != end && *found == byte ? static_cast<uint32_t>(found - labels_.begin()) : 0;
}

std::optional<int32_t> Unigram::Find(std::string_view name) const {
  if (name.size() > kMaxToken) return std::nullopt;
  uint32_t node = 0;
  for (const char byte : name) {
    node = Child(node, static_cast<uint8_t>(byte));
    if (node == 0) return std::nullopt;
  }
  return nodes_[node].id < 0 ? std::nullopt : std::optional<int32_t>(nodes_[node].id);
}

bool Unigram::MayShrink() const {
  for (int byte = 0; byte < 256; ++byte) {
    const bool is_in_utf8 = byte != 0xC0 && byte != 0xC1 && byte < 0xF5;
    if (is_in_utf8 && fallback_[byte] < 0) return true;
  }
  return false;
}

void UnigramEncoder::Begin(std::string_view piece) {
  piece_ = piece;
  is_new_ = true;
  at_ = first_ = written_ = unknown_ = 0;
  places_.assign(1, {0, 0, -1});
  window_ = kWindow;
  path_.clear();
}

UnigramEncoder::State UnigramEncoder::Continue(WordCache* cache, Slice* slice, size_t limit,
                                               std::vector<int32_t>* tokens) {
  const auto over_limit = [&] { return tokens->size() > limit; };
  if (is_new_) {
    is_new_ = false;
    first_token_ = tokens->size();
    if (piece_.size() <= WordCache::kMaxBytes && cache->Find(piece_, WordCache::Kind::kPiece, tokens))
      return over_limit() ? State::kFull : State::kDone;
  }
  while (written_ < piece_.size()) {
    if (!path_.empty()) {
      Append(path_.back(), tokens);
      path_.pop_back();
      if (over_limit()) return State::kFull;
      if (slice->IsOver(1)) return State::kPending;
      continue;
    }
    size_t work = 0;
    while (at_ < piece_.size() && at_ - first_ < window_ && work < 256) work += ReadTokens();
    if (at_ == piece_.size()) {
      TakePath(at_);
    } else if (at_ - first_ >= window_) {
      work += places_.size();
      TakePath(CertainPlace());
      window_ = kWindow + 2 * (at_ - first_);
    }
    if (slice->IsOver(work)) return State::kPending;
  }
  AppendUnknown(tokens);
  if (over_limit()) return State::kFull;
  if (piece_.size() <= WordCache::kMaxBytes) cache->Add(piece_, WordCache::Kind::kPiece, *tokens, first_token_);
  return State::kDone;
}

size_t UnigramEncoder::ReadTokens() {
  const size_t begin = at_;
  const double score = PlaceAt(begin).score;
  const size_t first = CharacterAt(piece_, begin).size;
  const size_t reach = std::min(piece_.size() - begin, std::max(first, unigram_.longest_));
  if (places_.size() <= begin - first_ + reach) places_.resize(begin - first_ + reach + 1, {0, 0, -1});
  bool is_known = false;
  size_t read = 0;
  for (uint32_t node = 0; read < reach;) {
    node = unigram_.Child(node, static_cast<uint8_t>(piece_[begin + read]));
    if (node == 0) break;
    ++read;
    const int32_t id = unigram_.nodes_[node].id;
    if (id < 0) continue;
    Offer(begin + read, score + unigram_.scores_[static_cast<size_t>(id)], read, id);
    is_known = is_known || read == first;
  }
  if (!is_known) {
    if (!unigram_.settings_.unk)
      throw TokenizerError(TokenizerErrorKind::kFile,
                           "model.unk_id is missing; expected the id of a token, because the text has a character that "
                           "no token stands for.");
    Offer(begin + first, score + unigram_.unk_score_, first, *unigram_.settings_.unk);
  }
  at_ += first;
  return read + 1;
}

void UnigramEncoder::Offer(size_t end, double score, size_t size, int32_t id) {
  Place& place = PlaceAt(end);
  if (place.size == 0 || score > place.score) place = {score, static_cast<uint32_t>(size), id};
}

// The places that tokens reach are followed back, always the last one of them, until they are all the same.
size_t UnigramEncoder::CertainPlace() {
  std::vector<bool> is_open(places_.size());
  size_t open = 0;
  for (size_t i = at_ - first_; i < places_.size(); ++i) {
    is_open[i] = places_[i].size > 0;
    open += is_open[i] ? 1 : 0;
  }
  for (size_t i = places_.size() - 1;; --i) {
    if (!is_open[i]) continue;
    if (open == 1) return first_ + i;
    const size_t before = i - places_[i].size;
    if (is_open[before]) --open;
    is_open[before] = true;
  }
}

void UnigramEncoder::TakePath(size_t end) {
  for (size_t at = end; at > first_; at -= PlaceAt(at).size) path_.push_back(PlaceAt(at));
  places_.erase(places_.begin(), places_.begin() + static_cast<std::ptrdiff_t>(end - first_));
  first_ = end;
}

void UnigramEncoder::Append(const Place& place, std::vector<int32_t>* tokens) {
  if (place.id == unigram_.settings_.unk) {
    unknown_ += place.size;
  } else {
    AppendUnknown(tokens);
    tokens->push_back(place.id);
  }
  written_ += place.size;
}

void UnigramEncoder::AppendUnknown(std::vector<int32_t>* tokens) {
  if (unknown_ == 0) return;
  const std::string_view unknown = piece_.substr(written_ - unknown_, unknown_);
  unknown_ = 0;
  const std::array<int32_t, 256>& fallback = unigram_.fallback_;
  if (const auto id = unigram_.Find(unknown)) {
    tokens->push_back(*id);
  } else if (std::all_of(unknown.begin(), unknown.end(),
                         [&](char byte) { return fallback[static_cast<uint8_t>(byte)] >= 0; })) {
    for (const char byte : unknown) tokens->push_back(fallback[static_cast<uint8_t>(byte)]);
  } else {
    tokens->push_back(*unigram_.settings_.unk);
  }
}

}  // namespace text
