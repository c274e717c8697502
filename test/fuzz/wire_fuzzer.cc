// Whatever crosses the socket between the addon and a host, either end refuses it or reads what it can use: decoded, it can be
// encoded again, which reads all of it, and a batch that passes its check gives events as long as they say.
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <set>
#include <string>
#include <vector>

#include "fuzz.h"
#include "fuzzer/FuzzedDataProvider.h"
#include "native/executor/cpp/batch_check.h"
#include "native/isolation/config_fields.h"
#include "native/isolation/descriptor.h"
#include "native/isolation/message_socket.h"
#include "native/isolation/request_fields.h"
#include "native/isolation/response_fields.h"

namespace {
using namespace isolation;  // NOLINT: all of it is about isolation's messages

constexpr uint32_t kVocabSize = 64;

// A valid message of each kind with all its parts, to be damaged.
class Examples {
 public:
  Examples() {
    for (int i = 0; i < 8; ++i) offsets_[static_cast<size_t>(i)] = static_cast<uint32_t>(i);
    details_.size = sizeof(details_);
    details_.set = DETAILS_USAGE | DETAILS_TIMING | DETAILS_STOP_TOKEN;
    details_.prompt_tokens = 2;
    details_.prompt_logprobs = floats_.data();
    details_.prompt_top_count = 1;
    details_.prompt_top_tokens = tokens_.data();
    details_.prompt_top_logprobs = floats_.data();
    details_.context_logits = details_.generation_logits = &logits_;
    details_.additional_outputs = &named_;
    details_.additional_output_count = 1;
    details_.error = &error_;
    phase_.size = sizeof(phase_);
    phase_.first_token_count = 2;
    phase_.first_tokens = tokens_.data();
    details_.context_phase = &phase_;
    details_.embedding = floats_.data();
    details_.embedding_size = 2;
    ExecutorBatch batch{};
    batch.size = sizeof(batch);
    batch.row_count = 2;
    batch.request_ids = ids_.data();
    batch.sequences = offsets_.data();
    batch.finish = bytes_.data();
    batch.flags = bytes_.data();
    batch.token_offsets = offsets_.data();
    batch.tokens = tokens_.data();
    batch.logprobs = floats_.data();
    batch.top_offsets = offsets_.data();
    batch.top_tokens = tokens_.data();
    batch.top_logprobs = floats_.data();
    batch.details = row_details_.data();
    messages_.push_back(Encode(MessageType::kBatch, batch));

    ExecutorSampling sampling{};
    sampling.size = sizeof(sampling);
    ExecutorOutputConfig output{};
    output.size = sizeof(output);
    output.additional_outputs = names_.data();
    output.additional_output_count = 2;
    ExecutorLora lora{};
    lora.size = sizeof(lora);
    lora.weights = &logits_;
    const ExecutorGuided guided = {GUIDE_REGEX, "a+"};
    ExecutorRequest request{};
    request.size = sizeof(request);
    request.tokens = tokens_.data();
    request.token_count = 4;
    request.end_ids = tokens_.data();
    request.end_id_count = 2;
    request.stop_tokens = request.bad_tokens = {tokens_.data(), offsets_.data(), 2};
    request.logit_bias = {tokens_.data(), floats_.data(), 2};
    request.sampling = &sampling;
    request.output = &output;
    request.lora = &lora;
    request.guided = &guided;
    request.context_phase = &phase_;
    messages_.push_back(Encode(MessageType::kSubmit, request));

    ExecutorConfig config{};
    config.size = sizeof(config);
    config.engine_dir = "engine";
    config.additional_outputs = names_.data();
    config.additional_output_context = bytes_.data();
    config.additional_output_count = 2;
    messages_.push_back(Encode(MessageType::kCreate, HostConfig{"library", &config}));

    StatsAnswer stats{};
    stats.error = executor::EmptyError();
    stats.stats.size = sizeof(stats.stats);
    stats.stats.request_count = 1;
    const ExecutorRequestStats of_request{};
    stats.stats.requests = &of_request;
    messages_.push_back(Encode(MessageType::kStats, stats));

    const ExecutorKvBlock block = {1, 2, KV_BLOCK_LORA_ID, 35, CACHE_LEVEL_DEVICE, 2, tokens_.data()};
    ExecutorKvEvent event{};
    event.type = KV_EVENT_STORED;
    event.blocks = &block;
    event.block_count = 1;
    event.hashes = ids_.data();
    event.hash_count = 2;
    messages_.push_back(Encode(MessageType::kKvEvents, ExecutorKvEvents{sizeof(ExecutorKvEvents), 1, &event}));

    ExecutorInfo info{};
    info.size = sizeof(info);
    info.vocab_size = kVocabSize;
    info.name = info.version = info.device = info.data_type = "name";
    messages_.push_back(Encode(MessageType::kLoaded, info));
    messages_.push_back(Encode(MessageType::kFailed, error_));
    messages_.push_back(Encode(MessageType::kLog, LogLine{LOG_INFO, "line"}));
    messages_.push_back(Encode(MessageType::kCancel, IdList{ids_.data(), 2}));
    messages_.push_back(Encode(MessageType::kProgress, LoadProgress{0.5}));
    messages_.push_back(Encode(MessageType::kShutdown, ShutdownOrder{5}));
  }
  const std::vector<Bytes>& messages() const { return messages_; }

 private:
  std::array<uint64_t, 2> ids_ = {1, 2};
  std::array<uint32_t, 8> offsets_{};
  std::array<uint8_t, 8> bytes_{};
  std::array<int32_t, 8> tokens_{};
  std::array<float, 2 * kVocabSize> floats_{};
  std::array<const char*, 2> names_ = {"one", "two"};
  ExecutorTensor logits_ = {floats_.data(), DATA_TYPE_FLOAT32, 2, {2, kVocabSize, 0, 0}};
  ExecutorNamedTensor named_ = {"name", {floats_.data(), DATA_TYPE_INT8, 1, {3, 0, 0, 0}}};
  ExecutorError error_ = [] {
    ExecutorError error = executor::EmptyError();
    executor::Report(&error, EXECUTOR_INTERNAL, "failed", 1, "field");
    return error;
  }();
  ExecutorContextPhase phase_{};
  ExecutorRowDetails details_{};
  std::array<const ExecutorRowDetails*, 2> row_details_ = {&details_, nullptr};
  std::vector<Bytes> messages_;
};

// What a pump does with a batch that passed: adds up all that the batch says is there.
double Sum(const ExecutorBatch& batch) {
  double sum = 0;
  const uint32_t tokens = batch.token_offsets[batch.row_count];
  for (uint32_t token = 0; token < tokens; ++token) {
    sum += batch.tokens[token];
    if (batch.logprobs != nullptr) sum += batch.logprobs[token];
    for (uint32_t top = batch.top_offsets ? batch.top_offsets[token] : 0,
                  end = batch.top_offsets ? batch.top_offsets[token + 1] : 0;
         top < end; ++top)
      sum += batch.top_tokens[top] + batch.top_logprobs[top];
  }
  for (uint32_t row = 0; row < batch.row_count; ++row) {
    const ExecutorRowDetails* details = batch.details == nullptr ? nullptr : batch.details[row];
    if (batch.finish[row] == FINISH_ERROR) sum += static_cast<double>(std::strlen(details->error->message));
    if (details == nullptr) continue;
    for (const ExecutorTensor* logits : {details->context_logits, details->generation_logits})
      for (int64_t i = 0; logits != nullptr && i < logits->shape[0] * logits->shape[1]; ++i)
        sum += static_cast<const float*>(logits->data)[i];
    for (uint64_t i = 0; details->prompt_logprobs != nullptr && i < details->prompt_tokens; ++i) {
      sum += details->prompt_logprobs[i];
      for (uint64_t top = i * details->prompt_top_count; top < (i + 1) * details->prompt_top_count; ++top)
        sum += details->prompt_top_tokens[top] + details->prompt_top_logprobs[top];
    }
    for (uint32_t i = 0; i < details->embedding_size; ++i) sum += details->embedding[i];
    for (uint32_t i = 0; i < details->additional_output_count; ++i) {
      const ExecutorNamedTensor& output = details->additional_outputs[i];
      sum += static_cast<double>(std::strlen(output.name));
      for (uint64_t byte = 0; byte < executor::TensorBytes(output.tensor); ++byte)
        sum += static_cast<const unsigned char*>(output.tensor.data)[byte];
    }
  }
  return sum;
}

template <typename T>
void Read(Message message) {
  const auto read = Decode<T>(std::move(message.payload));
  const Bytes again = Encode(message.type, *read);
  if constexpr (std::is_same_v<T, ExecutorBatch>) {
    executor::CheckBatch(*read, kVocabSize);
    if (read->row_count > 0) (void)Sum(*read);
  }
  const auto twice = Decode<T>(Payload(Bytes(again.begin() + sizeof(Header), again.end())));
  fuzz::Require(Encode(message.type, *twice) == again, "what was read can be sent again");
}

void ReadAny(Message message) {
  switch (message.type) {
    case MessageType::kCreate:
      return Read<HostConfig>(std::move(message));
    case MessageType::kSubmit:
      return Read<ExecutorRequest>(std::move(message));
    case MessageType::kCancel:
      return Read<IdList>(std::move(message));
    case MessageType::kShutdown:
      return Read<ShutdownOrder>(std::move(message));
    case MessageType::kProgress:
      return Read<LoadProgress>(std::move(message));
    case MessageType::kLog:
      return Read<LogLine>(std::move(message));
    case MessageType::kLoaded:
      return Read<ExecutorInfo>(std::move(message));
    case MessageType::kBatch:
      return Read<ExecutorBatch>(std::move(message));
    case MessageType::kStats:
      return Read<StatsAnswer>(std::move(message));
    case MessageType::kKvEvents:
      return Read<ExecutorKvEvents>(std::move(message));
    case MessageType::kFailed:
      return Read<ExecutorError>(std::move(message));
    default:
      return;
  }
}

// What the other end sends: a few messages, damaged at places of the input's choice, or the input itself.
Bytes MakeStream(FuzzedDataProvider* input) {
  static const Examples examples;
  Bytes stream;
  for (int left = input->ConsumeIntegralInRange(1, 3); left > 0; --left) {
    const size_t example = input->ConsumeIntegralInRange<size_t>(0, examples.messages().size());
    if (example == examples.messages().size()) {
      const auto raw = input->ConsumeBytes<unsigned char>(input->ConsumeIntegralInRange<size_t>(0, 300));
      stream.insert(stream.end(), raw.begin(), raw.end());
      continue;
    }
    Bytes message = examples.messages()[example];
    for (int edits = input->ConsumeIntegralInRange(0, 4); edits > 0; --edits) {
      const size_t at = input->ConsumeIntegralInRange<size_t>(0, message.size() / 4) * 4;
      const auto bytes = input->ConsumeIntegralInRange<size_t>(1, 8);
      if (input->ConsumeBool()) {
        const auto value = input->ConsumeBool() ? input->ConsumeIntegral<uint64_t>()
                                                : uint64_t{input->ConsumeIntegral<uint8_t>()};
        if (at + bytes <= message.size()) std::memcpy(message.data() + at, &value, bytes);
      } else if (at + bytes <= message.size() && at >= sizeof(Header)) {
        const auto place = message.begin() + static_cast<std::ptrdiff_t>(at);
        if (input->ConsumeBool())
          message.erase(place, place + static_cast<std::ptrdiff_t>(bytes));
        else
          message.insert(place, bytes, 0);
        const uint64_t payload_bytes = message.size() - sizeof(Header);
        std::memcpy(message.data(), &payload_bytes, sizeof(payload_bytes));
      }
    }
    stream.insert(stream.end(), message.begin(), message.end());
  }
  return stream;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  const auto from = input.ConsumeBool() ? MessageReceiver::From::kHost : MessageReceiver::From::kAddon;
  const Bytes stream = MakeStream(&input);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 0;
  const Descriptor reads(ends[0]);
  {
    const Descriptor writes(ends[1]);
    fuzz::Require(send(writes.get(), stream.data(), stream.size(), MSG_DONTWAIT) == static_cast<ssize_t>(stream.size()),
                "the socket holds the stream");
  }
  MessageReceiver receiver(from);
  try {
    while (receiver.Receive(reads.get(), 0) == MessageReceiver::State::kMessage) ReadAny(receiver.Take());
  } catch (const executor::Failure&) {  // refused
  }
  return 0;
}
