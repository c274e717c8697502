#include "native/embedded/cuda/machine.h"

#include <dlfcn.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>
#include <vector>

#include "native/embedded/cuda/cublaslt.h"
#include "native/embedded/cuda/driver.h"
#include "native/executor/cpp/failure.h"

namespace embedded::cuda {
namespace {

// NVIDIA's management library, which nvidia-smi uses too: it knows how much memory is free without a CUDA context. Where it is
// missing or refuses, its facts are unknown. The numbers and types of its interface do not change.
class Management {
 public:
  Management() : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
    if (library_ != nullptr && !Call("nvmlInit_v2")) library_ = nullptr;
  }

  std::optional<std::string> DriverVersion() const {
    std::array<char, 80> version{};
    if (!Call("nvmlSystemGetDriverVersion", version.data(), static_cast<unsigned>(version.size()))) return std::nullopt;
    return version.data();
  }
  // Whether two GPUs reach each other over NVLink.
  std::optional<bool> HasNvlink(const std::string& uuid, const std::string& other_uuid) const {
    constexpr int kNvlink = 2, kOk = 0;  // NVML_P2P_CAPS_INDEX_NVLINK, NVML_P2P_STATUS_OK
    void *device = nullptr, *other = nullptr;
    int status = 0;
    if (!Call("nvmlDeviceGetHandleByUUID", uuid.c_str(), &device)) return std::nullopt;
    if (!Call("nvmlDeviceGetHandleByUUID", other_uuid.c_str(), &other)) return std::nullopt;
    if (!Call("nvmlDeviceGetP2PStatus", device, other, kNvlink, &status)) return std::nullopt;
    return status == kOk;
  }
  std::optional<uint64_t> FreeBytes(const std::string& uuid) const {
    void* device = nullptr;
    struct {
      unsigned long long total, free, used;
    } memory{};
    if (!Call("nvmlDeviceGetHandleByUUID", uuid.c_str(), &device)) return std::nullopt;
    if (!Call("nvmlDeviceGetMemoryInfo", device, static_cast<void*>(&memory))) return std::nullopt;
    return memory.free;
  }

 private:
  // The arguments must have the very types of the function's parameters.
  template <typename... Arguments>
  bool Call(const char* function, Arguments... arguments) const {
    if (library_ == nullptr) return false;
    const auto call = reinterpret_cast<int (*)(Arguments...)>(dlsym(library_, function));
    return call != nullptr && call(arguments...) == 0;
  }

  void* library_;
};

std::string Json(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    char escaped[8];
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", static_cast<unsigned>(c));
      quoted += escaped;
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}
std::string Json(const char* text) { return Json(std::string_view(text)); }
std::string Json(uint64_t number) { return std::to_string(number); }
std::string Json(bool value) { return value ? "true" : "false"; }
template <typename T>
std::string Json(const std::optional<T>& value) {
  return value ? Json(*value) : "null";
}

struct Field {
  const char* name;
  std::string json;
};
std::string Object(const std::vector<Field>& fields) {
  std::string object;
  for (const auto& [name, json] : fields) object += (object.empty() ? "{" : ", ") + Json(name) + ": " + json;
  return object + "}";
}
std::string List(const std::vector<std::string>& items) {
  std::string list;
  for (const std::string& json : items) list += (list.empty() ? "" : ", ") + json;
  return "[" + list + "]";
}

template <typename Body>
std::optional<std::string> ProblemOf(Body body) {
  try {
    body();
    return std::nullopt;
  } catch (const executor::Failure& failure) {
    return failure.what();
  }
}

}  // namespace

std::string DescribeMachine() {
  const DriverAnswers driver = AskDriver();
  const Management management;
  std::vector<std::string> devices;
  for (const Device& device : driver.devices) {
    std::vector<std::string> peers;
    for (const int peer : driver.peers[static_cast<size_t>(device.id)]) {
      const std::string& uuid = driver.devices[static_cast<size_t>(peer)].uuid;
      peers.push_back(Object(
          {{"device", Json(static_cast<uint64_t>(peer))}, {"nvlink", Json(management.HasNvlink(device.uuid, uuid))}}));
    }
    devices.push_back(Object({{"name", Json(device.name)},
                              {"uuid", Json(device.uuid)},
                              {"computeCapability", Json(device.architecture_text())},
                              {"memoryBytes", Json(uint64_t{device.memory_bytes})},
                              {"freeBytes", Json(management.FreeBytes(device.uuid))},
                              {"isMig", Json(device.is_mig())},
                              {"problem", Json(ProblemOf([&] { CheckDevice(device); }))},
                              {"peers", List(peers)}}));
  }
  const CublasLt* cublaslt = nullptr;
  const std::optional<std::string> cublaslt_problem = ProblemOf([&] { cublaslt = &OpenCublasLt(); });
  std::vector<std::string> architectures;
  for (const std::string& each : CompiledArchitectures()) architectures.push_back(Json(each));
  return Object(
      {{"driver", Object({{"version", Json(management.DriverVersion())},
                          {"cuda", driver.cuda_version == 0 ? "null" : Json(CudaVersionText(driver.cuda_version))},
                          {"problem", Json(ProblemOf([&] { CheckDriver(driver); }))}})},
       {"devices", List(devices)},
       {"cublasLt", Object({{"path", cublaslt == nullptr ? "null" : Json(cublaslt->path)},
                            {"version", cublaslt == nullptr ? "null" : Json(cublaslt->version_text())},
                            {"problem", Json(cublaslt_problem)}})},
       {"architectures", List(architectures)}});
}

}  // namespace embedded::cuda
