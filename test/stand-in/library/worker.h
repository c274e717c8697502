#ifndef STAND_IN_WORKER_H_
#define STAND_IN_WORKER_H_

// What executorWorker does: one rank of an engine, for the orchestrator that has started it. Answers the exit status.
extern "C" int stand_in_run_worker();

#endif  // STAND_IN_WORKER_H_
