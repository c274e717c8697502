// What a stand-in does wrong on purpose: read from stand-in.json in the engine directory, every field optional.
#ifndef STAND_IN_SCRIPT_H_
#define STAND_IN_SCRIPT_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace stand_in {

struct Script {
  uint64_t load_ms = 0;  // a rank reads its engine for this long

  // Of an engine without rank0.safetensors, which answers with letters:
  uint64_t step_ms = 0;                // from one step to the next
  std::vector<uint64_t> deltas = {1};  // tokens of a sequence's successive steps, over and over; 0: an empty response

  // Of any engine:
  uint64_t final_steps_late = 0;  // a sequence's final response comes this many steps after its last tokens, empty
  bool doubled_finals = false;    // a request's final response comes twice
  bool unknown_ids = false;       // with each response comes one of a request that never was
  uint64_t fail_every = 0;        // every n-th request ends in an error response after its first step; 0: none
  bool fail_without_client_id = false;  // and that response has no client id
  uint64_t forward_fails_at = 0;        // from this step on every step fails, as after a sticky CUDA error; 0: never
  std::string throw_in;                 // the function of Executor that throws; "Executor" is the constructor
  uint64_t throw_at_call = 1;           // and at which call of it; calls count from 1
  bool throw_no_exception = false;      // what is thrown is no std::exception
  std::string abort_in;  // the function of Executor that ends the process by abort(); "step": a step does

  // Of the rank that takes requests where an orchestrator has started it:
  std::string worker_ends_by;        // "exit", "abort", "MPI_Abort" or "SIGKILL"
  uint64_t worker_ends_at_step = 0;  // 0: while it loads
};

// Throws TllmException where the file is there and no script.
Script ReadScript(const std::filesystem::path& engine_dir);

}  // namespace stand_in

#endif  // STAND_IN_SCRIPT_H_
