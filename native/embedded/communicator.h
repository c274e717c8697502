// What the ranks that share the layers of a stage (tensor parallelism) exchange in a step.
#ifndef EMBEDDED_COMMUNICATOR_H_
#define EMBEDDED_COMMUNICATOR_H_

#include <cstddef>

namespace embedded {

// One rank's end. All ranks make the same calls in the same order; a call ends when the others made theirs. Values lie in
// the memory of the rank's device.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int ranks() const = 0;

  // values [count] become the sum of those of all ranks, added up in the order of ranks: all get the same bits.
  virtual void AllReduce(float* values, size_t count) = 0;

  // all [ranks, count] gets the part [count] of each rank, in their order; null: this rank does not need them.
  virtual void AllGather(const float* part, size_t count, float* all) = 0;
};

}  // namespace embedded

#endif  // EMBEDDED_COMMUNICATOR_H_
