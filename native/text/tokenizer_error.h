#ifndef TEXT_TOKENIZER_ERROR_H_
#define TEXT_TOKENIZER_ERROR_H_

#include <stdexcept>
#include <string>

namespace text {

enum class TokenizerErrorKind {
  kFile,     // tokenizer.json is wrong, or is what we do not support
  kTooLong,  // the text is
};

class TokenizerError : public std::runtime_error {
 public:
  TokenizerError(TokenizerErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  TokenizerErrorKind kind() const { return kind_; }

 private:
  TokenizerErrorKind kind_;
};

}  // namespace text

#endif  // TEXT_TOKENIZER_ERROR_H_
