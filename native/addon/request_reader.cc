#include "addon/request_reader.h"

#include <string>
#include <utility>

#include "addon/read_fields.h"

namespace addon {
namespace {

bool ReadFlag(const Napi::Object& fields, const char* name) { return fields.Get(name).ToBoolean(); }

}  // namespace

RequestReader::RequestReader(uint64_t id, const Napi::Int32Array& tokens, const Napi::Object& fields) {
  request.size = sizeof(request);
  request.id = id;
  request.tokens = tokens.Data();
  request.token_count = static_cast<uint32_t>(tokens.ElementLength());
  request.max_tokens = fields.Get("maxTokens").As<Napi::Number>().Uint32Value();
  request.streaming = 1;
  const auto end_ids = fields.Get("endIds").As<Napi::Int32Array>();
  request.end_ids = end_ids.Data();
  request.end_id_count = static_cast<uint32_t>(end_ids.ElementLength());

  request.sampling = &sampling_;
  sampling_.size = sizeof(sampling_);
  uint32_t* set = &sampling_.set;
  ReadNumber(fields, "temperature", SAMPLING_TEMPERATURE, &sampling_.temperature, set);
  ReadNumber(fields, "topK", SAMPLING_TOP_K, &sampling_.top_k, set);
  ReadNumber(fields, "topP", SAMPLING_TOP_P, &sampling_.top_p, set);
  ReadNumber(fields, "minP", SAMPLING_MIN_P, &sampling_.min_p, set);
  ReadNumber(fields, "seed", SAMPLING_SEED, &sampling_.seed, set);

  request.output = &output_;
  output_.size = sizeof(output_);
  if (ReadFlag(fields, "logprobs")) output_.flags |= OUTPUT_LOGPROBS;
  if (ReadFlag(fields, "contextLogits")) output_.flags |= OUTPUT_CONTEXT_LOGITS;
  if (ReadFlag(fields, "generationLogits")) output_.flags |= OUTPUT_GENERATION_LOGITS;
  output_.top_logprobs = fields.Get("topLogprobs").As<Napi::Number>().Uint32Value();

  if (!ReadFlag(fields, "skipSpecialTokens")) special_tokens = text::SpecialTokens::kKeep;
  const auto strings = fields.Get("stop").As<Napi::Array>();
  std::vector<std::string> stop_strings;
  for (uint32_t i = 0; i < strings.Length(); ++i) {
    stop_strings.push_back(strings.Get(i).As<Napi::String>().Utf8Value());
  }
  if (!stop_strings.empty()) stops = std::make_shared<text::StopStrings>(std::move(stop_strings));
}

}  // namespace addon
