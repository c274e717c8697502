#ifndef TEXT_NORMALIZER_H_
#define TEXT_NORMALIZER_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "native/text/finder.h"
#include "native/text/grapheme.h"
#include "native/text/normalize.h"
#include "native/text/precompiled.h"
#include "native/text/slice.h"

namespace text {

struct PrependStep {
  std::string text;  // before a text that is not empty
};
struct ReplaceStep {
  Finder finder;
  std::string content;
  bool may_shrink;
};
struct StripStep {
  bool left, right;  // of whitespace
};

// The normalizer of tokenizer.json: its steps in order.
struct Normalizer {
  using Step = std::variant<NormalizationForm, PrependStep, ReplaceStep, StripStep, CharacterMap>;
  std::vector<Step> steps;

  // By how much the bytes of a text may become fewer; nothing where there is no bound.
  std::optional<size_t> MaxShrink() const;
};

// A text on its way through a normalizer.
class NormalizerRun {
 public:
  // Both must outlive it, and what `utf8` views.
  NormalizerRun(const Normalizer& normalizer, StepBudget* budget) : normalizer_(normalizer), budget_(budget) {}

  void Begin(std::string_view utf8);
  // True once it is done. Throws StepLimitReached, and TokenizerError where the text grows beyond measure.
  bool Continue(Slice* slice);
  std::string_view text() const { return text_; }
  // How many bytes of text() come from the first character of what was given to Begin.
  size_t first_character() const { return first_; }

 private:
  bool ContinueForm(NormalizationForm form, Slice* slice);
  bool ContinueReplace(const ReplaceStep& step, Slice* slice);
  bool ContinueMap(const CharacterMap& map, Slice* slice);
  // How many bytes the map was asked for; what it replaces is changed.
  size_t MapCluster(const CharacterMap& map, size_t at);
  bool MapPart(const CharacterMap& map, size_t at, size_t size);
  void Replace(size_t at, size_t size, std::string_view content);
  // The text from read_ to `end` stays.
  void Keep(size_t end);
  // The text from read_ to `end` becomes `content`.
  void Change(size_t end, std::string_view content);
  void CheckSize() const;
  void EndStep();

  const Normalizer& normalizer_;
  StepBudget* budget_;
  size_t given_size_ = 0;
  std::string_view text_;
  size_t first_ = 0;
  size_t step_ = 0;
  // Of the step that runs.
  size_t read_ = 0;          // in text_
  bool is_changed_ = false;  // until then nothing is written
  std::string written_;
  size_t written_first_ = 0;
  std::optional<MatchReader> matches_;
  std::optional<GraphemeReader> long_cluster_;

  std::string kept_;  // what text_ views, where it is not what was given
};

}  // namespace text

#endif  // TEXT_NORMALIZER_H_
