// What of this machine matters to the CUDA executor, asked before an engine is loaded.
#ifndef EMBEDDED_CUDA_MACHINE_H_
#define EMBEDDED_CUDA_MACHINE_H_

#include <string>

namespace embedded::cuda {

// A JSON object; `problem` is null, or says what was found, what is expected and how to fix it:
//   {"driver": {"version": "580.95.05", "cuda": "13.0", "problem": null},
//    "devices": [{"name", "uuid", "computeCapability": "9.0", "memoryBytes", "freeBytes", "isMig", "problem",
//                  "peers": [{"device": 1, "nvlink": true}]}],   // whose memory its kernels can read
//    "cublasLt": {"path", "version": "13.0.2", "problem"},
//    "architectures": ["90a"]}
// What is not known is null. Makes no CUDA context; starts the driver and opens cuBLASLt.
std::string DescribeMachine();

}  // namespace embedded::cuda

#endif  // EMBEDDED_CUDA_MACHINE_H_
