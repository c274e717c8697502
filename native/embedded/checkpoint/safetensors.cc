#include "native/embedded/checkpoint/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <simdjson.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

#include "native/executor/cpp/failure.h"

namespace embedded {
namespace {

using executor::Failure;
using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

// Far above what files of weights have; a header in memory takes several times its bytes in the file.
constexpr uint64_t kMaxHeaderBytes = 32 << 20;
constexpr size_t kMaxTensors = 100'000;
constexpr size_t kMaxDimensions = 64;

std::optional<uint64_t> ElementBits(std::string_view dtype) {
  for (const std::string_view name : {"F64", "I64", "U64"})
    if (dtype == name) return 64;
  for (const std::string_view name : {"F32", "I32", "U32"})
    if (dtype == name) return 32;
  for (const std::string_view name : {"F16", "BF16", "I16", "U16"})
    if (dtype == name) return 16;
  for (const std::string_view name : {"F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL"})
    if (dtype == name) return 8;
  return std::nullopt;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "[" + text + "]";
}

// "A, B or C"
std::string ListOf(const std::vector<std::string>& names) {
  std::string list;
  for (size_t i = 0; i < names.size(); ++i) list += (i == 0 ? "" : i + 1 < names.size() ? ", " : " or ") + names[i];
  return list;
}

// The type in ggml's blocks of this name.
std::optional<WeightType> BlockType(const std::string& name) {
  for (int i = static_cast<int>(WeightType::kQ4_0); i < kWeightTypes; ++i)
    if (name == BlockOf(static_cast<WeightType>(i)).type) return static_cast<WeightType>(i);
  return std::nullopt;
}

class EntryReader {
 public:
  EntryReader(const std::string& path, std::string_view name) : path_(path), name_(name) {}

  TensorEntry Read(const element& value, uint64_t data_start, uint64_t file_bytes) const {
    object fields;
    if (value.get_object().get(fields)) Fail("is not an object");
    TensorEntry entry;
    std::string_view dtype;
    if (fields["dtype"].get_string().get(dtype)) Fail("has no dtype");
    const auto bits = ElementBits(dtype);
    if (!bits) Fail("has the dtype " + std::string(dtype) + ", which the format does not define");
    entry.dtype = dtype;
    const uint64_t needed = ReadShape(fields, &entry) * (*bits / 8);
    array offsets;
    uint64_t begin, end;
    if (fields["data_offsets"].get_array().get(offsets) || offsets.size() != 2 ||
        offsets.at(0).get_uint64().get(begin) || offsets.at(1).get_uint64().get(end) || end < begin)
      Fail("has invalid data_offsets; expected two numbers, the second not below the first");
    if (end > file_bytes - data_start)
      Fail("ends at byte " + std::to_string(end) + "; expected at most " + std::to_string(file_bytes - data_start) +
           ", the bytes after the header");
    if (end - begin != needed)
      Fail("takes " + std::to_string(end - begin) + " bytes; expected " + std::to_string(needed) + " for " +
           ShapeText(entry.shape) + " of " + entry.dtype);
    entry.offset = data_start + begin;
    entry.bytes = needed;
    return entry;
  }

 private:
  // Returns the number of elements; eight times it still fits 64 bits.
  uint64_t ReadShape(const object& fields, TensorEntry* entry) const {
    array shape;
    if (fields["shape"].get_array().get(shape)) Fail("has no shape");
    if (shape.size() > kMaxDimensions)
      Fail("has " + std::to_string(shape.size()) + " dimensions; expected at most " + std::to_string(kMaxDimensions));
    uint64_t elements = 1;
    for (const element& size : shape) {
      int64_t value;
      if (size.get_int64().get(value) || value < 0) Fail("has an invalid shape; expected whole numbers");
      if (value != 0 && elements > std::numeric_limits<uint64_t>::max() / 64 / static_cast<uint64_t>(value))
        Fail("has a shape that is too large for any file");
      elements *= static_cast<uint64_t>(value);
      entry->shape.push_back(value);
    }
    return elements;
  }

  [[noreturn]] void Fail(const std::string& what) const {
    throw Failure(EXECUTOR_ENGINE_WEIGHTS, path_ + ": tensor " + std::string(name_) + " " + what +
                                               ". The file is damaged; replace it, or convert the model again.");
  }

  const std::string& path_;
  std::string_view name_;
};

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path)
    // Without O_NONBLOCK the open of a pipe waits for its writer.
    : path_(path), descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (descriptor_ < 0)
    throw Failure(EXECUTOR_ENGINE_RANKS, path + " cannot be opened: " + std::strerror(errno) +
                                             ". Convert the model again: npx node-tensorrt-llm convert SOURCE DIR");
  try {
    ReadHeader();
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() { close(descriptor_); }

void SafetensorsFile::ReadHeader() {
  struct stat status;
  if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode))
    Fail("is not a regular file; expected the weights of the engine");
  file_bytes_ = static_cast<uint64_t>(status.st_size);
  uint64_t header_bytes;  // little-endian, as every machine is that this runs on
  if (file_bytes_ < sizeof(header_bytes))
    Fail("has " + std::to_string(file_bytes_) + " bytes; expected at least the 8 of a header");
  ReadAt(0, sizeof(header_bytes), &header_bytes);
  if (header_bytes > kMaxHeaderBytes)
    Fail("has a header of " + std::to_string(header_bytes) + " bytes; expected at most " +
         std::to_string(kMaxHeaderBytes));
  if (header_bytes > file_bytes_ - sizeof(header_bytes))
    Fail("is cut off: its header needs " + std::to_string(header_bytes) + " bytes, and the file has " +
         std::to_string(file_bytes_));
  simdjson::padded_string header(header_bytes);
  ReadAt(sizeof(header_bytes), header_bytes, header.data());

  simdjson::dom::parser parser;
  element root;
  object entries;
  if (const auto error = parser.parse(header).get(root))
    Fail(std::string("has a header that is not valid JSON: ") + simdjson::error_message(error));
  if (root.get_object().get(entries)) Fail("has a header that is not a JSON object");
  const uint64_t data_start = sizeof(header_bytes) + header_bytes;
  for (const auto& [name, value] : entries) {
    if (name == "__metadata__") continue;
    if (tensors_.size() == kMaxTensors) Fail("has more than " + std::to_string(kMaxTensors) + " tensors");
    const TensorEntry entry = EntryReader(path_, name).Read(value, data_start, file_bytes_);
    if (!tensors_.emplace(name, entry).second) Fail("has two tensors named " + std::string(name));
  }
  object metadata;
  if (!entries["__metadata__"].get_object().get(metadata))
    for (const auto& [name, value] : metadata) {
      const auto tensor = tensors_.find(std::string(name));
      std::string_view text;
      if (tensor != tensors_.end() && tensor->second.dtype == "U8" && !value.get_string().get(text))
        tensor->second.blocks = text;
    }

  std::vector<std::pair<const std::string*, const TensorEntry*>> by_offset;
  for (const auto& [name, entry] : tensors_) by_offset.push_back({&name, &entry});
  std::sort(by_offset.begin(), by_offset.end(), [](const auto& a, const auto& b) {
    return std::make_pair(a.second->offset, a.second->bytes) < std::make_pair(b.second->offset, b.second->bytes);
  });
  uint64_t end = data_start;
  for (const auto& [name, entry] : by_offset) {
    if (entry->offset != end)
      Fail("has tensor " + *name + (entry->offset < end ? ", which overlaps the one before it" : " after a gap"));
    end += entry->bytes;
  }
  if (end != file_bytes_) Fail("has " + std::to_string(file_bytes_ - end) + " bytes after its last tensor");
}

const TensorEntry& SafetensorsFile::Find(const std::string& name, const std::vector<int64_t>& shape,
                                         const std::vector<std::string>& dtypes) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) Fail("has no tensor " + name + ", which config.json requires");
  const TensorEntry& tensor = found->second;
  if (tensor.shape != shape)
    Fail("has tensor " + name + " with the shape " + ShapeText(tensor.shape) + "; expected " + ShapeText(shape) +
         ", as config.json says");
  if (std::find(dtypes.begin(), dtypes.end(), tensor.dtype) == dtypes.end())
    Fail("has tensor " + name + " as " + tensor.dtype + "; expected " + ListOf(dtypes));
  return tensor;
}

const TensorEntry& SafetensorsFile::FindMatrix(const std::string& name, int outputs, int depth) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end() || found->second.dtype != "U8") return Find(name, {outputs, depth});
  const auto type = BlockType(found->second.blocks);
  if (!type) {
    std::vector<std::string> names;
    for (int i = static_cast<int>(WeightType::kQ4_0); i < kWeightTypes; ++i)
      names.push_back(BlockOf(static_cast<WeightType>(i)).type);
    Fail("has tensor " + name + " as U8 with " +
         (found->second.blocks.empty() ? "no type" : "the type " + found->second.blocks) +
         " in its __metadata__; expected " + ListOf(names));
  }
  const WeightBlock& block = BlockOf(*type);
  if (depth % block.weights != 0)
    Fail("has tensor " + name + " in blocks of " + std::to_string(block.weights) +
         " weights; expected rows of whole blocks, and config.json says " + std::to_string(depth) + " weights");
  return Find(name, {outputs, static_cast<int64_t>(RowBytes(*type, depth))}, {"U8"});
}

WeightType SafetensorsFile::TypeOf(const TensorEntry& tensor) {
  if (tensor.dtype == "U8") return BlockType(tensor.blocks).value();
  if (tensor.dtype == "F32") return WeightType::kFloat32;
  return tensor.dtype == "F16" ? WeightType::kFloat16 : WeightType::kBfloat16;
}

void SafetensorsFile::Read(const TensorEntry& tensor, uint64_t offset, uint64_t bytes, void* out) const {
  ReadAt(tensor.offset + offset, bytes, out);
}

void SafetensorsFile::ReadAt(uint64_t offset, uint64_t bytes, void* out) const {
  auto* next = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t got = pread(descriptor_, next, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) Fail(std::string("cannot be read: ") + std::strerror(errno));
    if (got == 0) Fail("was truncated while it was read");
    next += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<uint64_t>(got);
  }
}

void SafetensorsFile::Fail(const std::string& what) const {
  throw Failure(EXECUTOR_ENGINE_WEIGHTS, path_ + " " + what + ". Replace the file, or convert the model again.");
}

}  // namespace embedded
