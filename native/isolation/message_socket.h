// Messages over one end of a socket pair.
#ifndef ISOLATION_MESSAGE_SOCKET_H_
#define ISOLATION_MESSAGE_SOCKET_H_

#include <optional>
#include <vector>

#include "native/isolation/wire.h"

namespace isolation {

struct Message {
  MessageType type;
  uint64_t request_id;  // as in Header
  Payload payload;
  bool is_lost;  // no memory sufficed for the payload
};

// Puts messages together from what arrives; one thread reads.
class MessageReceiver {
 public:
  enum class State { kMessage, kIncomplete, kEnd };
  // Who sends them.
  enum class From { kAddon, kHost };

  explicit MessageReceiver(From from) : from_(from) {}

  // Reads until a message is complete, the other end is closed, or, if `flags` has MSG_DONTWAIT, nothing more has arrived.
  // Throws executor::Failure if what arrives is no message of the other end, and std::bad_alloc; a kBatch of one request that
  // memory does not suffice for is a lost message instead.
  State Receive(int socket, int flags);
  // The message, after kMessage.
  Message Take();

 private:
  void CheckHeader() const;
  // Where the next bytes go, and how many.
  std::pair<unsigned char*, uint64_t> Room();

  const From from_;
  Header header_{};
  Payload payload_;
  uint64_t have_ = 0;     // bytes of the header and the payload
  bool is_lost_ = false;  // the payload; what comes of it is dropped
  std::vector<unsigned char> drop_;
};

// Sends one message in parts, without waiting for the other end to read them.
class MessageSender {
 public:
  enum class State { kAllSent, kWouldBlock, kEnd };

  explicit MessageSender(Bytes message) : message_(std::move(message)) {}
  State SendOn(int socket);

 private:
  Bytes message_;
  size_t sent_ = 0;
};

// Sends one message, and waits as long as the other end takes to read it. Returns false if the other end is closed.
bool Send(int socket, const Bytes& message);

}  // namespace isolation

#endif  // ISOLATION_MESSAGE_SOCKET_H_
