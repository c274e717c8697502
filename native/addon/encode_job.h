#ifndef ADDON_ENCODE_JOB_H_
#define ADDON_ENCODE_JOB_H_

#include <napi.h>

#include <memory>

#include "native/text/tokenizer.h"

namespace addon {

// Encodes the string: a short one at once, as an Int32Array. A longer one takes turns with others on libuv's pool, a few
// milliseconds each; then it is an object of `promise` and `abort`, a function after which the promise gives undefined.
// Throws text::TokenizerError.
Napi::Value Encode(Napi::Env env, const std::shared_ptr<const text::Tokenizer>& tokenizer, napi_value text,
                   const text::EncodeOptions& options);

}  // namespace addon

#endif  // ADDON_ENCODE_JOB_H_
