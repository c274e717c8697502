#include "native/addon/encode_job.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "native/addon/failure.h"
#include "native/text/tokenizer_error.h"
#include "native/text/utf8.h"

namespace addon {
namespace {

using std::chrono::microseconds;

// UTF-16 units. Up to here the way to another thread and back takes longer than to encode.
constexpr size_t kAtOnce = 2048;
constexpr auto kAtOnceTime = microseconds(500);  // then even a short text goes on elsewhere
constexpr auto kTurn = microseconds(5000);
constexpr size_t kCopied = size_t{1} << 16;  // tokens; more are handed over instead

// What one text needs on its way through the pool.
struct EncodeRequest {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  text::EncodeOptions options;
  std::unique_ptr<char16_t[]> utf16;  // until the task is made
  size_t units = 0;                   // of utf16
  std::string utf8;
  size_t converted = 0;  // of these units
  std::unique_ptr<text::EncodeTask> task;
  std::atomic<bool> aborted{false};
};

// False where the slice is over before the text is converted.
bool MakeTask(EncodeRequest* request, text::Slice* slice) {
  const std::u16string_view utf16(request->utf16.get(), request->units);
  while (request->converted < utf16.size()) {
    size_t end = std::min(utf16.size(), request->converted + 4096);
    if (end < utf16.size() && utf16[end - 1] >= 0xD800 && utf16[end - 1] < 0xDC00) ++end;  // a pair stays together
    text::AppendUtf16(utf16.substr(request->converted, end - request->converted), &request->utf8);
    const size_t units = end - std::exchange(request->converted, end);
    if (slice->IsOver(units) && end < utf16.size()) return false;
  }
  request->utf16.reset();
  request->task = std::make_unique<text::EncodeTask>(request->tokenizer, std::move(request->utf8), request->options);
  return true;
}

Napi::Value ToArray(Napi::Env env, std::vector<int32_t> tokens) {
  if (tokens.size() <= kCopied) {
    auto array = Napi::Int32Array::New(env, tokens.size());
    if (!tokens.empty()) std::memcpy(array.Data(), tokens.data(), tokens.size() * sizeof(int32_t));
    return array;
  }
  auto owned = std::make_unique<std::vector<int32_t>>(std::move(tokens));
  const size_t count = owned->size();
  const auto buffer = Napi::ArrayBuffer::New(
      env, owned->data(), count * sizeof(int32_t),
      [](Napi::BasicEnv, void*, std::vector<int32_t>* data) { const std::unique_ptr<std::vector<int32_t>> last(data); },
      owned.get());
  (void)owned.release();
  return Napi::Int32Array::New(env, count, buffer, 0);
}

// One turn on the pool. The next one queues again, behind what waits there.
class EncodeTurn : public Napi::AsyncWorker {
 public:
  EncodeTurn(Napi::Env env, std::shared_ptr<EncodeRequest> request, const Napi::Promise::Deferred& deferred)
      : AsyncWorker(env, "node-tensorrt-llm encode"), request_(std::move(request)), deferred_(deferred) {}

  static void Queue(Napi::Env env, std::shared_ptr<EncodeRequest> request, const Napi::Promise::Deferred& deferred) {
    auto turn = std::make_unique<EncodeTurn>(env, std::move(request), deferred);
    static_cast<AsyncWorker*>(turn.release())->Queue();  // it deletes itself
  }

 private:
  void Execute() override {
    EncodeRequest& request = *request_;
    try {
      is_done_ = request.aborted || RunTurn(&request);
    } catch (...) {
      failed_ = std::current_exception();
    }
    if (!is_done_ && !failed_) return;
    // What is large is freed here: on the event loop it would take milliseconds.
    request.task.reset();
    request.utf16.reset();
    request.utf8 = {};
  }
  bool RunTurn(EncodeRequest* request) {
    text::Slice slice(text::Slice::Clock::now() + kTurn);
    if (request->task == nullptr && !MakeTask(request, &slice)) return false;
    if (!request->task->Run(&slice)) return false;
    tokens_ = request->task->TakeTokens();
    return true;
  }
  void OnOK() override {
    if (failed_) {
      deferred_.Reject(ToJavaScript(Env(), failed_).Value());
    } else if (is_done_) {
      deferred_.Resolve(ToArray(Env(), std::move(tokens_)));
    } else {
      Queue(Env(), request_, deferred_);
    }
  }

  std::shared_ptr<EncodeRequest> request_;
  Napi::Promise::Deferred deferred_;
  bool is_done_ = false;
  std::vector<int32_t> tokens_;  // once it is done; none where it was aborted
  std::exception_ptr failed_;
};

size_t UnitsOf(Napi::Env env, napi_value text) {
  size_t units = 0;
  if (napi_get_value_string_utf16(env, text, nullptr, 0, &units) != napi_ok) throw Napi::Error::New(env);
  return units;
}

}  // namespace

Napi::Value Encode(Napi::Env env, const std::shared_ptr<const text::Tokenizer>& tokenizer, napi_value text,
                   const text::EncodeOptions& options) {
  const size_t units = UnitsOf(env, text);  // each at least a byte
  tokenizer->CheckFit(units, options.max_tokens);
  auto request = std::make_shared<EncodeRequest>();
  request->tokenizer = tokenizer;
  request->options = options;
  if (units <= kAtOnce) {
    request->task = std::make_unique<text::EncodeTask>(tokenizer, Napi::String(env, text).Utf8Value(), options);
    text::Slice slice(text::Slice::Clock::now() + kAtOnceTime);
    if (request->task->Run(&slice)) return ToArray(env, request->task->TakeTokens());
  } else {
    // V8 copies UTF-16 many times faster than it writes UTF-8, and the event loop waits for it.
    request->units = units;
    request->utf16.reset(new char16_t[units + 1]);  // not filled with zeros first
    size_t copied = 0;
    if (napi_get_value_string_utf16(env, text, request->utf16.get(), units + 1, &copied) != napi_ok)
      throw Napi::Error::New(env);
  }
  const auto deferred = Napi::Promise::Deferred::New(env);
  auto pending = Napi::Object::New(env);
  pending["promise"] = deferred.Promise();
  pending["abort"] = Napi::Function::New(env, [weak = std::weak_ptr(request)](const Napi::CallbackInfo&) {
    if (const auto running = weak.lock()) running->aborted = true;
  });
  EncodeTurn::Queue(env, std::move(request), deferred);
  return pending;
}

}  // namespace addon
