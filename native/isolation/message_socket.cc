#include "native/isolation/message_socket.h"

#include <sys/socket.h>

#include <cerrno>
#include <string>

namespace isolation {
namespace {

// Bytes sent; 0 if the socket has no room now, nullopt if the other end is closed.
std::optional<size_t> SendSome(int socket, const unsigned char* data, size_t size, int flags) {
  for (;;) {
    const ssize_t sent = send(socket, data, size, flags | MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<size_t>(sent);
    if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
    if (errno != EINTR) return std::nullopt;
  }
}

}  // namespace

MessageReceiver::State MessageReceiver::Receive(int socket, int flags) {
  for (;;) {
    const bool in_header = have_ < sizeof(header_);
    unsigned char* const to =
        in_header ? reinterpret_cast<unsigned char*>(&header_) + have_ : payload_.data() + (have_ - sizeof(header_));
    const uint64_t all = in_header ? sizeof(header_) : sizeof(header_) + payload_.size();
    if (have_ == all) return State::kMessage;
    const ssize_t got = recv(socket, to, all - have_, flags);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return State::kIncomplete;
    if (got <= 0) return State::kEnd;
    have_ += static_cast<uint64_t>(got);
    if (!in_header || have_ < sizeof(header_)) continue;
    if (header_.version != kWireVersion) {
      throw executor::Failure(EXECUTOR_UNAVAILABLE, "The other process speaks version " +
                                                        std::to_string(header_.version) +
                                                        " of the isolation protocol; expected " +
                                                        std::to_string(kWireVersion) + ". Reinstall the package.");
    }
    payload_.resize(header_.payload_bytes);
  }
}

Message MessageReceiver::Take() {
  have_ = 0;
  return {header_.type, std::exchange(payload_, {})};
}

MessageSender::State MessageSender::SendOn(int socket) {
  while (sent_ < message_.size()) {
    const auto sent = SendSome(socket, message_.data() + sent_, message_.size() - sent_, MSG_DONTWAIT);
    if (!sent.has_value()) return State::kEnd;
    if (*sent == 0) return State::kWouldBlock;
    sent_ += *sent;
  }
  return State::kAllSent;
}

bool Send(int socket, const Bytes& message) {
  for (size_t done = 0; done < message.size();) {
    const auto sent = SendSome(socket, message.data() + done, message.size() - done, 0);
    if (!sent.has_value()) return false;
    done += *sent;
  }
  return true;
}

}  // namespace isolation
