#include "native/text/char_set.h"

#include <algorithm>
#include <utility>

namespace text {

CharSet::CharSet(std::vector<CharRange> ranges) : ranges_(std::move(ranges)) {
  const auto by_first = [](const CharRange& a, const CharRange& b) { return a.first < b.first; };
  if (!std::is_sorted(ranges_.begin(), ranges_.end(), by_first)) std::sort(ranges_.begin(), ranges_.end(), by_first);
  size_t count = 0;
  for (const CharRange range : ranges_) {
    if (count > 0 && range.first <= ranges_[count - 1].last + 1) {
      ranges_[count - 1].last = std::max(ranges_[count - 1].last, range.last);
    } else {
      ranges_[count++] = range;
    }
  }
  ranges_.resize(count);
}

bool CharSet::Contains(char32_t character) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), character,
                                      [](char32_t code, const CharRange& range) { return code < range.first; });
  return after != ranges_.begin() && character <= (after - 1)->last;
}

CharSet CharSet::Union(const CharSet& other) const {
  std::vector<CharRange> ranges;
  ranges.reserve(ranges_.size() + other.ranges_.size());
  std::merge(ranges_.begin(), ranges_.end(), other.ranges_.begin(), other.ranges_.end(), std::back_inserter(ranges),
             [](const CharRange& a, const CharRange& b) { return a.first < b.first; });
  return CharSet(std::move(ranges));
}

CharSet CharSet::Intersection(const CharSet& other) const {
  CharSet both;
  for (size_t i = 0, j = 0; i < ranges_.size() && j < other.ranges_.size();) {
    const CharRange range{std::max(ranges_[i].first, other.ranges_[j].first),
                          std::min(ranges_[i].last, other.ranges_[j].last)};
    if (range.first <= range.last) both.ranges_.push_back(range);
    ++(ranges_[i].last < other.ranges_[j].last ? i : j);
  }
  return both;
}

CharSet CharSet::Complement() const {
  CharSet rest;
  char32_t first = 0;
  for (const CharRange& range : ranges_) {
    if (range.first > first) rest.ranges_.push_back({first, range.first - 1});
    first = range.last + 1;
  }
  if (first <= kLastCharacter) rest.ranges_.push_back({first, kLastCharacter});
  return rest;
}

}  // namespace text
