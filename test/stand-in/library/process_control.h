// What NVIDIA's library does to its process, and what a process has to do for it.
#ifndef STAND_IN_PROCESS_CONTROL_H_
#define STAND_IN_PROCESS_CONTROL_H_

namespace stand_in {

// Once in a process, and only if MPI was not initialised before: takes SIGABRT and SIGSEGV, which then end the process
// with EXIT_FAILURE as MPI_Abort would. MPI is asked where the process has an MPI_Initialized; the stand-in itself runs
// without MPI.
void InitializeMpi();

// Whether initTrtLlmPlugins was called; without it no engine can be deserialised.
bool ArePluginsRegistered();

}  // namespace stand_in

// For libnvinfer_plugin_tensorrt_llm.so.
extern "C" void stand_in_register_plugins();

#endif  // STAND_IN_PROCESS_CONTROL_H_
