// Messages over one end of a socket pair.
#ifndef ISOLATION_MESSAGE_SOCKET_H_
#define ISOLATION_MESSAGE_SOCKET_H_

#include <optional>

#include "native/isolation/wire.h"

namespace isolation {

struct Message {
  MessageType type;
  Bytes payload;
};

// Puts messages together from what arrives; one thread reads.
class MessageReceiver {
 public:
  enum class State { kMessage, kIncomplete, kEnd };

  // Reads until a message is complete, the other end is closed, or, if `flags` has MSG_DONTWAIT, nothing more has arrived.
  // Throws executor::Failure if the other end speaks another version.
  State Receive(int socket, int flags);
  // The message, after kMessage.
  Message Take();

 private:
  Header header_{};
  Bytes payload_;
  uint64_t have_ = 0;  // bytes of the header and the payload
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
