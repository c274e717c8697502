// Matrices in ggml's blocks: U8 tensors whose type stands in the file's metadata.
#include "native/embedded/checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "../tiny_checkpoint.h"
#include "native/executor/cpp/failure.h"

namespace embedded {
namespace {

// A file with one U8 tensor "w" [outputs, bytes].
std::string FileOf(const std::string& metadata, int outputs, int bytes) {
  const std::string size = std::to_string(outputs * bytes);
  return TinyModel::SafetensorsOf("{\"__metadata__\": " + metadata + R"(, "w": {"dtype": "U8", "shape": [)" +
                                      std::to_string(outputs) + ", " + std::to_string(bytes) +
                                      R"(], "data_offsets": [0, )" + size + "]}}",
                                  std::string(static_cast<size_t>(outputs) * bytes, 'x'));
}

class SafetensorsTest : public testing::Test {
 protected:
  std::string Write(const std::string& content) const {
    const std::string path = directory_.path() + "/rank0.safetensors";
    WriteFile(path, content);
    return path;
  }
  void ExpectRefused(const std::string& content, int outputs, int depth, const std::vector<std::string>& named) const {
    const SafetensorsFile file(Write(content));
    try {
      file.FindMatrix("w", outputs, depth);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const executor::Failure& failure) {
      EXPECT_EQ(failure.code(), EXECUTOR_ENGINE_WEIGHTS);
      const std::string message = failure.what();
      for (const std::string& text : named)
        EXPECT_NE(message.find(text), std::string::npos) << "\"" << text << "\" is not in: " << message;
    }
  }

  TemporaryDirectory directory_;
};

TEST_F(SafetensorsTest, AMatrixInBlocksHasTheTypeThatTheMetadataNames) {
  const struct {
    const char* name;
    WeightType type;
    int row_bytes;  // of 512 weights
  } cases[] = {{"Q4_0", WeightType::kQ4_0, 288}, {"Q4_1", WeightType::kQ4_1, 320}, {"Q5_0", WeightType::kQ5_0, 352},
               {"Q5_1", WeightType::kQ5_1, 384}, {"Q8_0", WeightType::kQ8_0, 544}, {"Q2_K", WeightType::kQ2_K, 168},
               {"Q3_K", WeightType::kQ3_K, 220}, {"Q4_K", WeightType::kQ4_K, 288}, {"Q5_K", WeightType::kQ5_K, 352},
               {"Q6_K", WeightType::kQ6_K, 420}};
  for (const auto& each : cases) {
    const SafetensorsFile file(Write(FileOf("{\"w\": \"" + std::string(each.name) + "\"}", 3, each.row_bytes)));
    const TensorEntry& tensor = file.FindMatrix("w", 3, 512);
    EXPECT_EQ(SafetensorsFile::TypeOf(tensor), each.type) << each.name;
    EXPECT_EQ(RowBytes(each.type, 512), static_cast<size_t>(each.row_bytes)) << each.name;
  }
}

TEST_F(SafetensorsTest, AMatrixInBlocksThatIsWrongIsNamed) {
  ExpectRefused(FileOf("{}", 3, 144), 3, 256, {"tensor w", "no type", "Q4_0", "Q6_K"});
  ExpectRefused(FileOf(R"({"w": 7})", 3, 144), 3, 256, {"tensor w", "no type"});
  ExpectRefused(FileOf("5", 3, 144), 3, 256, {"tensor w", "no type"});
  ExpectRefused(FileOf(R"({"w": "IQ4_XS"})", 3, 136), 3, 256, {"tensor w", "IQ4_XS", "Q4_K"});
  ExpectRefused(FileOf(R"({"w": "F16"})", 3, 512), 3, 256, {"tensor w", "the type F16"});
  ExpectRefused(FileOf(R"({"w": "Q4_K"})", 3, 144), 3, 288, {"tensor w", "blocks of 256", "288"});
  ExpectRefused(FileOf(R"({"w": "Q4_K"})", 3, 144), 3, 512, {"tensor w", "[3, 144]", "[3, 288]"});
  ExpectRefused(FileOf(R"({"w": "Q4_K"})", 3, 144), 4, 256, {"tensor w", "[3, 144]", "[4, 144]"});
  ExpectRefused(FileOf(R"({"w": "Q8_0"})", 3, 144), 3, 256, {"tensor w", "[3, 144]", "[3, 272]"});
}

TEST_F(SafetensorsTest, BytesAreNoFloats) {
  const SafetensorsFile file(Write(FileOf(R"({"w": "Q4_K"})", 3, 144)));
  EXPECT_THROW(file.Find("w", {3, 144}), executor::Failure);
  EXPECT_EQ(file.Find("w", {3, 144}, {"I8", "U8"}).bytes, 432u);
}

}  // namespace
}  // namespace embedded
