#include "native/isolation/wire.h"

namespace isolation {

Writer::Writer(MessageType type) : bytes_(sizeof(Header)) {
  const Header header = {0, kWireVersion, type};
  std::memcpy(bytes_.data(), &header, sizeof(header));
}

Bytes Writer::Take() {
  const uint64_t payload_bytes = bytes_.size() - sizeof(Header);
  std::memcpy(bytes_.data(), &payload_bytes, sizeof(payload_bytes));
  return std::move(bytes_);
}

void Writer::Text(const char*& text) {
  if (!Present(text)) return;
  uint64_t size = std::strlen(text) + 1;
  Values(size);
  Put(text, size);
}

bool Writer::Present(const void* data) {
  uint32_t present = data == nullptr ? 0 : 1;
  Values(present);
  return data != nullptr;
}

void Writer::Put(const void* data, uint64_t size) {
  const auto* begin = static_cast<const unsigned char*>(data);
  bytes_.insert(bytes_.end(), begin, begin + size);
}

void Reader::Text(const char*& text) {
  if (!Present()) return;
  uint64_t size = 0;
  Values(size);
  text = reinterpret_cast<const char*>(Take(size));
  if (size == 0 || text[size - 1] != 0) BreaksOff();
}

bool Reader::Present() {
  uint32_t present = 0;
  Values(present);
  return present != 0;
}

const unsigned char* Reader::Take(uint64_t size) {
  if (position_ > payload_.size() || size > payload_.size() - position_) BreaksOff();
  const unsigned char* data = payload_.data() + position_;
  position_ += size;
  return data;
}

void Reader::BreaksOff() {
  throw executor::Failure(EXECUTOR_INTERNAL,
                          "A message between the addon and its host is incomplete. Please report this.");
}

}  // namespace isolation
