// An environment's hold on a tokenizer: the JavaScript object `NativeTokenizer` of lib/text/native-tokenizer.ts.
#ifndef ADDON_TOKENIZER_BINDING_H_
#define ADDON_TOKENIZER_BINDING_H_

#include <napi.h>

#include <memory>

#include "native/text/tokenizer.h"

namespace addon {

// openTokenizer(path): a promise of what the constructor of NativeTokenizer takes. The file is read on libuv's pool.
Napi::Value OpenTokenizer(const Napi::CallbackInfo& info);
// The same at once; cheap where this process has the file's tokenizer already.
Napi::Value OpenTokenizerNow(const Napi::CallbackInfo& info);

class TokenizerBinding : public Napi::ObjectWrap<TokenizerBinding> {
 public:
  static Napi::Function Define(Napi::Env env);

  // new NativeTokenizer(opened, { bosToken, addBosToken, eosToken, addEosToken })
  explicit TokenizerBinding(const Napi::CallbackInfo& info);

  const std::shared_ptr<const text::Tokenizer>& tokenizer() const { return tokenizer_; }

 private:
  Napi::Value VocabSize(const Napi::CallbackInfo& info);
  Napi::Value Encode(const Napi::CallbackInfo& info);
  Napi::Value Decode(const Napi::CallbackInfo& info);
  Napi::Value TokenText(const Napi::CallbackInfo& info);

  std::shared_ptr<const text::Tokenizer> tokenizer_;
  std::shared_ptr<const text::TokensAround> around_;
};

}  // namespace addon

#endif  // ADDON_TOKENIZER_BINDING_H_
