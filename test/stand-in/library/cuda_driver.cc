// libcuda.so.1: the part of NVIDIA's driver that is asked which GPUs there are. STAND_IN_GPUS names others than eight H100s:
// "7.5 Tesla T4, 8.0 A100" by compute capability and name; each has 80 GB. STAND_IN_CUDA_ERROR is what cuInit fails with, or
// "abort". STAND_IN_NO_PEER_ACCESS is two GPUs of which the first cannot read the other's memory: "0 1". STAND_IN_CUDA_VERSION is the newest CUDA that it runs, as 12040 for 12.4.
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Gpu {
  int major;
  int minor;
  std::string name;
};

std::vector<Gpu> Gpus() {
  const char* const given = std::getenv("STAND_IN_GPUS");
  if (given == nullptr) return std::vector<Gpu>(8, {9, 0, "Stand-in H100"});
  std::vector<Gpu> gpus;
  std::istringstream list(given);
  for (std::string text; std::getline(list, text, ',');) {
    Gpu gpu{};
    int name = 0;
    if (std::sscanf(text.c_str(), " %d.%d %n", &gpu.major, &gpu.minor, &name) == 2) {
      gpu.name = text.substr(name);
      gpus.push_back(gpu);
    }
  }
  return gpus;
}

}  // namespace

extern "C" {

int cuDriverGetVersion(int* version) {
  const char* const given = std::getenv("STAND_IN_CUDA_VERSION");
  *version = given == nullptr ? 13000 : std::atoi(given);
  return 0;
}

int cuInit(unsigned) {
  const char* const error = std::getenv("STAND_IN_CUDA_ERROR");
  if (error != nullptr && std::string(error) == "abort") std::abort();
  return error == nullptr ? 0 : std::atoi(error);
}

int cuGetErrorName(int, const char** name) {
  *name = "CUDA_ERROR_STAND_IN";
  return 0;
}

int cuDeviceGetCount(int* count) {
  *count = static_cast<int>(Gpus().size());
  return 0;
}

int cuDeviceGet(int* device, int id) {
  *device = id;
  return 0;
}

int cuDeviceGetName(char* name, int size, int device) {
  std::snprintf(name, size, "%s", Gpus().at(device).name.c_str());
  return 0;
}

int cuDeviceGetUuid_v2(unsigned char* uuid, int device) {
  for (int i = 0; i < 16; ++i) uuid[i] = static_cast<unsigned char>(device);
  return 0;
}

int cuDeviceTotalMem_v2(size_t* bytes, int) {
  *bytes = 80'000'000'000;
  return 0;
}

int cuDeviceCanAccessPeer(int* can, int device, int peer) {
  const char* const lacking = std::getenv("STAND_IN_NO_PEER_ACCESS");
  *can = lacking == nullptr || std::to_string(device) + " " + std::to_string(peer) != lacking;
  return 0;
}

int cuDeviceGetAttribute(int* value, int attribute, int device) {
  constexpr int kMultiprocessors = 16, kMajor = 75;
  const Gpu gpu = Gpus().at(device);
  *value = attribute == kMultiprocessors ? 132 : attribute == kMajor ? gpu.major : gpu.minor;
  return 0;
}

}  // extern "C"
