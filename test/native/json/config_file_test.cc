#include "native/json/config_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "native/executor/cpp/failure.h"

namespace json {
namespace {

class ConfigFile : public testing::Test {
 protected:
  ~ConfigFile() override { std::remove(path_.c_str()); }
  Fields Read(const std::string& text) {
    std::ofstream(path_) << text;
    return ReadConfigFile(path_, kWords);
  }
  // What reading throws; an empty message where it throws nothing.
  template <typename Body>
  executor::Failure FailureOf(Body body) {
    try {
      body();
    } catch (const executor::Failure& failure) {
      return failure;
    }
    return {EXECUTOR_OK, ""};
  }

  const ConfigFileWords kWords = {"is missing; expected a file. Make one.", "Make it again."};
  const std::string path_ = testing::TempDir() + "/config_file_test_" +
                            testing::UnitTest::GetInstance()->current_test_info()->name() + ".json";
};

TEST_F(ConfigFile, GivesWhatItHoldsAndFallbacksForTheRest) {
  const Fields fields =
      Read(R"({"size": 3, "part": {"name": "a", "ratio": 0.5, "on": true, "list": [1]}, "none": null})");
  EXPECT_EQ(fields.Size("size"), 3);
  EXPECT_EQ(fields.Size("absent", 4), 4);
  EXPECT_FALSE(fields.Has("none"));
  EXPECT_FALSE(fields.OptionalObject("none").has_value());
  const Fields part = fields.Object("part");
  EXPECT_EQ(part.Text("name"), "a");
  EXPECT_EQ(part.Positive("ratio"), 0.5);
  EXPECT_TRUE(part.Flag("on"));
  EXPECT_FALSE(part.Flag("off"));
  EXPECT_TRUE(part.HasItems("list"));
  EXPECT_EQ(part.Place("name"), path_ + ": part.name");
}

TEST_F(ConfigFile, NamesTheFieldWhatItIsAndWhatWasExpected) {
  const Fields part = Read(R"({"part": {"size": -1, "name": 3}})").Object("part");
  const auto failure = FailureOf([&] { part.Size("size", 4, 8); });
  EXPECT_EQ(failure.code(), EXECUTOR_ENGINE_CONFIG);
  EXPECT_EQ(failure.what(), path_ + ": part.size is -1; expected a whole number from 1 to 8. Make it again.");
  EXPECT_EQ(FailureOf([&] { part.Text("name"); }).what(),
            path_ + ": part.name is 3; expected a string. Make it again.");
  EXPECT_EQ(FailureOf([&] { part.Text("absent"); }).what(),
            path_ + ": part.absent is missing; expected a string. Make it again.");
}

TEST_F(ConfigFile, SaysWhatIsWrongWithTheFileItself) {
  const auto missing = FailureOf([&] { ReadConfigFile(path_, kWords); });
  EXPECT_EQ(missing.code(), EXECUTOR_ENGINE_NOT_FOUND);
  EXPECT_EQ(missing.what(), path_ + " is missing; expected a file. Make one.");
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(FailureOf([&] { ReadConfigFile(path_, kWords); }).what(), path_ + " is not a regular file. Make it again.");
  std::remove(path_.c_str());
  EXPECT_EQ(FailureOf([&] { Read("{"); }).code(), EXECUTOR_ENGINE_CONFIG);
  EXPECT_EQ(FailureOf([&] { Read("[1]"); }).what(), path_ + " holds [1]; expected an object. Make it again.");
}

TEST_F(ConfigFile, CutsALongValueBetweenCharacters) {
  std::string text;
  for (int i = 0; i < 60; ++i) text += "é";
  const Fields fields = Read("{\"name\": \"" + text + "\"}");
  const std::string shown = fields.Show("name");
  EXPECT_EQ(shown.substr(shown.size() - 3), "...");
  EXPECT_EQ(shown.size() % 2, 0u) << "the quote, whole characters of two bytes, and three dots";
}

}  // namespace
}  // namespace json
