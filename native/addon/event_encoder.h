// Turns events into JavaScript values and hands an environment all of them in one call.
#ifndef ADDON_EVENT_ENCODER_H_
#define ADDON_EVENT_ENCODER_H_

#include <napi.h>

#include "native/addon/events.h"

namespace addon {

class EventEncoder {
 public:
  // Calls onEvents(numbers, numberCount, text, tokens, logprobs, logits, tensors). `numbers` and `tokens` are the same two
  // arrays at every call while they are large enough; their contents are valid during the call. Clears the events.
  void Send(Napi::Env env, const Napi::Function& on_events, Events* events);

 private:
  Napi::Reference<Napi::Float64Array> numbers_;
  Napi::Reference<Napi::Int32Array> tokens_;
};

}  // namespace addon

#endif  // ADDON_EVENT_ENCODER_H_
