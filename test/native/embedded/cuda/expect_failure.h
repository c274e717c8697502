// What a body throws, for tests of failures.
#ifndef TEST_EMBEDDED_CUDA_EXPECT_FAILURE_H_
#define TEST_EMBEDDED_CUDA_EXPECT_FAILURE_H_

#include <gtest/gtest.h>

#include <string>

#include "native/executor/cpp/failure.h"

template <typename Body>
void ExpectFailure(Body body, ExecutorCode code, const std::string& part, const char* field = "") {
  try {
    body();
    ADD_FAILURE() << "nothing was thrown; expected a failure with \"" << part << '"';
  } catch (const executor::Failure& failure) {
    EXPECT_EQ(failure.code(), code) << failure.what();
    EXPECT_NE(std::string(failure.what()).find(part), std::string::npos) << failure.what();
    EXPECT_STREQ(failure.field(), field);
  }
}

#endif  // TEST_EMBEDDED_CUDA_EXPECT_FAILURE_H_
