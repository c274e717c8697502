// What bench/token-path.mjs compares with: the usual way of streaming into Node, one ThreadSafeFunction call per token. The
// executor is the same scripted one and the detokenizer our own, so that the way across alone differs.
#include <napi.h>

#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "native/executor/cpp/failure.h"
#include "native/executor/executor.h"
#include "native/text/text_stream.h"

extern "C" const ExecutorTable* executor_table(uint32_t abi_version);  // test/scripted-executor

namespace {

const ExecutorTable& Table() { return *executor_table(EXECUTOR_ABI_VERSION); }

struct Token {
  uint64_t stream;
  int32_t id;
  std::string text;
};

// The lean form: onToken(stream, text, token).
void CallWithArguments(Napi::Env env, Napi::Function on_token, std::nullptr_t* /*context*/, Token* token) {
  const std::unique_ptr<Token> owned(token);
  if (env == nullptr) return;  // the environment has ended
  on_token.Call({Napi::Number::New(env, static_cast<double>(token->stream)), Napi::String::New(env, token->text),
                 Napi::Number::New(env, token->id)});
}

// The common form: onToken({ stream, text, token }).
void CallWithObject(Napi::Env env, Napi::Function on_token, std::nullptr_t* /*context*/, Token* token) {
  const std::unique_ptr<Token> owned(token);
  if (env == nullptr) return;
  Napi::Object event = Napi::Object::New(env);
  event.Set("stream", static_cast<double>(token->stream));
  event.Set("text", token->text);
  event.Set("token", token->id);
  on_token.Call({event});
}

// The ids 0 to 255 are the bytes.
std::shared_ptr<const text::Vocabulary> Bytes() {
  std::vector<uint8_t> bytes(256);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  std::vector<uint32_t> offsets(257);
  std::iota(offsets.begin(), offsets.end(), 0u);
  return std::make_shared<text::Vocabulary>(std::move(bytes), std::move(offsets), std::vector<uint8_t>(256, 0),
                                            text::LeadingSpace::kKeep);
}

using OwnedExecutor = std::unique_ptr<Executor, void (*)(Executor*)>;

OwnedExecutor Create(const std::string& engine_dir) {
  ExecutorConfig config{};
  config.size = sizeof(config);
  config.engine_dir = engine_dir.c_str();
  Executor* executor = nullptr;
  ExecutorError error = executor::EmptyError();
  executor::ThrowOnFailure(Table().create(&config, &executor, &error), error);
  return {executor, Table().destroy};
}

void Submit(Executor* executor, uint32_t stream, uint32_t max_tokens) {
  const auto prompt = static_cast<int32_t>(stream);
  ExecutorRequest request{};
  request.size = sizeof(request);
  request.id = stream;
  request.tokens = &prompt;
  request.token_count = 1;
  request.max_tokens = max_tokens;
  request.streaming = 1;
  const ExecutorRequest* const requests[] = {&request};
  ExecutorError error = executor::EmptyError();
  executor::ThrowOnFailure(Table().submit(executor, requests, 1, &error), error);
}

// Runs all streams to their ends; `take` is called with each token's stream and id.
template <typename Take>
void RunStreams(Executor* executor, uint32_t streams, Take take) {
  for (uint32_t running = streams; running > 0;) {
    const ExecutorBatch* batch = nullptr;
    ExecutorError error = executor::EmptyError();
    executor::ThrowOnFailure(Table().wait(executor, 1000, &batch, &error), error);
    for (uint32_t row = 0; row < batch->row_count; ++row) {
      for (uint32_t i = batch->token_offsets[row]; i < batch->token_offsets[row + 1]; ++i)
        take(batch->request_ids[row], batch->tokens[i]);
      if (batch->flags[row] & ROW_REQUEST_FINAL) --running;
    }
  }
}

template <typename TokenFunction>
void CallForEachToken(Executor* executor, uint32_t streams, TokenFunction on_token) {
  const std::shared_ptr<const text::Vocabulary> vocabulary = Bytes();
  std::vector<text::TextStream> texts(streams, {vocabulary, {nullptr, text::SpecialTokens::kSkip}});
  RunStreams(executor, streams, [&](uint64_t stream, int32_t id) {
    auto token = std::make_unique<Token>();
    token->stream = stream;
    token->id = id;
    texts[stream].Push(&id, 1, &token->text);
    if (on_token.NonBlockingCall(token.get()) == napi_ok) (void)token.release();
  });
}

template <typename TokenFunction>
void CallAtTheEnd(Executor* executor, uint32_t streams, TokenFunction on_end) {
  RunStreams(executor, streams, [](uint64_t, int32_t) {});
  auto nothing = std::make_unique<Token>();
  if (on_end.NonBlockingCall(nothing.get()) == napi_ok) (void)nothing.release();
}

using Call = void (*)(Napi::Env, Napi::Function, std::nullptr_t*, Token*);
template <Call call>
using Function = Napi::TypedThreadSafeFunction<std::nullptr_t, Token, call>;

// (engineDir, streams, maxTokens, callback): runs streams of maxTokens tokens each on a thread; stream i has the prompt [i].
template <Call call, void (*run)(Executor*, uint32_t, Function<call>)>
void Generate(const Napi::CallbackInfo& info) {
  OwnedExecutor executor = Create(info[0].As<Napi::String>());
  const auto streams = info[1].As<Napi::Number>().Uint32Value();
  const auto max_tokens = info[2].As<Napi::Number>().Uint32Value();
  for (uint32_t stream = 0; stream < streams; ++stream) Submit(executor.get(), stream, max_tokens);
  const auto callback = Function<call>::New(info.Env(), info[3].As<Napi::Function>(), "peer", /*maxQueueSize=*/0, 1);
  std::thread([owned = std::move(executor), streams, callback]() mutable {
    run(owned.get(), streams, callback);
    callback.Release();
  }).detach();
}

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  exports["generateWithArguments"] = Napi::Function::New<Generate<CallWithArguments, CallForEachToken>>(env);
  exports["generateWithObjects"] = Napi::Function::New<Generate<CallWithObject, CallForEachToken>>(env);
  exports["generateNothing"] = Napi::Function::New<Generate<CallWithArguments, CallAtTheEnd>>(env);
  return exports;
}

}  // namespace

NODE_API_MODULE(peer, Initialize)
