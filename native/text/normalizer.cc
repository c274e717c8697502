#include "native/text/normalizer.h"

#include <algorithm>
#include <utility>

#include "native/text/tokenizer_error.h"
#include "native/text/unicode.h"

namespace text {
namespace {

constexpr size_t kChunk = size_t{1} << 14;
constexpr size_t kMaxGrowth = 16;  // NFKC and NFKD: 11

// Whether no form joins the character with those before it. Many such characters are not here; it is enough that texts
// of all scripts have some that are.
bool BeginsAnew(char32_t code) {
  return code < 0x80 || (code >= 0xC0 && code < 0x100) || (code >= 0x391 && code <= 0x3C9) ||
         (code >= 0x400 && code <= 0x45F) || (code >= 0x5D0 && code <= 0x5EA) || (code >= 0x627 && code <= 0x64A) ||
         (code >= 0x904 && code <= 0x939) || (code >= 0xE01 && code <= 0xE30) || (code >= 0x3041 && code <= 0x3096) ||
         (code >= 0x30A1 && code <= 0x30FA) || (code >= 0x4E00 && code <= 0x9FFF) ||
         (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0x1F300 && code <= 0x1F9FF);
}

// Where a chunk that begins at `begin` can end so that it and what follows it are normalized on their own.
size_t ChunkEnd(std::string_view utf8, size_t begin) {
  size_t at = std::min(utf8.size(), begin + kChunk);
  while (at < utf8.size() && (utf8[at] & 0xC0) == 0x80) ++at;
  while (at < utf8.size()) {
    const Utf8Character character = CharacterAt(utf8, at);
    if (BeginsAnew(character.code)) break;
    at += character.size;
  }
  return at;
}

}  // namespace

std::optional<size_t> Normalizer::MaxShrink() const {
  size_t shrink = 1;
  for (const Step& step : steps) {
    if (std::holds_alternative<StripStep>(step) || std::holds_alternative<CharacterMap>(step)) return std::nullopt;
    const auto* replace = std::get_if<ReplaceStep>(&step);
    if (replace != nullptr && replace->may_shrink) return std::nullopt;
    if (!std::holds_alternative<NormalizationForm>(step)) continue;
    if (shrink > 1000) return std::nullopt;
    shrink *= 16;
  }
  return shrink;
}

void NormalizerRun::Begin(std::string_view utf8) {
  given_size_ = utf8.size();
  text_ = utf8;
  first_ = utf8.empty() ? 0 : CharacterAt(utf8, 0).size;
  step_ = 0;
  read_ = 0;
}

bool NormalizerRun::Continue(Slice* slice) {
  for (; step_ < normalizer_.steps.size(); ++step_) {
    const Normalizer::Step& step = normalizer_.steps[step_];
    if (const auto* form = std::get_if<NormalizationForm>(&step)) {
      if (!ContinueForm(*form, slice)) return false;
    } else if (const auto* replace = std::get_if<ReplaceStep>(&step)) {
      if (!ContinueReplace(*replace, slice)) return false;
    } else if (const auto* map = std::get_if<CharacterMap>(&step)) {
      if (!ContinueMap(*map, slice)) return false;
    } else if (const auto* prepend = std::get_if<PrependStep>(&step)) {
      if (text_.empty()) continue;
      Change(0, prepend->text);
      written_first_ = first_ > 0 ? prepend->text.size() : 0;
      Keep(text_.size());
    } else {
      const auto [left, right] = std::get<StripStep>(step);
      while (left && !text_.empty() && IsWhitespace(CharacterAt(text_, 0).code)) {
        const size_t size = CharacterAt(text_, 0).size;
        text_.remove_prefix(size);
        first_ -= std::min(first_, size);
      }
      while (right && !text_.empty()) {
        size_t last = text_.size() - 1;
        while (last > 0 && (text_[last] & 0xC0) == 0x80) --last;
        if (!IsWhitespace(CharacterAt(text_, last).code)) break;
        text_ = text_.substr(0, last);
      }
      first_ = std::min(first_, text_.size());
      continue;
    }
    EndStep();
  }
  return true;
}

bool NormalizerRun::ContinueForm(NormalizationForm form, Slice* slice) {
  std::string changed;
  while (read_ < text_.size()) {
    const size_t begin = read_;
    const size_t end = ChunkEnd(text_, begin);
    const std::string_view chunk = text_.substr(begin, end - begin);
    if (IsNormalized(form, chunk)) {
      Keep(end);
    } else {
      changed.clear();
      Normalize(form, chunk, &changed);
      const size_t first = first_;
      Change(end, changed);
      if (begin == 0 && first > 0) {
        std::string of_first;
        Normalize(form, text_.substr(0, first), &of_first);
        const size_t least = changed.empty() ? 0 : CharacterAt(changed, 0).size;
        written_first_ = std::min(changed.size(), std::max(of_first.size(), least));
      }
    }
    if (slice->IsOver(end - begin) && read_ < text_.size()) return false;
  }
  return true;
}

bool NormalizerRun::ContinueReplace(const ReplaceStep& step, Slice* slice) {
  if (text_.empty()) return true;
  if (!matches_) matches_.emplace(step.finder, text_, budget_);
  for (;;) {
    Pattern::Match match{};
    switch (matches_->Next(slice, &match)) {
      case MatchReader::State::kPending:
        return false;
      case MatchReader::State::kEnd:
        matches_.reset();
        Keep(text_.size());
        return true;
      case MatchReader::State::kMatch:
        break;
    }
    const size_t begin = read_;
    Keep(match.begin);
    Change(match.end, step.content);
    if (match.end == 0 || match.end <= first_) written_first_ = written_.size();
    if (slice->IsOver(match.end - begin + step.content.size())) return false;
  }
}

// As Hugging Face tokenizers have it: a cluster of fewer bytes than this is looked up as a whole, and where the map does not
// know it or it has more, character by character.
constexpr size_t kLongCluster = 6;

bool NormalizerRun::ContinueMap(const CharacterMap& map, Slice* slice) {
  for (size_t at = read_; at < text_.size();) {
    const size_t size = MapCluster(map, at);
    at += size;
    if (!slice->IsOver(size + 1) || at == text_.size()) continue;
    Keep(at);
    return false;
  }
  long_cluster_.reset();
  Keep(text_.size());
  return true;
}

size_t NormalizerRun::MapCluster(const CharacterMap& map, size_t at) {
  const auto [code, size] = CharacterAt(text_, at);
  if (map.match() == CharacterMap::Match::kLongest) {
    const auto part = map.FindLongest(text_.substr(at));
    if (!part) return size;
    Replace(at, part->size, part->replacement);
    return part->size;
  }
  if (long_cluster_ && !long_cluster_->Begins(code)) {
    MapPart(map, at, size);
    return size;
  }
  long_cluster_.reset();
  const bool is_alone = code < 0x80 && code != '\r' && (at + 1 == text_.size() || (text_[at + 1] & 0x80) == 0);
  if (is_alone) {
    if (!map.Keeps(text_[at])) MapPart(map, at, 1);
    return 1;
  }
  GraphemeReader reader;
  size_t end = at;
  while (end < text_.size() && end - at < kLongCluster) {
    const Utf8Character next = CharacterAt(text_, end);
    if (reader.Begins(next.code) && end > at) break;
    end += next.size;
  }
  if (end - at >= kLongCluster) {
    long_cluster_.emplace().Begins(code);
    MapPart(map, at, size);
    return size;
  }
  if (!MapPart(map, at, end - at) && end - at > size) {
    for (size_t part = at; part < end;) {
      const size_t part_size = CharacterAt(text_, part).size;
      MapPart(map, part, part_size);
      part += part_size;
    }
  }
  return end - at;
}

bool NormalizerRun::MapPart(const CharacterMap& map, size_t at, size_t size) {
  const auto content = map.Find(text_.substr(at, size));
  if (content) Replace(at, size, *content);
  return content.has_value();
}

void NormalizerRun::Replace(size_t at, size_t size, std::string_view content) {
  Keep(at);
  Change(at + size, content);
  if (at >= first_) return;
  written_first_ = written_.size();
  // Hugging Face tokenizers lose track of what is deleted before anything is written, and take what follows for the first.
  if (written_.empty() && read_ < text_.size()) first_ = read_ + CharacterAt(text_, read_).size;
}

void NormalizerRun::Keep(size_t end) {
  if (is_changed_) {
    if (read_ < first_) written_first_ = written_.size() + std::min(end, first_) - read_;
    written_.append(text_.substr(read_, end - read_));
    CheckSize();
  }
  read_ = end;
}

void NormalizerRun::Change(size_t end, std::string_view content) {
  if (!is_changed_) {
    is_changed_ = true;
    written_.assign(text_.substr(0, read_));
    written_first_ = std::min(read_, first_);
  }
  written_.append(content);
  read_ = end;
  CheckSize();
}

void NormalizerRun::CheckSize() const {
  if (written_.size() <= kMaxGrowth * given_size_ + 4096) return;
  throw TokenizerError(TokenizerErrorKind::kFile,
                       "normalizer makes more than " + std::to_string(kMaxGrowth) +
                           " bytes of each byte of this text; expected a normalizer that makes fewer.");
}

void NormalizerRun::EndStep() {
  if (is_changed_) {
    kept_.swap(written_);
    text_ = kept_;
    first_ = std::min(written_first_, text_.size());
  }
  written_ = {};
  is_changed_ = false;
  read_ = 0;
}

}  // namespace text
