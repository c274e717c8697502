#include "native/text/tokenizer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <tuple>
#include <utility>

#include "native/text/byte_level.h"
#include "native/text/tokenizer_error.h"

namespace text {
namespace {

// Real patterns need up to 3 for a byte of text.
constexpr uint64_t kStepsPerByte = 100;
constexpr uint64_t kLeastSteps = 100'000;
constexpr size_t kMaxFileBytes = size_t{128} << 20;

class File {
 public:
  // Not blocked by what is no file: a pipe would wait for its other end.
  explicit File(const std::string& path) : path_(path), descriptor_(path) {
    if (descriptor_.number < 0 || fstat(descriptor_.number, &status_) != 0) Refuse(std::strerror(errno));
    if (!S_ISREG(status_.st_mode)) Refuse("it is no regular file");
    if (static_cast<uint64_t>(status_.st_size) > kMaxFileBytes)
      throw TokenizerError(TokenizerErrorKind::kFile, path_ + " has " + std::to_string(status_.st_size) +
                                                          " bytes; expected at most " + std::to_string(kMaxFileBytes) +
                                                          ". Copy the file from the model again.");
  }

  const struct stat& status() const { return status_; }
  std::string Read() const {
    std::string bytes(static_cast<size_t>(status_.st_size), '\0');
    size_t end = 0;
    while (end < bytes.size()) {
      const ssize_t count = read(descriptor_.number, &bytes[end], bytes.size() - end);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) Refuse(std::strerror(errno));
      if (count == 0) break;
      end += static_cast<size_t>(count);
    }
    bytes.resize(end);
    return bytes;
  }

 private:
  struct Descriptor {
    explicit Descriptor(const std::string& path) : number(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
    ~Descriptor() {
      if (number >= 0) close(number);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    const int number;
  };

  [[noreturn]] void Refuse(const std::string& why) const {
    throw TokenizerError(TokenizerErrorKind::kFile,
                         path_ + " cannot be read: " + why + ". Check the file and its permissions.");
  }

  std::string path_;
  Descriptor descriptor_;
  struct stat status_ {};
};

using FileKey = std::tuple<std::string, dev_t, ino_t, off_t, int64_t, int64_t, int64_t, int64_t>;

struct Registry {
  std::mutex mutex;
  std::map<FileKey, std::weak_ptr<const Tokenizer>> tokenizers;
};

// Never destroyed: environments end after static destructors have run.
Registry& TheRegistry() {
  static Registry* const registry = std::make_unique<Registry>().release();
  return *registry;
}

std::variant<BpeEncoder, UnigramEncoder> EncoderOf(const std::variant<Bpe, Unigram>& model) {
  if (const auto* bpe = std::get_if<Bpe>(&model))
    return std::variant<BpeEncoder, UnigramEncoder>(std::in_place_type<BpeEncoder>, *bpe);
  return std::variant<BpeEncoder, UnigramEncoder>(std::in_place_type<UnigramEncoder>, std::get<Unigram>(model));
}

std::shared_ptr<const Tokenizer> FindOpen(const FileKey& key) {
  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  const auto found = registry.tokenizers.find(key);
  return found == registry.tokenizers.end() ? nullptr : found->second.lock();
}

}  // namespace

Tokenizer::Tokenizer(TokenizerParts parts) : parts_(std::move(parts)) {
  const auto shrink = parts_.normalizer.MaxShrink();
  const auto strips = [](const AddedTokens& added) {
    return std::any_of(added.tokens().begin(), added.tokens().end(),
                       [](const AddedToken& token) { return token.strips_left || token.strips_right; });
  };
  if (shrink && !parts_.pre_tokenizer.MayShrink() &&
      !std::visit([](const auto& model) { return model.MayShrink(); }, parts_.model) && !strips(parts_.plain) &&
      !strips(parts_.normalized))
    most_bytes_ = *shrink * std::max<size_t>(parts_.longest_token, 4);  // unk_token stands for a character
}

std::shared_ptr<const Tokenizer> Tokenizer::Open(const std::string& path) {
  const File file(path);
  const struct stat& status = file.status();
  const FileKey key{path,
                    status.st_dev,
                    status.st_ino,
                    status.st_size,
                    status.st_mtim.tv_sec,
                    status.st_mtim.tv_nsec,
                    status.st_ctim.tv_sec,
                    status.st_ctim.tv_nsec};
  if (auto opened = FindOpen(key)) return opened;
  auto made = std::make_shared<const Tokenizer>(ReadTokenizerFile(path, file.Read()));

  Registry& registry = TheRegistry();
  const std::lock_guard<std::mutex> lock(registry.mutex);
  for (auto entry = registry.tokenizers.begin(); entry != registry.tokenizers.end();)
    entry = entry->second.expired() ? registry.tokenizers.erase(entry) : std::next(entry);
  std::weak_ptr<const Tokenizer>& shared = registry.tokenizers[key];
  if (auto first = shared.lock()) return first;  // read at the same time
  shared = made;
  return made;
}

std::optional<int32_t> Tokenizer::IdOf(std::string_view added_token) const {
  for (const AddedTokens* tokens : {&parts_.plain, &parts_.normalized})
    for (const AddedToken& token : tokens->tokens())
      if (token.text == added_token) return token.id;
  return std::nullopt;
}

bool Tokenizer::MayFit(size_t bytes, size_t tokens) const { return most_bytes_ == 0 || bytes / most_bytes_ <= tokens; }

std::unique_ptr<WordCache> Tokenizer::TakeCache() const {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!caches_.empty()) {
      std::unique_ptr<WordCache> cache = std::move(caches_.back());
      caches_.pop_back();
      return cache;
    }
  }
  return std::make_unique<WordCache>();
}

void Tokenizer::GiveBack(std::unique_ptr<WordCache> cache) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  caches_.push_back(std::move(cache));
}

void Tokenizer::CheckFit(size_t bytes, size_t tokens) const {
  if (MayFit(bytes, tokens)) return;
  throw TokenizerError(TokenizerErrorKind::kTooLong,
                       "The text has at least " + std::to_string(bytes) + " bytes; expected at most " +
                           std::to_string((tokens + 1) * most_bytes_ - 1) + ", the most that " +
                           std::to_string(tokens) + " tokens stand for");
}

EncodeTask::EncodeTask(std::shared_ptr<const Tokenizer> tokenizer, std::string text, const EncodeOptions& options)
    : tokenizer_(std::move(tokenizer)),
      text_(std::move(text)),
      options_(options),
      budget_{kLeastSteps + kStepsPerByte * text_.size()},
      plain_(tokenizer_->parts().plain, text_),
      normalizer_(tokenizer_->parts().normalizer, &budget_),
      pieces_(tokenizer_->parts().pre_tokenizer, &budget_),
      model_(EncoderOf(tokenizer_->parts().model)) {
  if (!options_.around) options_.around = tokenizer_->parts().around;
  if (!options_.add_special_tokens) return;
  tokens_ = options_.around->before;
  // Those that come last count from the start.
  options_.max_tokens -= std::min(options_.max_tokens, options_.around->after.size());
}

bool EncodeTask::Run(Slice* slice) {
  std::unique_ptr<WordCache> cache = tokenizer_->TakeCache();
  bool is_done = false;
  try {
    is_done = RunPhases(cache.get(), slice);
  } catch (const StepLimitReached&) {
    throw TokenizerError(
        TokenizerErrorKind::kFile,
        tokenizer_->parts().path + ": a pattern of normalizer or pre_tokenizer takes more steps than " +
            std::to_string(kStepsPerByte) +
            " for each byte of this text; expected one that takes fewer. Change the text or the pattern.");
  } catch (const TokenizerError& error) {
    if (error.kind() != TokenizerErrorKind::kFile) throw;
    throw TokenizerError(error.kind(), tokenizer_->parts().path + ": " + error.what());
  }
  tokenizer_->GiveBack(std::move(cache));
  return is_done;
}

bool EncodeTask::RunPhases(WordCache* cache, Slice* slice) {
  const TokenizerParts& parts = tokenizer_->parts();
  for (;;) {
    switch (phase_) {
      case Phase::kText: {
        const auto part = plain_.Next(slice);
        if (part.state == AddedTokenSplitter::State::kPending) return false;
        if (part.state == AddedTokenSplitter::State::kToken) {
          AddToken(part.id);
        } else if (part.state == AddedTokenSplitter::State::kText) {
          normalizer_.Begin(std::string_view(text_).substr(part.begin, part.end - part.begin));
          is_first_ = part.begin == 0;
          phase_ = Phase::kNormalize;
        } else {
          if (tokens_.size() > options_.max_tokens) RefuseLength();
          const std::vector<int32_t>& after = options_.around->after;
          if (options_.add_special_tokens) tokens_.insert(tokens_.end(), after.begin(), after.end());
          phase_ = Phase::kDone;
        }
        break;
      }
      case Phase::kNormalize:
        if (!normalizer_.Continue(slice)) return false;
        normalized_.emplace(parts.normalized, normalizer_.text());
        phase_ = Phase::kNormalized;
        break;
      case Phase::kNormalized: {
        const auto part = normalized_->Next(slice);
        if (part.state == AddedTokenSplitter::State::kPending) return false;
        if (part.state == AddedTokenSplitter::State::kToken) {
          AddToken(part.id);
        } else if (part.state == AddedTokenSplitter::State::kText) {
          const size_t first = is_first_ ? normalizer_.first_character() : 0;
          pieces_.Begin(normalizer_.text().substr(part.begin, part.end - part.begin),
                        first > part.begin ? first - part.begin : 0);
          phase_ = Phase::kPieces;
        } else {
          phase_ = Phase::kText;
        }
        break;
      }
      case Phase::kPieces: {
        std::string_view piece;
        const auto state = pieces_.Next(slice, &piece);
        if (state == PieceCutter::State::kPending) return false;
        if (state == PieceCutter::State::kEnd) {
          phase_ = Phase::kNormalized;
        } else {
          if (parts.pre_tokenizer.pieces_are_spelled) {
            spelled_piece_ = FromByteLevel(piece).value_or(std::string());
            piece = spelled_piece_;
          }
          std::visit([&](auto& model) { model.Begin(piece); }, model_);
          phase_ = Phase::kModel;
        }
        break;
      }
      case Phase::kModel: {
        const auto state = std::visit(
            [&](auto& model) { return model.Continue(cache, slice, options_.max_tokens, &tokens_); }, model_);
        if (state == BpeEncoder::State::kPending) return false;
        if (state == BpeEncoder::State::kFull) RefuseLength();
        phase_ = Phase::kPieces;
        break;
      }
      case Phase::kDone:
        return true;
    }
    if (slice->IsOver(1) && phase_ != Phase::kDone) return false;
  }
}

void EncodeTask::AddToken(int32_t id) {
  tokens_.push_back(id);
  if (tokens_.size() > options_.max_tokens) RefuseLength();
}

void EncodeTask::RefuseLength() const {
  const size_t after = options_.add_special_tokens ? options_.around->after.size() : 0;
  throw TokenizerError(TokenizerErrorKind::kTooLong,
                       "The text has at least " +
                           std::to_string(std::max(tokens_.size(), options_.max_tokens + 1) + after) +
                           " tokens; expected at most " + std::to_string(options_.max_tokens + after));
}

}  // namespace text
