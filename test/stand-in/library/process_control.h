// What NVIDIA's library does to its process, and what a process has to do for it.
#ifndef STAND_IN_PROCESS_CONTROL_H_
#define STAND_IN_PROCESS_CONTROL_H_

#include "script.h"

namespace stand_in {

// Whether initTrtLlmPlugins was called; without it no engine can be deserialised.
bool ArePluginsRegistered();

// Makes this process a rank that an orchestrator has started, whose first rank the script may end.
void BecomeWorker(bool is_first);
// Ends this process where the script says so: at this step, or at 0 while it loads.
void EndWorker(const Script& script, uint64_t step);

}  // namespace stand_in

// For libnvinfer_plugin_tensorrt_llm.so.
extern "C" void stand_in_register_plugins();

#endif  // STAND_IN_PROCESS_CONTROL_H_
