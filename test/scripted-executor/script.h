// What a scripted executor does: read from script.json in the engine directory, every field optional.
#ifndef SCRIPTED_EXECUTOR_SCRIPT_H_
#define SCRIPTED_EXECUTOR_SCRIPT_H_

#include <cstdint>
#include <string>

namespace scripted {

struct Script {
  uint64_t load_ms = 0;               // create takes this long, and tells its progress every millisecond
  uint64_t silent_ms = 0;             // and before that so long, in which it tells nothing and cannot be aborted
  uint64_t memory_mb = 0;             // create takes this much memory, and destroy gives it back
  uint64_t step_ms = 0;               // from one step to the next; 0: as fast as wait is called
  uint64_t tokens_per_step = 1;       // of each request, in one row
  uint64_t fail_every = 0;            // every n-th request ends in an error after its first row; 0: none
  bool late_rows = false;             // a request that has ended gives one more row of tokens
  bool doubled_finals = false;        // and one more final row
  bool unknown_rows = false;          // every step has a row of a request that never was
  bool deaf = false;                  // cancel does nothing
  uint64_t endless_logits_every = 0;  // the first row of every n-th request has logits that no memory can hold; 0: none
  bool echo = false;  // an answer is the part of the prompt between the tokens 2 and 3, and then an end token
  // A line of LOG_DEBUG with the config, and one with each request, as tell.h writes them; one with each cancel: of how many.
  bool tell = false;
  uint64_t capabilities = 1 << 12;  // CAN_SEVERAL_SEQUENCES
  bool log = false;                 // a line of each level at the start of create, and one of LOG_INFO in destroy
  std::string throw_in;             // the table function that throws, by its name in ExecutorTable
  uint64_t throw_at_call = 1;       // and at which call of it; calls count from 1,
  uint64_t throw_at_requests = 0;   // once so many requests have been submitted
};

// Throws executor::Failure where the file is there and no script.
Script ReadScript(const std::string& engine_dir);

}  // namespace scripted

#endif  // SCRIPTED_EXECUTOR_SCRIPT_H_
