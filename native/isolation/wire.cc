#include "native/isolation/wire.h"

#include <new>
#include <string>

namespace isolation {

Payload::Payload(const Bytes& bytes) {
  Grow(bytes.size());
  if (!bytes.empty()) std::memcpy(data(), bytes.data(), bytes.size());
}

void Payload::Grow(uint64_t size) {
  if (size <= size_) return;
  auto* const grown = static_cast<unsigned char*>(std::realloc(data_.get(), size));
  if (grown == nullptr) throw std::bad_alloc();
  (void)data_.release();
  data_.reset(grown);
  size_ = size;
}

Writer::Writer(MessageType type, uint64_t request_id) : bytes_(sizeof(Header)) {
  const Header header = {0, kWireVersion, type, request_id};
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
  if (size == 0 || text[size - 1] != 0) RefuseMessage("has a text without an end");
}

bool Reader::Present() {
  uint32_t present = 0;
  Values(present);
  if (present > 1) RefuseMessage("has a number that means nothing");
  return present != 0;
}

void Reader::End() const {
  if (position_ != payload_.size()) RefuseMessage("goes on after its end");
}

const unsigned char* Reader::Take(uint64_t size) {
  if (position_ > payload_.size() || size > payload_.size() - position_) RefuseMessage("breaks off");
  const unsigned char* data = payload_.data() + position_;
  position_ += size;
  return data;
}

}  // namespace isolation
