#include "native/executors/open.h"

#include <dlfcn.h>

#include <cstddef>

#include "native/embedded/cpu/executor_table.h"
#include "native/executor/cpp/failure.h"

namespace executors {
namespace {

std::string LastError() {
  const char* error = dlerror();
  return error == nullptr ? "unknown" : error;
}

// In local scope, or its symbols could be taken for those of Node, which exports OpenSSL, zlib and libuv.
void* OpenLibrary(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw executor::Failure(EXECUTOR_UNAVAILABLE, path + " could not be opened: " + LastError() +
                                                      ". Install what it needs, or use executor: 'cpu'. For "
                                                      "TensorRT-LLM, rebuild it: npx node-tensorrt-llm setup");
  }
  return library;
}

}  // namespace

const ExecutorTable* OpenExecutor(const std::string& path) {
  if (path.empty()) return embedded::cpu::CpuExecutorTable();
  void* library = OpenLibrary(path);
  const auto table_of = reinterpret_cast<ExecutorTableFunction>(dlsym(library, EXECUTOR_TABLE_SYMBOL));
  const ExecutorTable* table = table_of == nullptr ? nullptr : table_of(EXECUTOR_ABI_VERSION);
  // An older one has no kv_events, and no capability that asks for it.
  if (table == nullptr || table->size < offsetof(ExecutorTable, kv_events) ||
      table->abi_version != EXECUTOR_ABI_VERSION) {
    const std::string found = table_of == nullptr ? std::string("exports no ") + EXECUTOR_TABLE_SYMBOL
                                                  : std::string("implements another version of the contract");
    throw executor::Failure(EXECUTOR_UNAVAILABLE, path + " " + found + "; expected version " +
                                                      std::to_string(EXECUTOR_ABI_VERSION) +
                                                      ". Build it against this package's native/executor.");
  }
  return table;
}

std::string DescribeMachine(const std::string& path) {
  const auto describe = reinterpret_cast<ExecutorMachineFunction>(dlsym(OpenLibrary(path), EXECUTOR_MACHINE_SYMBOL));
  if (describe == nullptr)
    throw executor::Failure(EXECUTOR_UNAVAILABLE, path +
                                                      " exports no " EXECUTOR_MACHINE_SYMBOL
                                                      "; expected the CUDA executor of this version. Build it again.");
  return describe();
}

}  // namespace executors
