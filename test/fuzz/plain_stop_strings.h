// Stop strings by their definition, over the whole text: the plain twin of text::StopMatcher.
#ifndef TEST_FUZZ_PLAIN_STOP_STRINGS_H_
#define TEST_FUZZ_PLAIN_STOP_STRINGS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fuzz {

struct PlainMatch {
  size_t index;  // of the stop string
  size_t end;    // just behind it
  size_t size;
};

inline bool EndsWith(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// The stop string that is complete first, and of those the longest, and of those the first.
inline std::optional<PlainMatch> PlainFind(std::string_view text, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    std::optional<PlainMatch> match;
    for (size_t i = 0; i < stops.size(); ++i) {
      if (EndsWith(text.substr(0, end), stops[i]) && (!match || stops[i].size() > match->size))
        match = PlainMatch{i, end, stops[i].size()};
    }
    if (match) return match;
  }
  return std::nullopt;
}

// The longest end of the text that a stop string starts with; the text holds no whole one.
inline std::string_view PlainHeld(std::string_view text, const std::vector<std::string>& stops) {
  for (size_t begin = 0; begin < text.size(); ++begin) {
    const std::string_view end = text.substr(begin);
    for (const std::string& stop : stops) {
      if (std::string_view(stop).substr(0, end.size()) == end) return end;
    }
  }
  return {};
}

}  // namespace fuzz

#endif  // TEST_FUZZ_PLAIN_STOP_STRINGS_H_
