#include "native/executor/cpp/failure.h"

#include <gtest/gtest.h>

namespace executor {
namespace {

TEST(Failure, SpellsAnOptionAsUsersDo) {
  EXPECT_EQ(OptionName("n"), "n");
  EXPECT_EQ(OptionName("kv_cache.max_tokens"), "kvCache.maxTokens");
  EXPECT_EQ(OptionName("perf.context_fmha_fp32_accumulation"), "perf.contextFmhaFp32Accumulation");
  EXPECT_EQ(OptionName(""), "");
}

TEST(Failure, BeginsWithItsOptionAndCrossesTheTableWhole) {
  ExecutorError error = EmptyError();
  const ExecutorCode code = Guarded(&error, [] {
    throw OptionFailure(EXECUTOR_INVALID_OPTION, "kv_cache.max_tokens", " is 0; expected at least 1.").OfRequest(7);
  });
  EXPECT_STREQ(error.field, "kv_cache.max_tokens");
  EXPECT_STREQ(error.message, "kvCache.maxTokens is 0; expected at least 1.");
  try {
    ThrowOnFailure(code, error);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), EXECUTOR_INVALID_OPTION);
    EXPECT_STREQ(failure.field(), "kv_cache.max_tokens");
    EXPECT_EQ(failure.request_id(), 7u);
    EXPECT_STREQ(failure.what(), error.message);
  }
}

TEST(Failure, LeavesNoFieldOfTheOneBefore) {
  ExecutorError error = EmptyError();
  Report(&error, Failure(EXECUTOR_INVALID_OPTION, "n is 0").About("n"));
  Report(&error, Failure(EXECUTOR_CLOSED, "closed"));
  EXPECT_STREQ(error.field, "");
}

TEST(Failure, CutsAFieldThatTheErrorHasNoRoomFor) {
  ExecutorError error = EmptyError();
  Report(&error, Failure(EXECUTOR_INTERNAL, "long").About(std::string(100, 'a')));
  EXPECT_EQ(std::string(error.field), std::string(sizeof(error.field) - 1, 'a'));
  EXPECT_STREQ(error.message, "long");
}

}  // namespace
}  // namespace executor
