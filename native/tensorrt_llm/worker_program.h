// TensorRT-LLM's executorWorker: the program that orchestrator mode runs one rank of an engine in.
#ifndef ADAPTER_WORKER_PROGRAM_H_
#define ADAPTER_WORKER_PROGRAM_H_

#include <string>

namespace adapter {

// `given`, or the program of the wheel, beside the directory of libtensorrt_llm.so. Throws executor::Failure with
// EXECUTOR_UNAVAILABLE if it cannot be run or lacks a shared library, because MPI would wait for it forever.
std::string FindWorkerProgram(const char* given, const std::string& library_dir);

}  // namespace adapter

#endif  // ADAPTER_WORKER_PROGRAM_H_
