// Any bytes as a safetensors file are a file whose tensors can be read, or a Failure with its code.
#include "native/embedded/checkpoint/safetensors.h"

#include <string>
#include <string_view>
#include <vector>

#include "native/executor/cpp/failure.h"
#include "fuzz.h"
#include "plain_utf8.h"

namespace {

constexpr uint8_t kWholeFile = 255;

// The last byte says how many bytes follow the header, which is what comes before; its length is put in front, since few
// guesses of one are right. kWholeFile: the input is the file as it stands.
std::string FileOf(std::string_view input) {
  if (input.empty()) return "";
  const auto last = static_cast<uint8_t>(input.back());
  input.remove_suffix(1);
  if (last == kWholeFile) return std::string(input);
  const uint64_t header_bytes = input.size();
  return std::string(reinterpret_cast<const char*>(&header_bytes), sizeof(header_bytes)) + std::string(input) +
         std::string(last, '\0');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::ScratchFile scratch("rank0.safetensors");
  scratch.Write(FileOf({reinterpret_cast<const char*>(data), size}));
  try {
    const embedded::SafetensorsFile file(scratch.path());
    for (const char* name : {"a", "b"}) {  // the tensors of the seeds
      if (!file.Has(name)) continue;
      const embedded::TensorEntry& tensor = file.FindMatrix(name, 2, 2);
      std::vector<char> values(tensor.bytes);
      file.Read(tensor, 0, tensor.bytes, values.data());
    }
  } catch (const executor::Failure& failure) {
    fuzz::Require(failure.code() == EXECUTOR_ENGINE_WEIGHTS, "the code is the documented one:", failure.what());
    fuzz::Require(fuzz::IsUtf8(failure.what()), "the message is UTF-8:", failure.what());
  }
  return 0;
}
