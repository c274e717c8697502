// What the addon tells JavaScript about requests.
#ifndef ADDON_EVENTS_H_
#define ADDON_EVENTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "native/executor/cpp/failure.h"

namespace addon {

// Events in the order they came, cut into arrays that JavaScript reads with one cursor each. lib/addon/events.ts, which
// reads them, must agree with this layout.
//   numbers  a token run:   kTokens, count, then count times id, utf16Length: one token each of sequence 0 and its text,
//                           with nothing else that a text event tells
//            a start event: kStart, id, promptTokens, cachedTokens, queueMs; once for an id
//            a text event:  kText, id, sequence, utf16Length, tokenCount, finish, stopKind, stopValue, hasLogprobs,
//                           hasLogits; finish is an ExecutorFinish, stopValue the index of the stop string or the token
//            a context logits event: kContextLogits, id
//            a prompt logprobs event: kPromptLogprobs, id, tokenCount
//            an additional outputs event: kAdditionalOutputs, id, sequence, count
//            an embedding event: kEmbedding, id
//            a metrics event: kMetrics, id, kvBlocksAllocated, kvBlocksReused, kvBlocksMissed, draftTokens,
//                            draftTokensAccepted, timeToLastTokenMs; before the end event, where the executor has ended
//                            the request
//            an end event:  kEnd, id; the last event of an id
//            an error event: kError, id, code, utf16Length, optionLength; the last event of an id; code is an
//                            ExecutorCode, and the option that it is about, if any, stands behind the message
//   text     all text, error messages and options back to back, sliced by their lengths
//   tokens   of the text events, tokenCount each, and of the token runs, one for each id
//   logprobs of the prompt logprobs events and the text events with hasLogprobs, for each token: logprob, topCount, then
//            topCount times token, logprob
//   logits   one for each context logits event, each text event with hasLogits and, of one row, each embedding event
//   tensors  of the additional outputs events, count each
enum EventKind {
  kText = 0,
  kStart = 1,
  kEnd = 2,
  kError = 3,
  kContextLogits = 4,
  kPromptLogprobs = 5,
  kAdditionalOutputs = 6,
  kTokens = 7,
  kEmbedding = 8,
  kMetrics = 9
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

struct Events {
  std::vector<double> numbers;
  std::string text;
  std::vector<int32_t> tokens;
  std::vector<double> logprobs;
  std::vector<Matrix> logits;
  std::vector<NamedTensor> tensors;

  size_t run_count_at = 0;  // in `numbers`: where the last run has its count,
  size_t run_end = 0;       // and where it ends; 0: there is none

  // Where the events end; what comes later can be taken back.
  struct End {
    size_t numbers, text, tokens, logprobs, logits, tensors, run_count_at, run_end;
    double run_count;
  };

  bool empty() const { return numbers.empty(); }
  void Clear();
  // Moves all of the other's behind these, or, where memory runs out, none.
  void Append(Events* other);
  End end() const;
  void CutBack(const End& end);
  // To the run that is the last event, or to a new one.
  void AddToken(uint64_t id, size_t utf16_length);
  // Words that are no UTF-8 are replaced: their length would put what follows them in the wrong place.
  void AddError(uint64_t id, const executor::Failure& failure);
};

}  // namespace addon

#endif  // ADDON_EVENTS_H_
