// Turns events into JavaScript values and hands an environment all of them in one call.
#ifndef ADDON_EVENT_ENCODER_H_
#define ADDON_EVENT_ENCODER_H_

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "native/addon/events.h"

namespace addon {

class EventEncoder {
 public:
  // Calls onEvents(numbers, numberCount, text, tokens, tokenCount, logprobs, logits, tensors). `numbers` and `tokens` are
  // the same two arrays at every call while they are large enough; their contents are valid during the call. Clears the
  // events.
  void Send(Napi::Env env, const Napi::Function& on_events, Events* events);

 private:
  // A typed array, and where its elements lie: asking it at every call is a dozen calls into V8, whose code has gone cold.
  template <typename Array, typename Value>
  struct Kept {
    Napi::Reference<Array> array;
    Value* elements = nullptr;
    size_t size = 0;

    napi_value Fill(Napi::Env env, const std::vector<Value>& values);
  };

  Kept<Napi::Float64Array, double> numbers_;
  Kept<Napi::Int32Array, int32_t> tokens_;
};

}  // namespace addon

#endif  // ADDON_EVENT_ENCODER_H_
