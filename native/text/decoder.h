#ifndef TEXT_DECODER_H_
#define TEXT_DECODER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "native/text/json_reader.h"
#include "native/text/vocabulary.h"

namespace text {

// What tokens stand for in bytes: by their names and the decoder of tokenizer.json. An id without a name stands for nothing.
// Throws TokenizerError where the decoder looks at more than one token at a time.
std::shared_ptr<const Vocabulary> DecodedVocabulary(const JsonReader& json,
                                                    const std::optional<simdjson::dom::element>& decoder,
                                                    const std::vector<std::string_view>& names,
                                                    std::vector<uint8_t> special);

}  // namespace text

#endif  // TEXT_DECODER_H_
