// The standard streams of Open MPI's daemon, through which those of the workers go.
#ifndef ADAPTER_DAEMON_STREAMS_H_
#define ADAPTER_DAEMON_STREAMS_H_

namespace adapter {

// While one exists, a process that its thread forks has no standard input, and its output goes to this process's standard
// error. Node.js marks its three standard streams close-on-exec, so Open MPI's daemon would open other files under
// their numbers, use those as its streams, and hang as soon as a worker writes.
class DaemonStreams {
 public:
  DaemonStreams();
  ~DaemonStreams();
  DaemonStreams(const DaemonStreams&) = delete;
  DaemonStreams& operator=(const DaemonStreams&) = delete;
};

}  // namespace adapter

#endif  // ADAPTER_DAEMON_STREAMS_H_
