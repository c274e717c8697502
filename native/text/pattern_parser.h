#ifndef TEXT_PATTERN_PARSER_H_
#define TEXT_PATTERN_PARSER_H_

#include <string_view>

#include "native/text/pattern_tree.h"

namespace text {

// Reads a pattern in Oniguruma's own syntax (ONIG_SYNTAX_ONIGURUMA of 6.9.10, which the Rust crate `onig` takes by default).
// Throws PatternError.
PatternTree ParsePattern(std::string_view source);

}  // namespace text

#endif  // TEXT_PATTERN_PARSER_H_
