// A system that starts no more threads, as at a limit of processes (ulimit -u, a pids cgroup).
#ifndef TEST_NATIVE_THREAD_LIMIT_H_
#define TEST_NATIVE_THREAD_LIMIT_H_

// While it lives, this program can start so many more threads; every further start fails. One at a time.
class ThreadLimit {
 public:
  explicit ThreadLimit(int starts);
  ~ThreadLimit();
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

  // Whether a start has failed.
  bool was_met() const;
};

#endif  // TEST_NATIVE_THREAD_LIMIT_H_
