#include "native/text/stop_strings.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace text {

StopStrings::StopStrings(std::vector<std::string> strings) {
  patterns_.reserve(strings.size());
  for (std::string& string : strings) {
    if (string.empty()) throw std::invalid_argument("A stop string is empty; expected text.");
    starts_[static_cast<uint8_t>(string.front())] = true;
    std::vector<uint32_t> border(string.size(), 0);
    for (size_t i = 1; i < string.size(); ++i) {
      uint32_t size = border[i - 1];
      while (size > 0 && string[size] != string[i]) size = border[size - 1];
      border[i] = size + (string[size] == string[i] ? 1 : 0);
    }
    patterns_.push_back({std::move(string), std::move(border)});
  }
}

StopMatcher::StopMatcher(const StopStrings& strings) : strings_(&strings), matched_(strings.patterns_.size(), 0) {}

std::optional<StopMatcher::Match> StopMatcher::Scan(std::string_view text) {
  for (size_t at = 0; at < text.size(); ++at) {
    const char byte = text[at];
    if (held().empty() && !strings_->starts_[static_cast<uint8_t>(byte)]) continue;
    std::optional<Match> match;
    longest_ = 0;
    for (size_t i = 0; i < matched_.size(); ++i) {
      const auto& [pattern, border] = strings_->patterns_[i];
      uint32_t size = matched_[i];
      while (size > 0 && pattern[size] != byte) size = border[size - 1];
      if (pattern[size] == byte) ++size;
      matched_[i] = size;
      if (size > matched_[longest_]) longest_ = i;
      if (size == pattern.size() && (!match || size > match->size)) match = Match{i, at + 1, size};
    }
    if (match) return match;
  }
  return std::nullopt;
}

void StopMatcher::Skip(std::string_view text) {
  while (const auto match = Scan(text)) {
    text.remove_prefix(match->end);
    for (size_t i = 0; i < matched_.size(); ++i) {
      const auto& [pattern, border] = strings_->patterns_[i];
      if (matched_[i] == pattern.size()) matched_[i] = border.back();
    }
    longest_ = static_cast<size_t>(std::max_element(matched_.begin(), matched_.end()) - matched_.begin());
  }
}

std::string_view StopMatcher::held() const {
  if (matched_.empty()) return {};
  return std::string_view(strings_->patterns_[longest_].text).substr(0, matched_[longest_]);
}

}  // namespace text
