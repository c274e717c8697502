#ifndef TEXT_STOP_STRINGS_H_
#define TEXT_STOP_STRINGS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace text {

// The stop strings of a request. Immutable; shared by its sequences.
class StopStrings {
 public:
  // Valid UTF-8, none empty; throws std::invalid_argument for an empty one.
  explicit StopStrings(std::vector<std::string> strings);

 private:
  friend class StopMatcher;
  struct Pattern {
    std::string text;
    std::vector<uint32_t> border;  // [text.size()] length of the longest proper border of text[0, i + 1)
  };
  std::vector<Pattern> patterns_;
  std::array<bool, 256> starts_{};  // the bytes that a pattern starts with
};

// Looks for stop strings in the text of one sequence (Knuth-Morris-Pratt, one state for each string).
// `strings` must outlive it.
class StopMatcher {
 public:
  explicit StopMatcher(const StopStrings& strings);

  struct Match {
    size_t index;  // of the stop string
    size_t end;    // just behind it, in the bytes of this Scan
    size_t size;   // bytes of the stop string; more than `end` if it began in an earlier Scan
  };
  // The stop string that is complete first; of those complete at the same byte the longest, so that no part of a stop
  // string is ever left in the text. How the text is cut into calls makes no difference. Not called after a match.
  std::optional<Match> Scan(std::string_view text);

  // Goes over text in which no stop string may end; one may begin in it.
  void Skip(std::string_view text);

  // The longest end of the text so far that a stop string starts with.
  std::string_view held() const;

 private:
  const StopStrings* strings_;
  std::vector<uint32_t> matched_;  // [strings] how many bytes of each the text ends with
  size_t longest_ = 0;             // the index of the largest of them
};

}  // namespace text

#endif  // TEXT_STOP_STRINGS_H_
