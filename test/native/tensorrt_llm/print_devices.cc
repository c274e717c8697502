// Prints the GPUs as native/tensorrt_llm/devices finds them, to be held against nvidia-smi on a machine that has some:
//   g++ -std=c++17 -Inative test/native/tensorrt_llm/print_devices.cc native/tensorrt_llm/devices.cc -ldl && ./a.out
#include <cstdio>

#include "native/executor/cpp/failure.h"
#include "native/tensorrt_llm/devices.h"

int main() {
  try {
    const auto devices = adapter::FindDevices();
    if (!devices) std::puts("no libcuda.so.1");
    for (const adapter::Device& device : devices.value_or(std::vector<adapter::Device>()))
      std::printf("%s, compute capability %d.%d, %llu bytes\n", device.name.c_str(), device.compute_capability / 10,
                  device.compute_capability % 10, static_cast<unsigned long long>(device.memory_bytes));
    return 0;
  } catch (const executor::Failure& failure) {
    std::puts(failure.what());
    return 1;
  }
}
