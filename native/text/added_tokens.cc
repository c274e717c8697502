#include "native/text/added_tokens.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "native/text/tokenizer_error.h"
#include "native/text/unicode.h"

namespace text {
namespace {

constexpr size_t kMinBlock = size_t{1} << 16;

// The byte at `depth` from the end.
uint8_t FromEnd(const std::string& text, size_t depth) { return static_cast<uint8_t>(text[text.size() - 1 - depth]); }

size_t CharacterBegin(std::string_view utf8, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && (utf8[begin] & 0xC0) == 0x80) --begin;
  return begin;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, size_t max_nodes) : tokens_(std::move(tokens)) {
  struct Range {  // of the sorted tokens that share a node
    uint32_t begin, end;
  };
  std::vector<uint32_t> sorted(tokens_.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  std::sort(sorted.begin(), sorted.end(), [&](uint32_t a, uint32_t b) {
    const std::string &left = tokens_[a].text, &right = tokens_[b].text;
    return std::lexicographical_compare(left.rbegin(), left.rend(), right.rbegin(), right.rend(), [](char x, char y) {
      return static_cast<uint8_t>(x) < static_cast<uint8_t>(y);
    });
  });
  for (const AddedToken& token : tokens_) longest_ = std::max(longest_, token.text.size());

  std::vector<Range> ranges{{0, static_cast<uint32_t>(sorted.size())}};
  nodes_.push_back({0, 0, -1});
  labels_.push_back(0);
  size_t level_begin = 0;
  for (size_t depth = 0; level_begin < nodes_.size(); ++depth) {
    const size_t level_end = nodes_.size();
    for (size_t node = level_begin; node < level_end; ++node) {
      auto [begin, end] = ranges[node - level_begin];
      nodes_[node].children = static_cast<uint32_t>(nodes_.size());
      if (begin < end && tokens_[sorted[begin]].text.size() == depth)
        nodes_[node].token = static_cast<int32_t>(sorted[begin++]);
      while (begin < end) {
        const uint8_t label = FromEnd(tokens_[sorted[begin]].text, depth);
        uint32_t same = begin;
        while (same < end && FromEnd(tokens_[sorted[same]].text, depth) == label) ++same;
        if (nodes_.size() == max_nodes)
          throw TokenizerError(TokenizerErrorKind::kFile,
                               "added_tokens have more than " + std::to_string(max_nodes) +
                                   " bytes together, common ends counted once; expected fewer");
        nodes_.push_back({0, 0, -1});
        labels_.push_back(label);
        ranges.push_back({begin, same});
        begin = same;
      }
    }
    ranges.erase(ranges.begin(), ranges.begin() + static_cast<ptrdiff_t>(level_end - level_begin));
    level_begin = level_end;
  }
  nodes_.push_back({static_cast<uint32_t>(nodes_.size()), 0, -1});

  for (uint32_t child = nodes_[0].children; child < nodes_[1].children; ++child) roots_[labels_[child]] = child;
  for (uint32_t node = 1; node + 1 < nodes_.size(); ++node) {
    for (uint32_t child = nodes_[node].children; child < nodes_[node + 1].children; ++child)
      nodes_[child].suffix = Next(nodes_[node].suffix, labels_[child]);
    if (nodes_[node].token < 0) nodes_[node].token = nodes_[nodes_[node].suffix].token;
  }
}

uint32_t AddedTokens::Child(uint32_t node, uint8_t byte) const {
  if (node == 0) return roots_[byte];
  const auto begin = labels_.begin() + nodes_[node].children, end = labels_.begin() + nodes_[node + 1].children;
  const auto found = std::lower_bound(begin, end, byte);
  return found != end && *found == byte ? static_cast<uint32_t>(found - labels_.begin()) : 0;
}

uint32_t AddedTokens::Next(uint32_t node, uint8_t byte) const {
  for (;; node = nodes_[node].suffix) {
    const uint32_t child = Child(node, byte);
    if (child != 0 || node == 0) return child;
  }
}

// Scans from behind the block, as far as a token that begins in it may reach, back to its begin.
bool AddedTokenSplitter::FillBlock(Slice* slice) {
  const size_t block = std::max(kMinBlock, added_.longest_);
  const size_t begin = block_end_;
  const size_t end = std::min(utf8_.size(), begin + block);
  if (!scan_at_) {
    scan_at_ = std::min(utf8_.size(), end + added_.longest_);
    scan_node_ = 0;
    found_.clear();
  }
  size_t& at = *scan_at_;
  while (at > begin) {
    const size_t stop = std::max(begin, at - std::min<size_t>(at, 4096));
    const size_t bytes = at - stop;
    while (at > stop) {
      --at;
      scan_node_ = added_.Next(scan_node_, static_cast<uint8_t>(utf8_[at]));
      const int32_t token = added_.nodes_[scan_node_].token;
      if (token >= 0 && at < end) found_.push_back({at, token});
    }
    if (slice->IsOver(bytes) && at > begin) return false;
  }
  scan_at_.reset();
  block_end_ = end;
  return true;
}

size_t AddedTokenSplitter::WhitespaceEnd(size_t at) {
  if (at >= spaces_begin_ && at < spaces_end_) return spaces_end_;  // so that a run is read once
  spaces_begin_ = at;
  while (at < utf8_.size()) {
    const Utf8Character character = CharacterAt(utf8_, at);
    if (!IsWhitespace(character.code)) break;
    at += character.size;
  }
  return spaces_end_ = at;
}

AddedTokenSplitter::Part AddedTokenSplitter::Next(Slice* slice) {
  if (waiting_id_) {
    const int32_t id = *waiting_id_;
    waiting_id_.reset();
    return {State::kToken, 0, 0, id};
  }
  if (added_.empty()) block_end_ = utf8_.size();
  for (;;) {
    while (!scan_at_ && !found_.empty()) {
      const auto [begin, index] = found_.back();
      found_.pop_back();
      if (begin < match_from_) continue;
      const AddedToken& token = added_.tokens_[static_cast<size_t>(index)];
      size_t first = begin, last = begin + token.text.size();
      match_from_ = last;
      if (token.single_word) {
        if (first > 0 && IsWord(CharacterAt(utf8_, CharacterBegin(utf8_, first)).code)) continue;
        if (last < utf8_.size() && IsWord(CharacterAt(utf8_, last).code)) continue;
      }
      if (token.strips_left) {
        while (first > text_begin_) {
          const size_t previous = CharacterBegin(utf8_, first);
          if (!IsWhitespace(CharacterAt(utf8_, previous).code)) break;
          first = previous;
        }
        first = std::max(first, text_begin_);
      }
      if (token.strips_right) last = WhitespaceEnd(last);
      if (first > last) continue;  // inside of the whitespace that another took along
      const size_t text_begin = std::exchange(text_begin_, last);
      if (first == last) continue;
      if (text_begin < first) {
        waiting_id_ = token.id;
        return {State::kText, text_begin, first, 0};
      }
      return {State::kToken, 0, 0, token.id};
    }
    if (block_end_ == utf8_.size()) break;
    if (!FillBlock(slice)) return {State::kPending, 0, 0, 0};
  }
  if (text_begin_ == utf8_.size()) return {State::kEnd, 0, 0, 0};
  return {State::kText, std::exchange(text_begin_, utf8_.size()), utf8_.size(), 0};
}

}  // namespace text
