// Reads what tokenizer.json does to a text before its words are encoded.
#ifndef TEXT_STEP_READER_H_
#define TEXT_STEP_READER_H_

#include "native/text/json_reader.h"
#include "native/text/normalizer.h"
#include "native/text/pre_tokenizer.h"

namespace text {

// Both throw TokenizerError.
Normalizer ReadNormalizer(const JsonReader& json, const simdjson::dom::object& root);
PreTokenizer ReadPreTokenizer(const JsonReader& json, const simdjson::dom::object& root);

}  // namespace text

#endif  // TEXT_STEP_READER_H_
