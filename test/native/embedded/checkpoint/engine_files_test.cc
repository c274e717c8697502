// Engine directories that are wrong: each corruption is a failure with its code that names what is wrong.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "../table_client.h"

namespace embedded {
namespace {

void ExpectFailure(const std::string& directory, ExecutorCode code, const std::vector<std::string>& named) {
  const TableClient client(directory);
  EXPECT_EQ(client.code(), code) << client.message();
  EXPECT_EQ(client.executor(), nullptr);
  for (const std::string& text : named)
    EXPECT_NE(client.message().find(text), std::string::npos) << "\"" << text << "\" is not in: " << client.message();
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(EngineFiles, AMissingDirectoryIsNotFound) {
  ExpectFailure("/nonexistent/engine", EXECUTOR_ENGINE_NOT_FOUND, {"/nonexistent/engine/config.json"});
}

TEST(EngineFiles, AMissingRankFileIsNamed) {
  const TemporaryDirectory directory;
  WriteFile(directory.path() + "/config.json", TinyModel().ConfigJson());
  ExpectFailure(directory.path(), EXECUTOR_ENGINE_RANKS, {"rank0.safetensors"});
}

TEST(EngineFiles, APipeThatNobodyWritesToIsNoFile) {
  for (const char* name : {"config.json", "rank0.safetensors"}) {
    const TemporaryDirectory directory;
    TinyModel().Fill().Write(directory.path());
    const std::string file = directory.path() + "/" + name;
    std::remove(file.c_str());
    ASSERT_EQ(mkfifo(file.c_str(), 0600), 0);
    ExpectFailure(directory.path(), name[0] == 'c' ? EXECUTOR_ENGINE_CONFIG : EXECUTOR_ENGINE_WEIGHTS,
                  {file + " is not a regular file"});
  }
}

TEST(EngineFiles, EachWrongFieldOfTheConfigIsNamed) {
  const TinyModel model = TinyModel().Fill();
  const struct {
    const char* from;
    const char* to;
    ExecutorCode code;
    const char* named;
  } cases[] = {
      {"\"LlamaForCausalLM\"", "\"GPTForCausalLM\"", EXECUTOR_MODEL_UNSUPPORTED, "pretrained_config.architecture"},
      {"\"LlamaForCausalLM\"", "7", EXECUTOR_ENGINE_CONFIG, "pretrained_config.architecture"},
      {"\"float32\"", "\"float8\"", EXECUTOR_MODEL_UNSUPPORTED, "pretrained_config.dtype"},
      {"\"silu\"", "\"gelu\"", EXECUTOR_MODEL_UNSUPPORTED, "pretrained_config.hidden_act"},
      {"\"hidden_size\": 48", "\"hidden_size\": -1", EXECUTOR_ENGINE_CONFIG, "pretrained_config.hidden_size"},
      {"\"hidden_size\": 48, ", "", EXECUTOR_ENGINE_CONFIG, "pretrained_config.hidden_size"},
      {"\"hidden_size\": 48", "\"hidden_size\": 1e300", EXECUTOR_ENGINE_CONFIG, "pretrained_config.hidden_size"},
      {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": \"2\"", EXECUTOR_ENGINE_CONFIG, "num_hidden_layers"},
      {"\"num_hidden_layers\": 2", "\"num_hidden_layers\": 134217728", EXECUTOR_ENGINE_CONFIG, "num_hidden_layers"},
      {"\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", EXECUTOR_ENGINE_CONFIG, "num_key_value_heads"},
      {"\"head_size\": 24", "\"head_size\": 23", EXECUTOR_ENGINE_CONFIG, "head_size"},
      {"\"head_size\": 24", "\"head_size\": 134217728", EXECUTOR_ENGINE_CONFIG, "head_size"},
      {"\"norm_epsilon\": 1e-5", "\"norm_epsilon\": 0", EXECUTOR_ENGINE_CONFIG, "norm_epsilon"},
      {"\"rotary_scaling\": null", "\"rotary_scaling\": 3", EXECUTOR_ENGINE_CONFIG, "rotary_scaling"},
      {"\"rotary_scaling\": null", "\"rotary_scaling\": {\"rope_type\": \"longrope\"}", EXECUTOR_MODEL_UNSUPPORTED,
       "rope_type"},
      {"\"rotary_scaling\": null", "\"rotary_scaling\": {\"rope_type\": \"yarn\"}", EXECUTOR_ENGINE_CONFIG,
       "rotary_scaling.factor"},
      {"\"rotary_scaling\": null", "\"no_rope_layers\": [1]", EXECUTOR_ENGINE_CONFIG, "no_rope_layers"},
      {"\"rotary_scaling\": null", "\"no_rope_layers\": [1, 2]", EXECUTOR_ENGINE_CONFIG, "no_rope_layers"},
      {"\"rotary_scaling\": null", "\"sliding_window\": 0", EXECUTOR_ENGINE_CONFIG, "sliding_window"},
      {"\"rotary_scaling\": null", "\"sliding_window\": 5, \"sliding_window_layers\": [1, 2]", EXECUTOR_ENGINE_CONFIG,
       "sliding_window_layers"},
      {"\"rotary_scaling\": null", "\"rotary_scaling\": {\"type\": \"linear\"}", EXECUTOR_ENGINE_CONFIG,
       "rotary_scaling.factor"},
      {"\"rotary_scaling\": null", "\"attn_bias\": 1", EXECUTOR_ENGINE_CONFIG, "attn_bias"},
      {"\"rotary_scaling\": null", "\"attn_bias\": true", EXECUTOR_ENGINE_WEIGHTS, "attention.qkv.bias"},
      {"\"rotary_scaling\": null", "\"qk_layernorm\": true", EXECUTOR_ENGINE_WEIGHTS, "attention.q_layernorm.weight"},
      {"\"rotary_scaling\": null", "\"quantization\": {\"quant_algo\": \"W4A16_GPTQ\"}", EXECUTOR_MODEL_UNSUPPORTED,
       "quantization.quant_algo"},
      {"\"rotary_scaling\": null", "\"quantization\": {\"quant_algo\": \"W4A16_AWQ\", \"group_size\": 48}",
       EXECUTOR_MODEL_UNSUPPORTED, "quantization.group_size"},
      {"\"rotary_scaling\": null", "\"quantization\": {\"quant_algo\": \"Q4\"}", EXECUTOR_MODEL_UNSUPPORTED,
       "quantization.quant_algo"},
      {"\"rotary_scaling\": null", "\"quantization\": {\"quant_algo\": 4}", EXECUTOR_ENGINE_CONFIG,
       "quantization.quant_algo"},
      {"\"rotary_scaling\": null", "\"quantization\": {\"kv_cache_quant_algo\": \"NVFP4\"}", EXECUTOR_MODEL_UNSUPPORTED,
       "quantization.kv_cache_quant_algo"},
      {"\"rotary_scaling\": null", "\"mapping\": {\"cp_size\": 2}", EXECUTOR_MODEL_UNSUPPORTED, "mapping.cp_size"},
      {"\"rotary_scaling\": null", "\"mapping\": {\"tp_size\": 3}", EXECUTOR_ENGINE_CONFIG, "mapping.tp_size"},
      {"\"rotary_scaling\": null", "\"mapping\": {\"pp_size\": 3}", EXECUTOR_ENGINE_CONFIG, "mapping.pp_size"},
      {"\"rotary_scaling\": null", "\"mapping\": {\"tp_size\": 2}", EXECUTOR_MODEL_UNSUPPORTED, "tie_word_embeddings"},
      {"\"max_batch_size\": 64", "\"max_batch_size\": 0", EXECUTOR_ENGINE_CONFIG, "build_config.max_batch_size"},
      {"\"max_batch_size\": 64", "\"max_seq_len\": 257", EXECUTOR_ENGINE_CONFIG, "build_config.max_seq_len"},
      {"\"build_config\": {", "\"build_config\": 5, \"x\": {", EXECUTOR_ENGINE_CONFIG, "build_config"},
      {"{", "[", EXECUTOR_ENGINE_CONFIG, "config.json"},
      {"{", "", EXECUTOR_ENGINE_CONFIG, "config.json"},
  };
  for (const auto& broken : cases) {
    SCOPED_TRACE(std::string(broken.from) + " -> " + broken.to);
    const TemporaryDirectory directory;
    model.Write(directory.path());
    WriteFile(directory.path() + "/config.json", Replaced(model.ConfigJson(), broken.from, broken.to));
    ExpectFailure(directory.path(), broken.code, {broken.named});
  }
}

TEST(EngineFiles, AMessageCutsNoCharacterInTwo) {
  const TinyModel model = TinyModel().Fill();
  std::string accents;
  while (accents.size() < 200) accents += "\xC3\xA9";
  const TemporaryDirectory directory;
  model.Write(directory.path());
  WriteFile(directory.path() + "/config.json",
            Replaced(model.ConfigJson(), "\"hidden_size\": 48", "\"hidden_size\": \"" + accents + "\""));
  ExpectFailure(directory.path(), EXECUTOR_ENGINE_CONFIG, {"\xC3\xA9..."});
}

TEST(EngineFiles, ABareCheckpointConfigLoads) {
  const TinyModel model = TinyModel().Fill();
  const TemporaryDirectory directory;
  model.Write(directory.path());
  std::string config = model.ConfigJson();
  const size_t begin = config.find("{\"architecture\"");
  WriteFile(directory.path() + "/config.json", config.substr(begin, config.find("}, \"build_config\"") + 1 - begin));
  const TableClient client(directory.path());
  EXPECT_EQ(client.code(), EXECUTOR_OK) << client.message();
}

TEST(EngineFiles, EachDamageToTheWeightsIsNamed) {
  const TinyModel model = TinyModel().Fill();
  const std::string good = model.Safetensors();
  const uint64_t header_bytes = *reinterpret_cast<const uint64_t*>(good.data());
  const std::string header = good.substr(8, header_bytes), data = good.substr(8 + header_bytes);
  const auto with_header = [&](const std::string& changed) { return TinyModel::SafetensorsOf(changed, data); };
  const auto with_size = [&](uint64_t size) {
    return std::string(reinterpret_cast<const char*>(&size), 8) + good.substr(8);
  };
  // Tensors come in the order of their names: lm_head, transformer.layers, ln_f, vocab_embedding.
  std::string many, ones;
  for (int i = 0; i < 100'001; ++i)
    many += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}";
  for (int i = 0; i < 100; ++i) ones += "1,";
  const size_t at = header.find("\"transformer.ln_f.weight\"");
  const std::string entry = header.substr(at, header.find('}', at) + 1 - at);
  const std::string offsets = entry.substr(entry.find("[", entry.find("data_offsets")));
  const struct {
    const char* what;
    std::string file;
    std::vector<std::string> named;
  } cases[] = {
      {"empty", "", {"0 bytes"}},
      {"shorter than a header's size", "1234", {"4 bytes"}},
      {"a huge header", with_size(uint64_t{1} << 60), {"header"}},
      {"a header over 32 MiB", with_size((32 << 20) + 1), {"33554433", "at most 33554432"}},
      {"more tensors than any model", with_header("{" + many + "}"), {"more than 100000 tensors"}},
      {"a shape of many sizes",
       with_header(Replaced(header, entry, "\"a\": {\"dtype\": \"U8\", \"shape\": [" + ones + "1]}")),
       {"tensor a has 101 dimensions; expected at most 64"}},
      {"a header longer than the file", with_size(good.size()), {"cut off"}},
      {"a header that is no JSON", with_header("{\"a\": "), {"JSON"}},
      {"a header that is a list", with_header("[]"), {"not a JSON object"}},
      {"a tensor that is no object",
       with_header(Replaced(header, entry, "\"transformer.ln_f.weight\": 3}")),
       {"rank0.safetensors"}},
      {"cut off", good.substr(0, good.size() - 1), {"rank0.safetensors", "transformer.vocab_embedding.weight"}},
      {"bytes at the end", good + "x", {"1 bytes after"}},
      {"an unknown dtype",
       with_header(Replaced(header, entry, Replaced(entry, "F32", "Q4"))),
       {"transformer.ln_f.weight", "Q4"}},
      {"a dtype of another size",
       with_header(Replaced(header, entry, Replaced(entry, "F32", "F16"))),
       {"transformer.ln_f.weight", "192"}},
      {"an integer dtype",
       with_header(Replaced(header, entry, Replaced(entry, "F32", "I32"))),
       {"transformer.ln_f.weight", "I32"}},
      {"a negative shape",
       with_header(Replaced(header, entry, Replaced(entry, "[48]", "[-48]"))),
       {"transformer.ln_f.weight", "shape"}},
      {"a fractional shape",
       with_header(Replaced(header, entry, Replaced(entry, "[48]", "[48.5]"))),
       {"transformer.ln_f.weight", "shape"}},
      {"a shape that overflows",
       with_header(Replaced(header, entry, Replaced(entry, "[48]", "[4294967296, 4294967296, 48]"))),
       {"transformer.ln_f.weight", "too large"}},
      {"another shape",
       with_header(Replaced(header, entry, Replaced(entry, "[48]", "[2, 24]"))),
       {"transformer.ln_f.weight", "[2, 24]", "[48]"}},
      {"no shape",
       with_header(Replaced(header, entry, Replaced(entry, "shape", "form"))),
       {"transformer.ln_f.weight", "shape"}},
      {"no offsets",
       with_header(Replaced(header, entry, Replaced(entry, "data_offsets", "offsets"))),
       {"transformer.ln_f.weight", "data_offsets"}},
      {"offsets that fall",
       with_header(Replaced(header, entry, Replaced(entry, offsets, "[192, 0]}"))),
       {"transformer.ln_f.weight", "data_offsets"}},
      {"negative offsets",
       with_header(Replaced(header, entry, Replaced(entry, offsets, "[-192, 0]}"))),
       {"transformer.ln_f.weight", "data_offsets"}},
      {"offsets out of range",
       with_header(Replaced(header, entry, Replaced(entry, offsets, "[99999808, 100000000]}"))),
       {"transformer.ln_f.weight", "100000000"}},
      {"an overlap", with_header(Replaced(header, entry, Replaced(entry, offsets, "[0, 192]}"))), {"overlaps"}},
      {"a hole", with_header(Replaced(header, entry + ", ", "")), {"gap"}},
      {"a missing tensor",
       with_header(Replaced(header, "transformer.ln_f.weight", "transformer.ln_x.weight")),
       {"no tensor transformer.ln_f.weight"}},
      {"a tensor named twice",
       with_header(Replaced(header, "transformer.ln_f.weight", "transformer.vocab_embedding.weight")),
       {"two tensors named transformer.vocab_embedding.weight"}},
  };
  for (const auto& broken : cases) {
    SCOPED_TRACE(broken.what);
    const TemporaryDirectory directory;
    WriteFile(directory.path() + "/config.json", model.ConfigJson());
    WriteFile(directory.path() + "/rank0.safetensors", broken.file);
    ExpectFailure(directory.path(), EXECUTOR_ENGINE_WEIGHTS, broken.named);
  }
}

TEST(EngineFiles, AQuantizedModelGetsNoDummyWeights) {
  TinyModel model = TinyModel().Fill();
  model.blocks["x"] = {};
  const TableClient client(model, [](ExecutorConfig* config) {
    config->set |= CONFIG_LOAD_FORMAT;
    config->load_format = LOAD_FORMAT_DUMMY;
  });
  EXPECT_EQ(client.code(), EXECUTOR_UNSUPPORTED);
  EXPECT_NE(client.message().find("loadFormat"), std::string::npos) << client.message();
}

TEST(EngineFiles, BlocksInAModelThatIsNotQuantizedAreRefused) {
  TinyModel model = TinyModel().Fill();
  const std::string name = "transformer.layers.1.mlp.proj.weight";
  model.blocks[name] = {"Q8_0", std::string(48 * 72, 'x')};
  const TemporaryDirectory directory;
  WriteFile(directory.path() + "/config.json", TinyModel().ConfigJson());
  WriteFile(directory.path() + "/rank0.safetensors", model.Safetensors());
  ExpectFailure(directory.path(), EXECUTOR_ENGINE_WEIGHTS, {name, "U8", "F32, F16 or BF16"});
}

TEST(EngineFiles, ALoadThatTheCallerGivesUpEndsWithItsOwnCode) {
  const TableClient client(TinyModel().Fill(), [](ExecutorConfig* config) {
    config->on_progress = [](void*, double) -> uint32_t { return 0; };
  });
  EXPECT_EQ(client.code(), EXECUTOR_LOAD_ABORTED);
  EXPECT_EQ(client.executor(), nullptr);
}

TEST(EngineFiles, ProgressRisesToOne) {
  std::vector<double> progress;
  const TableClient client(TinyModel().Fill(), [&](ExecutorConfig* config) {
    config->context = &progress;
    config->on_progress = [](void* context, double done) -> uint32_t {
      static_cast<std::vector<double>*>(context)->push_back(done);
      return 1;
    };
  });
  ASSERT_FALSE(progress.empty());
  EXPECT_TRUE(std::is_sorted(progress.begin(), progress.end()));
  EXPECT_EQ(progress.back(), 1);
}

}  // namespace
}  // namespace embedded
