#include "addon/request_reader.h"

#include <string>
#include <utility>

#include "addon/read_fields.h"

namespace addon {
namespace {

bool ReadFlag(const Napi::Object& fields, const char* name) { return fields.Get(name).ToBoolean(); }

// The lists lie in the JavaScript arrays, which the caller holds during the call.
ExecutorTokenLists ReadTokenLists(const Napi::Value& value) {
  if (value.IsUndefined()) return {};
  const auto lists = value.As<Napi::Object>();
  const auto tokens = lists.Get("tokens").As<Napi::Int32Array>();
  const auto offsets = lists.Get("offsets").As<Napi::Uint32Array>();
  return {tokens.Data(), offsets.Data(), static_cast<uint32_t>(offsets.ElementLength() - 1)};
}

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

  request.stop_words = ReadTokenLists(fields.Get("stopTokens"));
  request.bad_words = ReadTokenLists(fields.Get("badTokens"));
  const Napi::Value bias_tokens = fields.Get("biasTokens");
  if (!bias_tokens.IsUndefined()) {
    request.bias_tokens = bias_tokens.As<Napi::Int32Array>().Data();
    request.bias_values = fields.Get("biasValues").As<Napi::Float32Array>().Data();
    request.bias_count = static_cast<uint32_t>(bias_tokens.As<Napi::Int32Array>().ElementLength());
  }

  request.sampling = &sampling_;
  sampling_.size = sizeof(sampling_);
  uint32_t* set = &sampling_.set;
  ReadNumber(fields, "temperature", SAMPLING_TEMPERATURE, &sampling_.temperature, set);
  ReadNumber(fields, "topK", SAMPLING_TOP_K, &sampling_.top_k, set);
  ReadNumber(fields, "topP", SAMPLING_TOP_P, &sampling_.top_p, set);
  ReadNumber(fields, "minP", SAMPLING_MIN_P, &sampling_.min_p, set);
  ReadNumber(fields, "seed", SAMPLING_SEED, &sampling_.seed, set);
  ReadNumber(fields, "minTokens", SAMPLING_MIN_TOKENS, &sampling_.min_tokens, set);
  ReadNumber(fields, "repetitionPenalty", SAMPLING_REPETITION_PENALTY, &sampling_.repetition_penalty, set);
  ReadNumber(fields, "presencePenalty", SAMPLING_PRESENCE_PENALTY, &sampling_.presence_penalty, set);
  ReadNumber(fields, "frequencyPenalty", SAMPLING_FREQUENCY_PENALTY, &sampling_.frequency_penalty, set);
  if (*set & (SAMPLING_PRESENCE_PENALTY | SAMPLING_FREQUENCY_PENALTY)) {
    // These count what the output has; TensorRT-LLM, whose field this is, would count the prompt too.
    sampling_.prompt_ignore_length = request.token_count;
    *set |= SAMPLING_PROMPT_IGNORE_LENGTH;
  }
  ReadNumber(fields, "noRepeatNgram", SAMPLING_NO_REPEAT_NGRAM, &sampling_.no_repeat_ngram, set);
  ReadNumber(fields, "sequences", SAMPLING_SEQUENCES, &sampling_.sequences, set);

  request.output = &output_;
  output_.size = sizeof(output_);
  if (ReadFlag(fields, "logprobs")) output_.flags |= OUTPUT_LOGPROBS;
  if (ReadFlag(fields, "contextLogits")) output_.flags |= OUTPUT_CONTEXT_LOGITS;
  if (ReadFlag(fields, "generationLogits")) output_.flags |= OUTPUT_GENERATION_LOGITS;
  output_.top_logprobs = fields.Get("topLogprobs").As<Napi::Number>().Uint32Value();
  output_.prompt_logprobs = fields.Get("promptLogprobs").As<Napi::Number>().Uint32Value();

  if (!ReadFlag(fields, "skipSpecialTokens")) special_tokens = text::SpecialTokens::kKeep;
  const auto strings = fields.Get("stop").As<Napi::Array>();
  std::vector<std::string> stop_strings;
  for (uint32_t i = 0; i < strings.Length(); ++i) {
    stop_strings.push_back(strings.Get(i).As<Napi::String>().Utf8Value());
  }
  if (!stop_strings.empty()) stops = std::make_shared<text::StopStrings>(std::move(stop_strings));
}

}  // namespace addon
