// What the stand-in does over MPI: with_mpi.cc where it is built with one, else without_mpi.cc.
#ifndef STAND_IN_MPI_WORLD_H_
#define STAND_IN_MPI_WORLD_H_

#include <filesystem>
#include <memory>

#include "role.h"

namespace stand_in {

enum class OnAbort { kEndTheJob, kKillTheParentToo };

// Once in a process, and only if nobody initialised MPI before: starts it, has it ended at exit, and takes SIGABRT and
// SIGSEGV, which then end the process by MPI_Abort.
void InitializeMpi(OnAbort on_abort);

// MPI_Abort.
[[noreturn]] void AbortJob();

tle::SizeType32 WorldSize();
tle::SizeType32 WorldRank();

// Starts the ranks and loads the engine in them. Throws as NVIDIA's library does; a rank that ends while it loads leaves it
// waiting for good.
std::unique_ptr<Role> MakeOrchestrator(const std::filesystem::path& engine_dir, const tle::ExecutorConfig& config,
                                       tle::SizeType32 ranks);

// Of the leader: lets the other ranks of its world end.
void EndFollowers();
// Of the others: returns when the leader has.
void AwaitLeader();

}  // namespace stand_in

#endif  // STAND_IN_MPI_WORLD_H_
