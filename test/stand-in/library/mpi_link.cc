#include "mpi_link.h"

#include <chrono>
#include <thread>

namespace stand_in {

void MpiLink::Send(const Message& message) const {
  CheckMpi(MPI_Send(message.bytes.data(), static_cast<int>(message.bytes.size()), MPI_CHAR, 0,
                    static_cast<int>(message.tag), link_));
}

Message MpiLink::Receive() const {
  MPI_Status status;
  MPI_Message handle;
  int has_come = 0;
  while (true) {
    CheckMpi(MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, link_, &has_come, &handle, &status));
    if (has_come != 0) break;
    if (poll_period_ms_ > 0) std::this_thread::sleep_for(std::chrono::milliseconds(poll_period_ms_));
  }
  int count = 0;
  CheckMpi(MPI_Get_count(&status, MPI_CHAR, &count));
  Message message{static_cast<MessageTag>(status.MPI_TAG), Bytes(static_cast<size_t>(count))};
  CheckMpi(MPI_Mrecv(message.bytes.data(), count, MPI_CHAR, &handle, MPI_STATUS_IGNORE));
  return message;
}

void Broadcast(Bytes* job, int root, MPI_Comm link) {
  int count = static_cast<int>(job->size());
  CheckMpi(MPI_Bcast(&count, 1, MPI_INT, root, link));
  job->resize(static_cast<size_t>(count));
  CheckMpi(MPI_Bcast(job->data(), count, MPI_CHAR, root, link));
}

}  // namespace stand_in
