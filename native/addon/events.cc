#include "native/addon/events.h"

#include <iterator>
#include <utility>

#include "native/text/utf8.h"

namespace addon {
namespace {

template <typename T>
void MoveTo(std::vector<T>* target, std::vector<T>* source) {
  target->insert(target->end(), std::make_move_iterator(source->begin()), std::make_move_iterator(source->end()));
  source->clear();
}

}  // namespace

void Events::Clear() {
  numbers.clear();
  text.clear();
  tokens.clear();
  logprobs.clear();
  logits.clear();
  tensors.clear();
  run_end = 0;
}

void Events::Append(Events* other) {
  if (empty()) {
    std::swap(*this, *other);
    return;
  }
  MoveTo(&numbers, &other->numbers);
  text += other->text;
  other->text.clear();
  MoveTo(&tokens, &other->tokens);
  MoveTo(&logprobs, &other->logprobs);
  MoveTo(&logits, &other->logits);
  MoveTo(&tensors, &other->tensors);
  run_end = other->run_end = 0;
}

void Events::AddToken(uint64_t id, size_t utf16_length) {
  if (run_end == 0 || run_end != numbers.size()) {
    run_count_at = numbers.size() + 1;
    numbers.insert(numbers.end(), {kTokens, 0.0});
  }
  ++numbers[run_count_at];
  numbers.push_back(static_cast<double>(id));
  numbers.push_back(static_cast<double>(utf16_length));
  run_end = numbers.size();
}

void Events::AddError(uint64_t id, const executor::Failure& failure) {
  const std::string option = executor::OptionName(failure.field());
  numbers.insert(numbers.end(), {kError, static_cast<double>(id), static_cast<double>(failure.code()),
                                 static_cast<double>(text::Utf16Length(failure.what())),
                                 static_cast<double>(text::Utf16Length(option))});
  text += failure.what();
  text += option;
}

}  // namespace addon
