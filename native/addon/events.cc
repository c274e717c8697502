#include "native/addon/events.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "native/text/utf8.h"

namespace addon {
namespace {

template <typename List>
void MakeRoom(List* target, const List& more) {
  const size_t size = target->size() + more.size();
  if (size > target->capacity()) target->reserve(std::max(size, 2 * target->capacity()));
}

// Into room that there is.
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
  MakeRoom(&numbers, other->numbers);
  MakeRoom(&text, other->text);
  MakeRoom(&tokens, other->tokens);
  MakeRoom(&logprobs, other->logprobs);
  MakeRoom(&logits, other->logits);
  MakeRoom(&tensors, other->tensors);
  MoveTo(&numbers, &other->numbers);
  text += other->text;
  other->text.clear();
  MoveTo(&tokens, &other->tokens);
  MoveTo(&logprobs, &other->logprobs);
  MoveTo(&logits, &other->logits);
  MoveTo(&tensors, &other->tensors);
  run_end = other->run_end = 0;
}

Events::End Events::end() const {
  return {numbers.size(),  text.size(),   tokens.size(),
          logprobs.size(), logits.size(), tensors.size(),
          run_count_at,    run_end,       run_end == 0 ? 0 : numbers[run_count_at]};
}

void Events::CutBack(const End& end) {
  numbers.resize(end.numbers);
  text.resize(end.text);
  tokens.resize(end.tokens);
  logprobs.resize(end.logprobs);
  logits.resize(end.logits);
  tensors.resize(end.tensors);
  run_count_at = end.run_count_at;
  run_end = end.run_end;
  if (run_end != 0) numbers[run_count_at] = end.run_count;
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
  const std::string message = text::ToUtf8(failure.what());
  const std::string option = text::ToUtf8(executor::OptionName(failure.field()));
  text.reserve(text.size() + message.size() + option.size());
  numbers.insert(numbers.end(),
                 {kError, static_cast<double>(id), static_cast<double>(failure.code()),
                  static_cast<double>(text::Utf16Length(message)), static_cast<double>(text::Utf16Length(option))});
  text += message;
  text += option;
}

}  // namespace addon
