#include "native/isolation/proxy.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>
#include <vector>

#include "embedded/tiny_checkpoint.h"
#include "native/isolation/host_environment.h"
#include "paths.h"
#include "thread_limit.h"

namespace isolation {
namespace {

using std::chrono::milliseconds;

struct Engine {
  Engine() {
    embedded::TinyModel().Fill().Write(directory.path());
    path = directory.path();
    config.size = sizeof(config);
    config.engine_dir = path.c_str();
    config.set = CONFIG_THREADS;
    config.threads = 1;
  }
  embedded::TemporaryDirectory directory;
  std::string path;
  ExecutorConfig config{};
};

void Submit(Proxy* proxy, uint64_t id, uint32_t max_tokens) {
  const std::vector<int32_t> tokens = {1, 2, 3};
  ExecutorRequest request{};
  request.size = sizeof(request);
  request.id = id;
  request.tokens = tokens.data();
  request.token_count = static_cast<uint32_t>(tokens.size());
  request.streaming = 1;
  request.max_tokens = max_tokens;
  const ExecutorRequest* const requests[] = {&request};
  proxy->Submit(requests, 1);
}

// Waits until this many requests have ended, and counts the ends of each id.
std::map<uint64_t, int> WaitForEnds(Proxy* proxy, int ends) {
  std::map<uint64_t, int> ended;
  while (ends > 0) {
    const ExecutorBatch* batch = proxy->Wait(milliseconds(1000));
    for (uint32_t row = 0; row < batch->row_count; ++row) {
      if ((batch->flags[row] & ROW_REQUEST_FINAL) == 0) continue;
      ++ended[batch->request_ids[row]];
      --ends;
    }
  }
  return ended;
}

TEST(Proxy, EveryRequestOfSeveralThreadsEndsOnceWhileOthersCancelAndAskForStats) {
  const Engine engine;
  Proxy proxy(engine.config, FromProgram(HOST_PROGRAM), "", HostEnvironment({}));
  constexpr uint64_t kThreads = 3;
  constexpr uint64_t kRequests = 100;
  std::vector<std::thread> submitters;
  for (uint64_t thread = 0; thread < kThreads; ++thread) {
    submitters.emplace_back([&proxy, thread] {
      for (uint64_t i = 0; i < kRequests; ++i) {
        const uint64_t id = 1 + thread * kRequests + i;
        Submit(&proxy, id, 20);
        if (i % 3 == 0) proxy.Cancel(&id, 1);
      }
    });
  }
  std::atomic<bool> done{false};
  std::thread asker([&] {
    ExecutorStats stats{};
    stats.size = sizeof(stats);
    while (!done) proxy.Stats(&stats);
  });
  const auto ended = WaitForEnds(&proxy, kThreads * kRequests);
  done = true;
  asker.join();
  for (std::thread& thread : submitters) thread.join();
  EXPECT_EQ(ended.size(), kThreads * kRequests);
  for (const auto& [id, ends] : ended) EXPECT_EQ(ends, 1) << id;
  proxy.Shutdown(milliseconds(1000));
  EXPECT_THROW(Submit(&proxy, 9999, 1), executor::Failure);
}

TEST(Proxy, StatsOfSeveralThreadsAreNoOlderThanTheRowsThatWereGivenBefore) {
  const Engine engine;
  Proxy proxy(engine.config, FromProgram(HOST_PROGRAM), "", HostEnvironment({}));
  std::atomic<uint64_t> rows{0};  // each of a step of its own
  std::atomic<bool> done{false};
  std::vector<std::thread> askers;
  for (int i = 0; i < 2; ++i) {
    askers.emplace_back([&] {
      while (!done) {
        const uint64_t given = rows;
        ExecutorStats stats{};
        proxy.Stats(&stats);
        EXPECT_GE(stats.steps, given);
      }
    });
  }
  for (uint64_t id = 1; id <= 30; ++id) {
    Submit(&proxy, id, 20);
    for (bool is_final = false; !is_final;) {
      const ExecutorBatch* batch = proxy.Wait(milliseconds(1000));
      for (uint32_t row = 0; row < batch->row_count; ++row) is_final = batch->flags[row] & ROW_REQUEST_FINAL;
      rows += batch->row_count;
    }
  }
  done = true;
  for (std::thread& asker : askers) asker.join();
}

TEST(Proxy, KvEventsHaveArrivedBeforeTheLastRowOfTheRequestThatTheyCameOf) {
  Engine engine;
  ExecutorKvCacheConfig kv_cache{};
  kv_cache.size = sizeof(kv_cache);
  kv_cache.set = KV_CACHE_EVENT_BUFFER;
  kv_cache.event_buffer_size = 2;
  engine.config.kv_cache = &kv_cache;
  Proxy proxy(engine.config, FromProgram(HOST_PROGRAM), "", HostEnvironment({}));
  ASSERT_NE(proxy.info()->capabilities & CAN_KV_EVENTS, 0u);
  Submit(&proxy, 1, 40);  // fills a block
  WaitForEnds(&proxy, 1);
  const ExecutorKvEvents* const events = proxy.KvEvents();
  ASSERT_GT(events->event_count, 0u);
  EXPECT_LE(events->event_count, 2u) << "the oldest are dropped";
  const ExecutorKvEvent& last = events->events[events->event_count - 1];
  EXPECT_EQ(last.type, KV_EVENT_STORED);
  EXPECT_EQ(proxy.KvEvents()->event_count, 0u);
}

TEST(Proxy, InterruptEndsTheNextWaitWithoutRows) {
  const Engine engine;
  Proxy proxy(engine.config, FromProgram(HOST_PROGRAM), "", HostEnvironment({}));
  proxy.Interrupt();
  EXPECT_EQ(proxy.Wait(std::chrono::hours(1))->row_count, 0u);
}

TEST(Proxy, ALoadThatIsGivenUpThrows) {
  Engine engine;
  engine.config.on_progress = [](void*, double) { return uint32_t{0}; };
  try {
    const Proxy proxy(engine.config, FromProgram(HOST_PROGRAM), "", HostEnvironment({}));
    FAIL() << "it was loaded";
  } catch (const executor::Failure& failure) {
    EXPECT_EQ(failure.code(), EXECUTOR_LOAD_ABORTED);
  }
}

TEST(Proxy, ALoadThatTheExecutorRefusesNamesTheOption) {
  Engine engine;
  engine.config.set |= CONFIG_MAX_BATCH_SIZE;
  try {
    const Proxy proxy(engine.config, FromProgram(HOST_PROGRAM), "", HostEnvironment({}));
    FAIL() << "it was loaded";
  } catch (const executor::Failure& failure) {
    EXPECT_EQ(failure.code(), EXECUTOR_INVALID_OPTION) << failure.what();
    EXPECT_STREQ(failure.field(), "max_batch_size");
  }
}

TEST(Proxy, AProgramThatIsNoHostFailsTheLoad) {
  const Engine engine;
  try {
    const Proxy proxy(engine.config, "/bin/false", "", HostEnvironment({}));
    FAIL() << "it was loaded";
  } catch (const executor::Failure& failure) {
    EXPECT_NE(std::string(failure.what()).find("exit code 1"), std::string::npos) << failure.what();
  }
}

size_t OpenDescriptors() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(all), end(all)));
}

executor::Failure FailureOfLoad(const std::string& program) {
  const Engine engine;
  try {
    const Proxy proxy(engine.config, program, "", HostEnvironment({}));
  } catch (const executor::Failure& failure) {
    return failure;
  }
  return executor::Failure(EXECUTOR_OK, "it was loaded");
}

TEST(Proxy, WhoseThreadCannotStartLeavesNothingBehind) {
  const size_t open = OpenDescriptors();
  const ThreadLimit limit(0);
  const executor::Failure failure = FailureOfLoad(FromProgram(HOST_PROGRAM));
  EXPECT_EQ(failure.code(), EXECUTOR_UNAVAILABLE);
  EXPECT_NE(std::string(failure.what()).find("ulimit -u"), std::string::npos) << failure.what();
  EXPECT_EQ(OpenDescriptors(), open);
}

TEST(Proxy, WhoseHostCannotStartSaysWhatHelps) {
  const size_t open = OpenDescriptors();
  EXPECT_NE(std::string(FailureOfLoad("/no/such/host").what()).find("Reinstall the package"), std::string::npos);
  EXPECT_NE(std::string(FailureOfLoad("/dev/null").what()).find("Let this user execute it"), std::string::npos);
  EXPECT_EQ(OpenDescriptors(), open);

  // From no descriptor to enough of them, whichever it lacks.
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  bool was_loaded = false;
  for (size_t left = 0; !was_loaded; ++left) {
    ASSERT_LT(left, 20u);
    const Engine engine;
    const rlimit limited = {open + left, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &limited);
    try {
      const Proxy proxy(engine.config, FromProgram(HOST_PROGRAM), "", HostEnvironment({}));
      was_loaded = true;
    } catch (const executor::Failure& failure) {
      EXPECT_NE(std::string(failure.what()).find("ulimit -n"), std::string::npos) << failure.what();
      EXPECT_EQ(std::string(failure.what()).find("Reinstall"), std::string::npos) << failure.what();
    }
    setrlimit(RLIMIT_NOFILE, &before);
  }
  EXPECT_EQ(OpenDescriptors(), open);
}

TEST(HostEnvironment, HasWhatExecutorsReadAndWhatIsNamedAndNoOther) {
  setenv("A_SECRET", "1", 1);
  setenv("NAMED", "2", 1);
  setenv("CUDA_VISIBLE_DEVICES", "3", 1);
  const std::vector<std::string> passed = HostEnvironment({"NAMED", "NOT_THERE"});
  const auto has = [&](const std::string& variable) {
    return std::find(passed.begin(), passed.end(), variable) != passed.end();
  };
  EXPECT_TRUE(has("NAMED=2"));
  EXPECT_TRUE(has("CUDA_VISIBLE_DEVICES=3"));
  EXPECT_FALSE(has("A_SECRET=1"));
  for (const char* name : {"A_SECRET", "NAMED", "CUDA_VISIBLE_DEVICES"}) unsetenv(name);
}

}  // namespace
}  // namespace isolation
