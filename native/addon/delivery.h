// Hands an environment its mail in one call to JavaScript.
#ifndef ADDON_DELIVERY_H_
#define ADDON_DELIVERY_H_

#include <napi.h>

#include "native/addon/mailbox.h"

namespace addon {

class Delivery {
 public:
  // Calls deliver(numbers, numberCount, text, tokens, logprobs, logits). `numbers` and `tokens` are the same two arrays
  // at every call while they are large enough; what they hold is valid during the call. Clears the mail.
  void Deliver(Napi::Env env, const Napi::Function& deliver, Mail* mail);

 private:
  Napi::Reference<Napi::Float64Array> numbers_;
  Napi::Reference<Napi::Int32Array> tokens_;
};

}  // namespace addon

#endif  // ADDON_DELIVERY_H_
