#ifndef TEXT_PRE_TOKENIZER_H_
#define TEXT_PRE_TOKENIZER_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "native/text/finder.h"
#include "native/text/slice.h"

namespace text {

// What becomes of a match when a text is cut at it.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct SplitStep {
  Finder finder;
  SplitBehavior behavior;
  bool invert;  // what is between the matches counts as matched, and the other way round
};
struct MetaspaceStep {
  enum class Prepend { kAlways, kFirst, kNever };
  std::string replacement;  // of a space: one character
  Prepend prepend;
  std::optional<SplitStep> split;
};
struct ByteLevelStep {
  bool add_prefix_space;
  std::optional<SplitStep> split;
  bool is_last;  // else the steps behind it see the characters that GPT-2 writes for bytes
};

// The pre-tokenizer of tokenizer.json: its steps in order, each of which cuts the pieces of the one before.
struct PreTokenizer {
  using Step = std::variant<SplitStep, MetaspaceStep, ByteLevelStep>;
  std::vector<Step> steps;
  bool is_byte_level = false;  // one of them is a ByteLevelStep, and the model's alphabet bytes
  bool pieces_are_spelled =
      false;  // by the characters that GPT-2 writes for bytes, because others come behind that step

  bool MayShrink() const;  // whether some text is in no piece
};

// Cuts a text into pieces, in order and step by step.
class PieceCutter {
 public:
  enum class State { kPiece, kPending, kEnd };

  // Both must outlive it.
  PieceCutter(const PreTokenizer& pre_tokenizer, StepBudget* budget);

  // `first`: how many bytes of `utf8` come from the first character of the whole text.
  void Begin(std::string_view utf8, size_t first);
  // `piece` is not empty, and seen until the next call. Throws StepLimitReached.
  State Next(Slice* slice, std::string_view* piece);

 private:
  struct Range {
    size_t begin, end;
    bool is_match;
  };

  // One step at work on one piece.
  class Level {
   public:
    Level(const PreTokenizer::Step& step, StepBudget* budget);
    void Begin(std::string_view utf8, size_t first);
    State Next(Slice* slice, std::string_view* piece, size_t* first);

   private:
    bool Prepare(Slice* slice);
    State NextRange(Slice* slice, Range* range);
    State NextPiece(Slice* slice, Range* piece);

    const PreTokenizer::Step& step_;
    StepBudget* budget_;
    const SplitStep* split_;  // null: all is one piece
    std::string_view text_;
    size_t first_ = 0;
    std::string own_;  // what text_ views, where the step changed it
    bool is_prepared_ = false;
    size_t read_ = 0;       // while it is prepared
    size_t own_first_ = 0;  // first_ of own_
    std::optional<MatchReader> matches_;
    std::optional<Range> match_;  // comes behind the text before it
    size_t at_ = 0;               // in text_
    bool is_at_end_ = false;
    std::optional<Range> held_;  // a piece that may grow
    std::string characters_;     // of a byte-level piece
  };

  std::vector<Level> levels_;
  std::string_view text_;  // where there is no step
  size_t depth_ = 0;
};

}  // namespace text

#endif  // TEXT_PRE_TOKENIZER_H_
