#ifndef TEXT_VOCABULARY_H_
#define TEXT_VOCABULARY_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace text {

// SentencePiece puts a space before the text it encodes; kStrip takes it off again when it is the first character out.
enum class LeadingSpace { kKeep, kStrip };

// What each token id stands for in bytes. Immutable, so all sequences of an engine share one, on any thread.
class Vocabulary {
 public:
  // bytes:   the bytes of all tokens, back to back
  // offsets: [tokens + 1] token t is bytes[offsets[t], offsets[t + 1])
  // special: [tokens] 1 where the token is no text (an end or role mark), else 0
  // Throws std::invalid_argument where these do not fit each other.
  Vocabulary(std::vector<uint8_t> bytes, std::vector<uint32_t> offsets, std::vector<uint8_t> special,
             LeadingSpace leading_space);

  // Empty for an id outside the vocabulary: models pad theirs, and may draw an id of the padding.
  std::string_view Bytes(int32_t token) const {
    if (!Contains(token)) return {};
    return {reinterpret_cast<const char*>(bytes_.data()) + offsets_[token], offsets_[token + 1] - offsets_[token]};
  }
  bool IsSpecial(int32_t token) const { return Contains(token) && special_[token] != 0; }
  // The constructor's.
  const std::vector<uint8_t>& bytes() const { return bytes_; }
  const std::vector<uint32_t>& offsets() const { return offsets_; }
  const std::vector<uint8_t>& special() const { return special_; }
  LeadingSpace leading_space() const { return leading_space_; }
  size_t size() const { return special_.size(); }

 private:
  // A negative id turns into one above any size.
  bool Contains(int32_t token) const { return static_cast<uint32_t>(token) < special_.size(); }

  std::vector<uint8_t> bytes_;
  std::vector<uint32_t> offsets_;
  std::vector<uint8_t> special_;
  LeadingSpace leading_space_;
};

}  // namespace text

#endif  // TEXT_VOCABULARY_H_
