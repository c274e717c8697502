// Messages between an orchestrator and the first of its workers, over the intercommunicator that MPI_Comm_spawn gives.
#ifndef STAND_IN_MPI_LINK_H_
#define STAND_IN_MPI_LINK_H_

#include <mpi.h>

#include "wire.h"

namespace stand_in {

// Throws as NVIDIA's library does where an MPI function answers anything but MPI_SUCCESS.
void CheckMpi(int result, const char* file = __builtin_FILE(), int line = __builtin_LINE());

enum class MessageTag { kSubmission = 1, kCancel, kResponses, kTermination };

struct Message {
  MessageTag tag;
  Bytes bytes;
};

class MpiLink {
 public:
  // poll_period_ms 0: looks for messages without a pause, which takes a whole core.
  MpiLink(MPI_Comm link, int poll_period_ms) : link_(link), poll_period_ms_(poll_period_ms) {}

  void Send(const Message& message) const;
  // Blocks.
  Message Receive() const;

 private:
  const MPI_Comm link_;
  const int poll_period_ms_;
};

// The job, from the orchestrator to all its workers; `root` as in MPI_Bcast.
void Broadcast(Bytes* job, int root, MPI_Comm link);

}  // namespace stand_in

#endif  // STAND_IN_MPI_LINK_H_
