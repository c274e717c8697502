#ifndef TEXT_TOKEN_IDS_H_
#define TEXT_TOKEN_IDS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace text {

// The ids of tokens by what they are called. Takes about 24 bytes for a token beside its name.
class TokenIds {
 public:
  // Room for tokens whose names are `bytes` long together.
  TokenIds(size_t tokens, size_t bytes);

  // False, and nothing is added, where the name is there already. Not more tokens than there is room for.
  bool Add(std::string_view name, int32_t id);
  std::optional<int32_t> Find(std::string_view name) const;
  size_t size() const { return entries_.size(); }
  template <typename Visit>
  void ForEach(Visit visit) const {
    for (const Entry& entry : entries_) visit(NameOf(entry), entry.id);
  }

 private:
  struct Entry {
    uint32_t begin, size;
    int32_t id;
  };
  static constexpr uint32_t kEmpty = UINT32_MAX;

  std::string_view NameOf(const Entry& entry) const { return std::string_view(names_).substr(entry.begin, entry.size); }
  // Of the slot that holds the name, or of the empty one where it belongs.
  size_t SlotOf(std::string_view name) const;

  std::string names_;
  std::vector<Entry> entries_;
  std::vector<uint32_t> slots_;  // of entries_; a power of two of them, at most half taken
};

}  // namespace text

#endif  // TEXT_TOKEN_IDS_H_
