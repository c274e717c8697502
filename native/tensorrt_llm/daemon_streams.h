// The standard streams of Open MPI's daemon, through which those of the workers go.
#ifndef ADAPTER_DAEMON_STREAMS_H_
#define ADAPTER_DAEMON_STREAMS_H_

namespace adapter {

// While one lives, a process that its thread forks has no standard input, and its output goes to this process's standard error.
// Node.js keeps its own three streams from the programs it starts. Open MPI's daemon would open something else of its own
// under their numbers, read and write it for them, and hang as soon as a worker writes.
class DaemonStreams {
 public:
  DaemonStreams();
  ~DaemonStreams();
  DaemonStreams(const DaemonStreams&) = delete;
  DaemonStreams& operator=(const DaemonStreams&) = delete;
};

}  // namespace adapter

#endif  // ADAPTER_DAEMON_STREAMS_H_
