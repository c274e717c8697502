// How the contract's structs cross a socket: field by field, never as a pointer. A struct is described once, by a function
// Fields(wire, struct) that both directions use; config_fields.h, request_fields.h and response_fields.h have them.
//
// A message is a header and a payload. Both ends are of one build of this package, so numbers keep their layout; arrays lie
// at multiples of 8 bytes in the payload, and what is decoded points into it.
//
// Neither end trusts the other: what a Reader gives lies within the bytes that came, its enums have values of theirs, and what
// Fields says is needed is there.
#ifndef ISOLATION_WIRE_H_
#define ISOLATION_WIRE_H_

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "native/executor/cpp/copy_sized.h"
#include "native/executor/cpp/failure.h"

namespace isolation {

constexpr uint32_t kWireVersion = 2;

using Bytes = std::vector<unsigned char>;

// The bytes of a message that has come. They grow without being copied or cleared, so that what was announced and has not
// come takes no memory.
class Payload {
 public:
  Payload() = default;
  explicit Payload(const Bytes& bytes);

  const unsigned char* data() const { return data_.get(); }
  unsigned char* data() { return data_.get(); }
  uint64_t size() const { return size_; }
  // Throws std::bad_alloc.
  void Grow(uint64_t size);

 private:
  struct Freer {
    void operator()(unsigned char* data) const { std::free(data); }
  };
  std::unique_ptr<unsigned char, Freer> data_;
  uint64_t size_ = 0;
};

// What a message is, and in parentheses what its payload is.
enum class MessageType : uint32_t {
  // To the host.
  kCreate = 1,  // first of all (HostConfig)
  kSubmit,      // one request (ExecutorRequest); one that is refused ends by a row with FINISH_ERROR
  kCancel,      // (IdList)
  kAskStats,    // answered by kStats (nothing)
  kShutdown,    // answered by kShutDown (ShutdownOrder)
  // To the addon.
  kProgress,  // of create (LoadProgress)
  kLog,       // (LogLine)
  kLoaded,    // (ExecutorInfo)
  kBatch,     // (ExecutorBatch)
  kStats,     // (StatsAnswer)
  kKvEvents,  // what came of them since the last one; before the batch of the rows that they came with (ExecutorKvEvents)
  kShutDown,  // (nothing)
  kFailed,    // the host's last message: the load failed, or the executor did (ExecutorError)
};

struct Header {
  uint64_t payload_bytes;
  uint32_t version;
  MessageType type;
  uint64_t request_id;  // of the one request that a kBatch is about; 0: of several, or another message
};

// The library a host opens, and the config of its executor.
struct HostConfig {
  const char* executor_path;  // empty: the CPU's, which is linked in
  const ExecutorConfig* config;
};
struct IdList {
  const uint64_t* ids;
  uint32_t count;
};
struct ShutdownOrder {
  uint32_t deadline_ms;
};
struct LoadProgress {
  double done;
};
struct LogLine {
  ExecutorLogLevel level;
  const char* text;
};
struct StatsAnswer {
  ExecutorError error;  // its code is EXECUTOR_OK where there are stats
  ExecutorStats stats;
};

template <typename T, typename = void>
struct HasSize : std::false_type {};
template <typename T>
struct HasSize<T, std::void_t<decltype(T::size)>> : std::true_type {};

// What the values of an enum lie below.
template <typename T>
constexpr uint32_t kEnumEnd = 0;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorCode> = EXECUTOR_LOAD_ABORTED + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorDataType> = DATA_TYPE_BOOL + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorLogLevel> = LOG_DEBUG + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorKvDtype> = KV_DTYPE_INT8 + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorLoadFormat> = LOAD_FORMAT_DUMMY + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorCapacityPolicy> = CAPACITY_STATIC_BATCH + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorChunkingPolicy> = CHUNKING_EQUAL_PROGRESS + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorCommunicationMode> = COMMUNICATION_ORCHESTRATOR + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorDecodingMode> = DECODING_EAGLE + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorGuidedBackend> = GUIDED_BACKEND_LLGUIDANCE + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorTransceiverBackend> = TRANSCEIVER_MOONCAKE + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorTransferMode> = TRANSFER_POSIX + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorGuide> = GUIDE_STRUCTURAL_TAG + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorRequestType> = REQUEST_EMBEDDING + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorPooling> = POOLING_CLS + 1;
template <>
inline constexpr uint32_t kEnumEnd<ExecutorStage> = STAGE_COMPLETE + 1;

template <>
inline constexpr uint32_t kEnumEnd<ExecutorKvEventType> = KV_EVENT_UPDATED + 1;

[[noreturn]] inline void RefuseMessage(const char* what) {
  throw executor::Failure(
      EXECUTOR_FAILED,
      std::string("A message between this process and the executor's host process ") + what + ". Please report this.");
}

// Structs of the contract may be shorter than those known here (rule 2); those of one version carry no size.
template <typename T>
T CopyOf(const T* given) {
  if constexpr (HasSize<T>::value) {
    return executor::CopySized(given);
  } else {
    return *given;
  }
}

// Fields take what they write by reference, as Reader's do, and change nothing.
class Writer {
 public:
  explicit Writer(MessageType type, uint64_t request_id = 0);

  template <typename... T>
  void Values(T&... values) {
    static_assert((!std::is_pointer_v<T> && ...), "a pointer means nothing in another process");
    (Put(&values, sizeof(values)), ...);
  }
  template <typename T>
  void Array(const T*& data, uint64_t count) {
    if (!Present(data)) return;
    bytes_.resize((bytes_.size() + 7) / 8 * 8);
    Put(data, count * sizeof(T));
  }
  void Text(const char*& text);
  // `context`: what else the fields depend on.
  template <typename T, typename... Context>
  void Group(const T*& group, Context... context) {
    if (!Present(group)) return;
    T copy = CopyOf(group);
    Fields(*this, copy, context...);
  }
  template <typename T>
  void Groups(const T*& groups, uint64_t count) {
    if (!Present(groups)) return;
    for (uint64_t i = 0; i < count; ++i) {
      T copy = groups[i];
      Fields(*this, copy);
    }
  }
  // Of pointers to groups, each of which may be null.
  template <typename T>
  void GroupPointers(const T* const*& groups, uint64_t count) {
    if (!Present(groups)) return;
    for (uint64_t i = 0; i < count; ++i) {
      const T* group = groups[i];
      Group(group);
    }
  }
  void Texts(const char* const*& texts, uint64_t count) {
    if (!Present(texts)) return;
    for (uint64_t i = 0; i < count; ++i) {
      const char* text = texts[i];
      Text(text);
    }
  }

  void Need(bool /*is_there*/) {}

  // The whole message; the writer is empty afterwards.
  Bytes Take();

 private:
  // Not inline, like Reader's, because each field of the contract calls them.
  bool Present(const void* data);
  void Put(const void* data, uint64_t size);

  Bytes bytes_;
};

// Reads a payload, and owns it with everything that points into it. Throws executor::Failure where it is no message.
class Reader {
 public:
  explicit Reader(Payload payload) : payload_(std::move(payload)) {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  template <typename... T>
  void Values(T&... values) {
    (Value(&values), ...);
  }
  template <typename T>
  void Array(const T*& data, uint64_t count) {
    if (!Present()) return;
    position_ = (position_ + 7) / 8 * 8;
    if (count > payload_.size() / sizeof(T)) RefuseMessage("breaks off");
    data = reinterpret_cast<const T*>(Take(count * sizeof(T)));
  }
  void Text(const char*& text);
  template <typename T, typename... Context>
  void Group(const T*& group, Context... context) {
    if (Present()) group = ReadInto(New<T>(1), context...);
  }
  template <typename T>
  void Groups(const T*& groups, uint64_t count) {
    if (!Present()) return;
    constexpr uint64_t kSmallestGroup = 24;
    if (count > payload_.size() / kSmallestGroup) RefuseMessage("breaks off");
    T* read = New<T>(count);
    for (uint64_t i = 0; i < count; ++i) ReadInto(read + i);
    groups = read;
  }
  template <typename T>
  void GroupPointers(const T* const*& groups, uint64_t count) {
    if (!Present()) return;
    const T** read = New<const T*>(count);
    for (uint64_t i = 0; i < count; ++i) Group(read[i]);
    groups = read;
  }
  void Texts(const char* const*& texts, uint64_t count) {
    if (!Present()) return;
    const char** read = New<const char*>(count);
    for (uint64_t i = 0; i < count; ++i) Text(read[i]);
    texts = read;
  }

  // What a user of the struct uses without looking.
  void Need(bool is_there) {
    if (!is_there) RefuseMessage("lacks a part");
  }

  template <typename T, typename... Context>
  T* ReadInto(T* read, Context... context) {
    if constexpr (HasSize<T>::value) read->size = sizeof(T);
    Fields(*this, *read, context...);
    return read;
  }
  // After everything was read.
  void End() const;

 private:
  template <typename T>
  void Value(T* value) {
    const unsigned char* const bytes = Take(sizeof(T));
    if constexpr (std::is_enum_v<T>) {
      static_assert(kEnumEnd<T> > 0, "say where the enum ends");
      std::underlying_type_t<T> number;
      std::memcpy(&number, bytes, sizeof(number));
      if (number >= kEnumEnd<T>) RefuseMessage("has a number that means nothing");
      *value = static_cast<T>(number);
    } else {
      std::memcpy(value, bytes, sizeof(T));
    }
  }
  bool Present();
  const unsigned char* Take(uint64_t size);
  template <typename T>
  T* New(uint64_t count) {
    if (count > payload_.size() / sizeof(uint32_t)) RefuseMessage("breaks off");  // each takes as much at least
    auto made = std::make_shared<std::vector<T>>(count);
    owned_.push_back(made);
    return made->data();
  }

  const Payload payload_;
  uint64_t position_ = 0;
  std::vector<std::shared_ptr<void>> owned_;
};

// A message of one struct. Of those of the contract, only what lies within `size` is written.
template <typename T>
Bytes Encode(MessageType type, const T& value, uint64_t request_id = 0) {
  Writer writer(type, request_id);
  T copy = CopyOf(&value);
  Fields(writer, copy);
  return writer.Take();
}

// The struct that a payload holds; all it points to lives as long as it.
template <typename T>
std::shared_ptr<const T> Decode(Payload payload) {
  struct Message {
    explicit Message(Payload bytes) : reader(std::move(bytes)) {}
    Reader reader;
    T value{};
  };
  const auto message = std::make_shared<Message>(std::move(payload));
  message->reader.ReadInto(&message->value);
  message->reader.End();
  return std::shared_ptr<const T>(message, &message->value);
}

}  // namespace isolation

#endif  // ISOLATION_WIRE_H_
