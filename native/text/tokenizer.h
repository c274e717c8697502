#ifndef TEXT_TOKENIZER_H_
#define TEXT_TOKENIZER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "native/text/added_tokens.h"
#include "native/text/bpe.h"
#include "native/text/normalizer.h"
#include "native/text/pre_tokenizer.h"
#include "native/text/slice.h"
#include "native/text/unigram.h"
#include "native/text/vocabulary.h"

namespace text {

// Special tokens that a text gets before and behind it.
struct TokensAround {
  std::vector<int32_t> before, after;
};

// What tokenizer.json says, checked. Where a step is missing it does nothing.
struct TokenizerParts {
  std::string path;
  std::variant<Bpe, Unigram> model;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  AddedTokens plain;       // looked for in the text as it is
  AddedTokens normalized;  // looked for in the normalized text
  std::shared_ptr<const TokensAround> around;
  size_t longest_token;  // bytes
  std::shared_ptr<const Vocabulary> vocabulary;
};

// Throws TokenizerError, with a message that names the file.
TokenizerParts ReadTokenizerFile(const std::string& path, std::string_view json);

// A tokenizer.json, ready for use. Immutable but for a store of word caches, so threads may share it.
class Tokenizer {
 public:
  explicit Tokenizer(TokenizerParts parts);

  // The one of this process for the file, as long as anybody holds it and the file does not change. Blocks while it is read.
  // Throws TokenizerError.
  static std::shared_ptr<const Tokenizer> Open(const std::string& path);

  const TokenizerParts& parts() const { return parts_; }
  // The id of the added token that is called so; nothing where there is none.
  std::optional<int32_t> IdOf(std::string_view added_token) const;
  // Whether some text of this many bytes may have at most `tokens` tokens. True may be wrong, false is not.
  bool MayFit(size_t bytes, size_t tokens) const;
  // Throws TokenizerError where none may.
  void CheckFit(size_t bytes, size_t tokens) const;

 private:
  friend class EncodeTask;

  // As many are made as threads ever encoded at the same time.
  std::unique_ptr<WordCache> TakeCache() const;
  void GiveBack(std::unique_ptr<WordCache> cache) const;

  TokenizerParts parts_;
  size_t most_bytes_ = 0;  // that a token may stand for; 0: no bound
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<WordCache>> caches_;
};

struct EncodeOptions {
  bool add_special_tokens = true;
  std::shared_ptr<const TokensAround> around;  // which those are; null: as the file says
  size_t max_tokens = SIZE_MAX;                // a text that has more is refused, without encoding the rest
};

// The encoding of one text. It may stop at the end of a slice and go on later, on any thread.
class EncodeTask {
 public:
  // `text` is UTF-8.
  EncodeTask(std::shared_ptr<const Tokenizer> tokenizer, std::string text, const EncodeOptions& options);
  EncodeTask(const EncodeTask&) = delete;
  EncodeTask& operator=(const EncodeTask&) = delete;

  // True once it is done. Throws TokenizerError, and then must not run again.
  bool Run(Slice* slice);
  // Once it is done.
  std::vector<int32_t> TakeTokens() { return std::move(tokens_); }

 private:
  enum class Phase { kText, kNormalize, kNormalized, kPieces, kModel, kDone };

  bool RunPhases(WordCache* cache, Slice* slice);
  void AddToken(int32_t id);
  [[noreturn]] void RefuseLength() const;

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::string text_;
  EncodeOptions options_;
  StepBudget budget_;
  Phase phase_ = Phase::kText;
  std::vector<int32_t> tokens_;
  AddedTokenSplitter plain_;
  NormalizerRun normalizer_;
  bool is_first_ = false;  // what is normalized begins the text
  std::optional<AddedTokenSplitter> normalized_;
  PieceCutter pieces_;
  std::string spelled_piece_;
  std::variant<BpeEncoder, UnigramEncoder> model_;
};

}  // namespace text

#endif  // TEXT_TOKENIZER_H_
