// What one environment is to be told about the requests it has on one engine. The pump thread fills it, the
// environment's event loop empties it; between them stands one wake-up however many steps have come.
#ifndef ADDON_MAILBOX_H_
#define ADDON_MAILBOX_H_

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "native/executor/response.h"

namespace addon {

// Events in the order they came, cut into arrays that JavaScript reads with one cursor each. lib/addon/addon.ts, which reads
// them, has the layout too; the two must agree.
//   numbers  a start event: kStart, id, promptTokens, cachedTokens, queueMs; once for an id
//            a text event:  kText, id, sequence, utf16Length, tokenCount, finish, stopKind, stopValue, hasLogprobs,
//                           hasLogits; finish is an ExecutorFinish, stopValue the index of the stop string or the token
//            a context logits event: kContextLogits, id
//            a prompt logprobs event: kPromptLogprobs, id, tokenCount
//            an additional outputs event: kAdditionalOutputs, id, sequence, count
//            an end event:  kEnd, id; the last event of an id
//            an error event: kError, id, code, utf16Length; the last event of an id; code is an ExecutorCode
//   text     all text and error messages back to back, sliced by utf16Length
//   tokens   of the text events, tokenCount each
//   logprobs of the prompt logprobs events and the text events with hasLogprobs, for each token: logprob, topCount, then
//            topCount times token, logprob
//   logits   one for each context logits event and each text event with hasLogits
//   tensors  of the additional outputs events, count each
enum EventKind {
  kText = 0,
  kStart = 1,
  kEnd = 2,
  kError = 3,
  kContextLogits = 4,
  kPromptLogprobs = 5,
  kAdditionalOutputs = 6
};
enum StopKind { kStopNone = 0, kStopString = 1, kStopToken = 2 };

struct Matrix {
  std::vector<float> data;
  uint32_t rows;
  uint32_t columns;
};

struct NamedTensor {
  std::string name;
  ExecutorDataType data_type;
  std::vector<int64_t> shape;
  std::vector<unsigned char> bytes;
};

struct Mail {
  std::vector<double> numbers;
  std::string text;
  std::vector<int32_t> tokens;
  std::vector<double> logprobs;
  std::vector<Matrix> logits;
  std::vector<NamedTensor> tensors;

  bool empty() const { return numbers.empty(); }
  void Clear();
  void Append(Mail* other);
  void AddError(uint64_t id, ExecutorCode code, std::string_view message);
};

class Mailbox {
 public:
  // `wake` asks the event loop to call Take soon; it is called without a lock held, from any thread.
  explicit Mailbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  // The pump's side: moves what `mail` holds to the environment and wakes it if it is not awake already.
  void Post(Mail* mail);
  // The environment's side: everything that was posted. `mail` should be empty; its memory is used again.
  void Take(Mail* mail);
  // The environment ends: what is posted from now on is dropped, and nothing wakes it any more.
  void Close();
  uint64_t wakeups() const;

 private:
  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  Mail mail_;
  bool awake_ = false;
  bool closed_ = false;
  uint64_t wakeups_ = 0;
};

}  // namespace addon

#endif  // ADDON_MAILBOX_H_
