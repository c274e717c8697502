#include "native/text/vocabulary.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace text {

Vocabulary::Vocabulary(std::vector<uint8_t> bytes, std::vector<uint32_t> offsets, std::vector<uint8_t> special,
                       LeadingSpace leading_space)
    : bytes_(std::move(bytes)),
      offsets_(std::move(offsets)),
      special_(std::move(special)),
      leading_space_(leading_space) {
  if (offsets_.size() != special_.size() + 1)
    throw std::invalid_argument("The vocabulary has " + std::to_string(offsets_.size()) + " offsets for " +
                                std::to_string(special_.size()) + " tokens; expected one more than tokens.");
  if (!std::is_sorted(offsets_.begin(), offsets_.end()) || offsets_.back() > bytes_.size()) {
    throw std::invalid_argument("The vocabulary's offsets are not in order within its bytes.");
  }
}

}  // namespace text
