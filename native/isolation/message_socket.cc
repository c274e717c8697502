#include "native/isolation/message_socket.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <new>
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

// How large the payload of a message may be; of an unknown one 0.
uint64_t MostBytes(MessageType type) {
  constexpr uint64_t kOfText = 1 << 20;
  switch (type) {
    case MessageType::kProgress:
      return sizeof(LoadProgress);
    case MessageType::kShutdown:
      return sizeof(ShutdownOrder);
    case MessageType::kAskStats:
    case MessageType::kShutDown:
      return 0;
    case MessageType::kLog:
    case MessageType::kLoaded:
    case MessageType::kFailed:
      return kOfText;
    case MessageType::kStats:
      return 64 * kOfText;
    case MessageType::kCreate:
    case MessageType::kSubmit:
    case MessageType::kCancel:
    case MessageType::kBatch:
    case MessageType::kKvEvents:
      return UINT64_MAX - sizeof(Header);
  }
  return 0;
}

// What a payload takes before anything of it has come, and is dropped at once.
constexpr uint64_t kFirstBytes = 64 << 10;

}  // namespace

void MessageReceiver::CheckHeader() const {
  if (header_.version != kWireVersion) {
    throw executor::Failure(EXECUTOR_UNAVAILABLE, "The other process speaks version " +
                                                      std::to_string(header_.version) +
                                                      " of the isolation protocol; expected " +
                                                      std::to_string(kWireVersion) + ". Reinstall the package.");
  }
  const auto type = static_cast<uint32_t>(header_.type);
  const auto first = static_cast<uint32_t>(from_ == From::kAddon ? MessageType::kCreate : MessageType::kProgress);
  const auto last = static_cast<uint32_t>(from_ == From::kAddon ? MessageType::kShutdown : MessageType::kFailed);
  if (type < first || type > last) RefuseMessage("is of no type that its sender has");
  if (header_.payload_bytes > MostBytes(header_.type)) RefuseMessage("is larger than its type can be");
}

std::pair<unsigned char*, uint64_t> MessageReceiver::Room() {
  if (have_ < sizeof(header_)) return {reinterpret_cast<unsigned char*>(&header_) + have_, sizeof(header_) - have_};
  const uint64_t got = have_ - sizeof(header_);
  const uint64_t left = header_.payload_bytes - got;
  if (!is_lost_ && left > 0 && got == payload_.size()) {
    try {
      payload_.Grow(std::min(header_.payload_bytes, std::max(2 * got, kFirstBytes)));
    } catch (const std::bad_alloc&) {
      if (header_.request_id == 0) throw;
      is_lost_ = true;
      payload_ = Payload();
      drop_.resize(kFirstBytes);
    }
  }
  if (is_lost_) return {drop_.data(), std::min<uint64_t>(left, drop_.size())};
  return {payload_.data() + got, payload_.size() - got};
}

MessageReceiver::State MessageReceiver::Receive(int socket, int flags) {
  for (;;) {
    const auto [to, size] = Room();
    if (size == 0) return State::kMessage;
    const ssize_t got = recv(socket, to, size, flags);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return State::kIncomplete;
    if (got <= 0) return State::kEnd;
    const bool was_in_header = have_ < sizeof(header_);
    have_ += static_cast<uint64_t>(got);
    if (was_in_header && have_ == sizeof(header_)) CheckHeader();
  }
}

Message MessageReceiver::Take() {
  have_ = 0;
  return {header_.type, header_.request_id, std::exchange(payload_, {}), std::exchange(is_lost_, false)};
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
