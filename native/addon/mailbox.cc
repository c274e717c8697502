#include "native/addon/mailbox.h"

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

void Mail::Clear() {
  numbers.clear();
  text.clear();
  tokens.clear();
  logprobs.clear();
  logits.clear();
  tensors.clear();
}

void Mail::Append(Mail* other) {
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

void Mail::AddError(uint64_t id, ExecutorCode code, std::string_view message) {
  numbers.insert(numbers.end(), {kError, static_cast<double>(id), static_cast<double>(code),
                                 static_cast<double>(text::Utf16Length(message))});
  text += message;
}

void Mailbox::Post(Mail* mail) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) {
      mail->Clear();
      return;
    }
    mail_.Append(mail);
    if (awake_) return;
    awake_ = true;
    ++wakeups_;
  }
  wake_();
}

void Mailbox::Take(Mail* mail) {
  const std::lock_guard<std::mutex> lock(mutex_);
  awake_ = false;
  std::swap(mail_, *mail);
}

void Mailbox::Close() {
  const std::lock_guard<std::mutex> lock(mutex_);
  closed_ = true;
  mail_.Clear();
}

uint64_t Mailbox::wakeups() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return wakeups_;
}

}  // namespace addon
