// Stands in for the program node_tensorrt_llm_host and answers nonsense. FAKE_HOST in its environment says which; without an
// argument it does as the addon expects. `fake_host --list` prints what there is.
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "native/isolation/config_fields.h"
#include "native/isolation/host_process.h"
#include "native/isolation/message_socket.h"
#include "native/isolation/request_fields.h"
#include "native/isolation/response_fields.h"

namespace isolation {
namespace {

constexpr uint32_t kVocabSize = 259;

void SendNow(const Bytes& message) {
  if (!Send(kHostSocket, message)) _exit(0);
}

// The answer to one request: a row with everything that a row can have, and its last one. What one of the faults changes.
struct Answer {
  explicit Answer(uint64_t id) : ids{id, id} {
    details.size = sizeof(details);
    details.set = DETAILS_USAGE | DETAILS_TIMING;
    details.prompt_tokens = 2;
    details.prompt_logprobs = prompt_logprobs;
    details.prompt_top_count = 1;
    details.prompt_top_tokens = prompt_top_tokens;
    details.prompt_top_logprobs = prompt_logprobs;
    details.context_logits = &context_logits;
    details.generation_logits = &generation_logits;
    details.additional_outputs = &additional_output;
    details.additional_output_count = 1;
    batch.size = sizeof(batch);
    batch.row_count = 2;
    batch.step = 1;
    batch.request_ids = ids;
    batch.sequences = sequences;
    batch.finish = finish;
    batch.flags = flags;
    batch.token_offsets = token_offsets;
    batch.tokens = tokens;
    batch.logprobs = logprobs;
    batch.top_offsets = top_offsets;
    batch.top_tokens = top_tokens;
    batch.top_logprobs = top_logprobs;
    batch.details = row_details;
  }
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  // The last row fails with this.
  void Fail(ExecutorCode code, const char* message) {
    error.code = code;
    std::snprintf(error.message, sizeof(error.message), "%s", message);
    last_details.size = sizeof(last_details);
    last_details.error = &error;
    row_details[1] = &last_details;
    finish[1] = FINISH_ERROR;
  }

  uint64_t ids[2];
  uint32_t sequences[2] = {0, 0};
  uint8_t finish[2] = {FINISH_NONE, FINISH_LENGTH};
  uint8_t flags[2] = {0, ROW_SEQUENCE_FINAL | ROW_REQUEST_FINAL};
  uint32_t token_offsets[3] = {0, 2, 3};
  int32_t tokens[3] = {'a', 'b', 'c'};
  float logprobs[3] = {-1, -1, -1};
  uint32_t top_offsets[4] = {0, 1, 2, 3};
  int32_t top_tokens[3] = {'a', 'b', 'c'};
  float top_logprobs[3] = {-1, -1, -1};
  float prompt_logprobs[2] = {-1, -1};
  int32_t prompt_top_tokens[2] = {'a', 'b'};
  std::vector<float> floats = std::vector<float>(4 * kVocabSize, 0.5f);
  ExecutorTensor context_logits = {floats.data(), DATA_TYPE_FLOAT32, 2, {2, kVocabSize, 0, 0}};
  ExecutorTensor generation_logits = {floats.data(), DATA_TYPE_FLOAT32, 2, {2, kVocabSize, 0, 0}};
  ExecutorNamedTensor additional_output = {"tensor", {floats.data(), DATA_TYPE_FLOAT32, 1, {2, 0, 0, 0}}};
  ExecutorError error = executor::EmptyError();
  ExecutorRowDetails details{};
  ExecutorRowDetails last_details{};
  const ExecutorRowDetails* row_details[2] = {&details, nullptr};
  ExecutorBatch batch{};
};

// By name, what is wrong with the answer.
const std::map<std::string, std::function<void(Answer*)>>& AnswerFaults() {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  static const std::map<std::string, std::function<void(Answer*)>> kFaults = {
      {"no ids", [](Answer* a) { a->batch.request_ids = nullptr; }},
      {"no sequences", [](Answer* a) { a->batch.sequences = nullptr; }},
      {"no flags", [](Answer* a) { a->batch.flags = nullptr; }},
      {"no tokens", [](Answer* a) { a->batch.tokens = nullptr; }},
      {"no top tokens", [](Answer* a) { a->batch.top_tokens = nullptr; }},
      {"no top logprobs", [](Answer* a) { a->batch.top_logprobs = nullptr; }},
      {"no prompt tops", [](Answer* a) { a->details.prompt_top_tokens = nullptr; }},
      {"no prompt top logprobs", [](Answer* a) { a->details.prompt_top_logprobs = nullptr; }},
      {"no additional outputs", [](Answer* a) { a->details.additional_outputs = nullptr; }},
      {"additional output without name", [](Answer* a) { a->additional_output.name = nullptr; }},
      {"context logits of one dimension", [](Answer* a) { a->context_logits.rank = 1; }},
      {"context logits of bytes", [](Answer* a) { a->context_logits.data_type = DATA_TYPE_INT8; }},
      {"context logits of another vocabulary", [](Answer* a) { a->context_logits.shape[1] = 3; }},
      {"context logits of a negative shape",
       [](Answer* a) {
         a->context_logits.shape[0] = -1;
         a->context_logits.shape[1] = 0;
       }},
      {"generation logits of too few rows", [](Answer* a) { a->generation_logits.shape[0] = 1; }},
      {"logits without data", [](Answer* a) { a->context_logits.data = nullptr; }},
      {"an error without an error", [](Answer* a) { a->finish[1] = FINISH_ERROR; }},
      {"an error of no code", [](Answer* a) { a->Fail(EXECUTOR_OK, "all is well"); }},
      {"an unknown finish", [](Answer* a) { a->finish[1] = 77; }},
      {"a token that is none", [](Answer* a) { a->tokens[1] = kVocabSize; }},
      {"a negative token", [](Answer* a) { a->tokens[2] = -1; }},
      {"a top token that is none", [](Answer* a) { a->top_tokens[2] = 1 << 30; }},
      {"a time that is no number", [](Answer* a) { a->details.queue_ms = kNan; }},
      {"an endless time", [](Answer* a) { a->details.total_ms = HUGE_VAL; }},
      {"logprobs of a shorter prompt", [](Answer* a) { a->details.prompt_tokens = 1; }},
      {"a row of another output", [](Answer* a) { a->sequences[0] = 7; }},
      {"an end of another output", [](Answer* a) { a->sequences[1] = 4'000'000'000u; }},
  };
  return kFaults;
}

Bytes HeaderAlone(uint64_t payload_bytes, uint32_t type) {
  const Header header = {payload_bytes, kWireVersion, static_cast<MessageType>(type), 0};
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  return Bytes(bytes, bytes + sizeof(header));
}

Bytes Cut(Bytes message, size_t bytes) {
  message.resize(message.size() - bytes);
  const uint64_t payload_bytes = message.size() - sizeof(Header);
  std::memcpy(message.data(), &payload_bytes, sizeof(payload_bytes));
  return message;
}

Bytes Info(uint32_t vocab_size, const char* name) {
  ExecutorInfo info{};
  info.size = sizeof(info);
  info.vocab_size = vocab_size;
  info.capabilities = (uint64_t{1} << 29) - 1;
  info.name = name;
  info.version = info.device = info.data_type = "fake";
  info.max_batch_size = info.max_num_tokens = info.max_input_len = info.max_seq_len = 1000;
  info.max_beam_width = info.tensor_parallel_size = info.tokens_per_block = info.kv_blocks = 1;
  return Encode(MessageType::kLoaded, info);
}

Bytes WithWord(Bytes message, size_t offset_in_payload, uint32_t word) {
  std::memcpy(message.data() + sizeof(Header) + offset_in_payload, &word, sizeof(word));
  return message;
}

// Messages in place of the answer.
const std::map<std::string, std::function<Bytes(const Bytes& answer)>>& MessageFaults() {
  static const std::map<std::string, std::function<Bytes(const Bytes& answer)>> kFaults = {
      {"a header of 3 GB", [](const Bytes&) { return HeaderAlone(3ull << 30, uint32_t(MessageType::kBatch)); }},
      {"a log line of 3 GB", [](const Bytes&) { return HeaderAlone(3ull << 30, uint32_t(MessageType::kLog)); }},
      {"a header of all bytes", [](const Bytes&) { return HeaderAlone(UINT64_MAX, uint32_t(MessageType::kBatch)); }},
      {"a message of no type", [](const Bytes&) { return HeaderAlone(0, 0); }},
      {"a message of an unknown type", [](const Bytes&) { return HeaderAlone(0, 99); }},
      {"a message to the host", [](const Bytes&) { return HeaderAlone(0, uint32_t(MessageType::kSubmit)); }},
      {"an empty batch", [](const Bytes&) { return HeaderAlone(0, uint32_t(MessageType::kBatch)); }},
      {"a batch that breaks off", [](const Bytes& answer) { return Cut(answer, 5); }},
      {"more rows than bytes", [](const Bytes& answer) { return WithWord(answer, 0, UINT32_MAX); }},
      {"a batch that goes on",
       [](const Bytes& answer) {
         Bytes longer = answer;
         longer.resize(longer.size() + 16);
         return Cut(longer, 0);
       }},
      {"loaded twice", [](const Bytes&) { return Info(kVocabSize, "fake"); }},
      {"unasked stats",
       [](const Bytes&) {
         StatsAnswer answer{};
         answer.error = executor::EmptyError();
         answer.stats.size = sizeof(answer.stats);
         return Encode(MessageType::kStats, answer);
       }},
      {"progress after the load", [](const Bytes&) { return Encode(MessageType::kProgress, LoadProgress{0.5}); }},
      {"a log line without text", [](const Bytes&) { return Encode(MessageType::kLog, LogLine{LOG_INFO, nullptr}); }},
      {"a log line of no level",
       [](const Bytes&) { return WithWord(Encode(MessageType::kLog, LogLine{LOG_INFO, "text"}), 0, 1000); }},
      {"a failure of no code",
       [](const Bytes&) { return Encode(MessageType::kFailed, ExecutorError(executor::EmptyError())); }},
  };
  return kFaults;
}

// Instead of being loaded.
const std::map<std::string, std::function<Bytes()>>& LoadFaults() {
  static const std::map<std::string, std::function<Bytes()>> kFaults = {
      {"loads no vocabulary", [] { return Info(0, "fake"); }},
      {"loads without a name", [] { return Info(kVocabSize, nullptr); }},
      {"answers before it is loaded", [] { return Encode(MessageType::kBatch, Answer(1).batch); }},
      {"progress that is no number",
       [] { return Encode(MessageType::kProgress, LoadProgress{std::numeric_limits<double>::quiet_NaN()}); }},
      {"loads nothing but noise", [] {
         Bytes message = HeaderAlone(1000, uint32_t(MessageType::kLoaded));
         message.resize(message.size() + 1000, 0xA5);
         return message;
       }},
  };
  return kFaults;
}

void Run(const std::string& fault) {
  MessageReceiver receiver(MessageReceiver::From::kAddon);
  while (receiver.Receive(kHostSocket, 0) == MessageReceiver::State::kMessage) {
    Message message = receiver.Take();
    if (message.type == MessageType::kCreate) {
      const auto found = LoadFaults().find(fault);
      SendNow(found == LoadFaults().end() ? Info(kVocabSize, "fake") : found->second());
    }
    if (message.type == MessageType::kShutdown) SendNow(Writer(MessageType::kShutDown).Take());
    if (message.type == MessageType::kAskStats) {
      StatsAnswer answer{};
      answer.error = executor::EmptyError();
      answer.stats.size = sizeof(answer.stats);
      SendNow(Encode(MessageType::kStats, answer));
    }
    if (message.type != MessageType::kSubmit) continue;
    Answer answer(Decode<ExecutorRequest>(std::move(message.payload))->id);
    if (const auto found = AnswerFaults().find(fault); found != AnswerFaults().end()) found->second(&answer);
    if (fault == "an error that is no UTF-8") answer.Fail(EXECUTOR_INTERNAL, "\xFF\xC0 broken \xE2\x82");
    if (fault == "a row of an unknown request") answer.ids[0] = 1ull << 50;
    const Bytes encoded = Encode(MessageType::kBatch, answer.batch);
    const auto found = MessageFaults().find(fault);
    SendNow(found == MessageFaults().end() ? encoded : found->second(encoded));
    if (fault == "rows after the end") SendNow(encoded);
    if (fault == "a header of 3 GB" || fault == "a header of all bytes") {  // and a part of what it announces
      SendNow(Bytes(1 << 20));
      return;
    }
  }
}

}  // namespace
}  // namespace isolation

int main(int count, char** arguments) {
  using namespace isolation;  // for what is in no namespace of its own
  if (count == 2 && std::string(arguments[1]) == "--list") {
    for (const auto& [name, fault] : LoadFaults()) std::printf("load\t%s\n", name.c_str());
    for (const auto& [name, fault] : AnswerFaults()) std::printf("answer\t%s\n", name.c_str());
    for (const auto& [name, fault] : MessageFaults()) std::printf("answer\t%s\n", name.c_str());
    return 0;
  }
  const char* const fault = std::getenv("FAKE_HOST");
  Run(fault == nullptr ? "" : fault);
  return 0;
}
