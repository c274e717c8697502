#include "native/addon/tokenizer_binding.h"

#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "native/addon/encode_job.h"
#include "native/addon/failure.h"
#include "native/text/text_stream.h"
#include "native/text/utf8.h"

namespace addon {
namespace {

using Opened = std::shared_ptr<const text::Tokenizer>;

// Runs the body of a function that JavaScript called.
template <typename Body>
Napi::Value GuardedTokenizer(Napi::Env env, Body body) {
  try {
    return body();
  } catch (...) {
    throw ToJavaScript(env, std::current_exception());
  }
}

Napi::Value ToOpened(Napi::Env env, Opened tokenizer) {
  auto owned = std::make_unique<Opened>(std::move(tokenizer));
  const auto opened = Napi::External<Opened>::New(
      env, owned.get(), [](Napi::BasicEnv, Opened* data) { const std::unique_ptr<Opened> last(data); });
  (void)owned.release();
  return opened;
}

// Puts the token at the begin of the list, or takes it from there; at the end likewise where `at_begin` is false.
void Set(std::vector<int32_t>* tokens, int32_t id, bool is_added, bool at_begin) {
  const bool is_there = !tokens->empty() && (at_begin ? tokens->front() : tokens->back()) == id;
  if (is_there == is_added) return;
  const auto place = at_begin ? tokens->begin() : is_added ? tokens->end() : tokens->end() - 1;
  if (is_added) {
    tokens->insert(place, id);
  } else {
    tokens->erase(place);
  }
}

// What the file says, but for the begin and end token, about which tokenizer_config.json may say something else.
std::shared_ptr<const text::TokensAround> TokensAroundOf(const text::Tokenizer& tokenizer,
                                                         const Napi::Object& options) {
  text::TokensAround around = *tokenizer.parts().around;
  const auto apply = [&](const char* name, const char* flag, std::vector<int32_t>* tokens, bool at_begin) {
    const Napi::Value token = options.Get(name), is_added = options.Get(flag);
    if (!token.IsString() || !is_added.IsBoolean()) return;
    if (const auto id = tokenizer.IdOf(token.As<Napi::String>().Utf8Value()))
      Set(tokens, *id, is_added.ToBoolean(), at_begin);
  };
  apply("bosToken", "addBosToken", &around.before, true);
  apply("eosToken", "addEosToken", &around.after, false);
  return std::make_shared<const text::TokensAround>(std::move(around));
}

class OpenJob : public Napi::AsyncWorker {
 public:
  OpenJob(Napi::Env env, std::string path)
      : AsyncWorker(env, "node-tensorrt-llm tokenizer"),
        deferred_(Napi::Promise::Deferred::New(env)),
        path_(std::move(path)) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 private:
  void Execute() override {
    try {
      tokenizer_ = text::Tokenizer::Open(path_);
    } catch (...) {
      failed_ = std::current_exception();
    }
  }
  void OnOK() override {
    if (failed_) {
      deferred_.Reject(ToJavaScript(Env(), failed_).Value());
    } else {
      deferred_.Resolve(ToOpened(Env(), std::move(tokenizer_)));
    }
  }

  Napi::Promise::Deferred deferred_;
  std::string path_;
  Opened tokenizer_;
  std::exception_ptr failed_;
};

}  // namespace

Napi::Value OpenTokenizer(const Napi::CallbackInfo& info) {
  auto job = std::make_unique<OpenJob>(info.Env(), info[0].As<Napi::String>().Utf8Value());
  const Napi::Promise promise = job->promise();
  job.release()->Queue();  // it deletes itself
  return promise;
}

Napi::Value OpenTokenizerNow(const Napi::CallbackInfo& info) {
  return GuardedTokenizer(
      info.Env(), [&] { return ToOpened(info.Env(), text::Tokenizer::Open(info[0].As<Napi::String>().Utf8Value())); });
}

Napi::Function TokenizerBinding::Define(Napi::Env env) {
  return DefineClass(env, "NativeTokenizer",
                     {
                         InstanceMethod<&TokenizerBinding::VocabSize>("vocabSize"),
                         InstanceMethod<&TokenizerBinding::Encode>("encode"),
                         InstanceMethod<&TokenizerBinding::Decode>("decode"),
                         InstanceMethod<&TokenizerBinding::TokenText>("tokenText"),
                     });
}

TokenizerBinding::TokenizerBinding(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<TokenizerBinding>(info),
      // Moved out of `opened`, which would otherwise hold it too.
      tokenizer_(std::exchange(*info[0].As<Napi::External<Opened>>().Data(), nullptr)),
      around_(TokensAroundOf(*tokenizer_, info[1].As<Napi::Object>())) {}

Napi::Value TokenizerBinding::VocabSize(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(tokenizer_->parts().vocabulary->size()));
}

// encode(text, addSpecialTokens, maxTokens): an Int32Array, or for a long text `{ promise, abort }`.
Napi::Value TokenizerBinding::Encode(const Napi::CallbackInfo& info) {
  return GuardedTokenizer(info.Env(), [&] {
    text::EncodeOptions options;
    options.add_special_tokens = info[1].ToBoolean();
    options.around = around_;
    if (!info[2].IsUndefined()) options.max_tokens = static_cast<size_t>(info[2].As<Napi::Number>().DoubleValue());
    return addon::Encode(info.Env(), tokenizer_, info[0], options);
  });
}

// decode(tokens, skipSpecialTokens)
Napi::Value TokenizerBinding::Decode(const Napi::CallbackInfo& info) {
  return GuardedTokenizer(info.Env(), [&] {
    const auto tokens = info[0].As<Napi::Int32Array>();
    const auto special = info[1].ToBoolean() ? text::SpecialTokens::kSkip : text::SpecialTokens::kKeep;
    text::TextStream stream(tokenizer_->parts().vocabulary, {nullptr, special});
    std::string text;
    stream.Push(tokens.Data(), tokens.ElementLength(), &text);
    stream.Finish(&text);
    return Napi::String::New(info.Env(), text);
  });
}

// tokenText(id)
Napi::Value TokenizerBinding::TokenText(const Napi::CallbackInfo& info) {
  return GuardedTokenizer(info.Env(), [&] {
    text::Utf8Decoder decoder;
    std::string text;
    decoder.Append(tokenizer_->parts().vocabulary->Bytes(info[0].As<Napi::Number>().Int32Value()), &text);
    decoder.Finish(&text);
    return Napi::String::New(info.Env(), text);
  });
}

}  // namespace addon
