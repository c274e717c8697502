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
