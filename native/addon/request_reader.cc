#include "native/addon/request_reader.h"

#include <string>
#include <utility>

#include "native/addon/extras_reader.h"

namespace addon {

RequestReader::RequestReader(uint64_t id, const Napi::Int32Array& tokens, const Napi::Object& object) {
  const FieldReader fields(object, &owner_);
  request.size = sizeof(request);
  request.id = id;
  request.tokens = tokens.Data();
  request.token_count = static_cast<uint32_t>(tokens.ElementLength());
  fields.Number("maxTokens", &request.max_tokens);
  request.streaming = 1;
  fields.Array("endIds", &request.end_ids, &request.end_id_count);
  fields.TokenLists("stopTokens", &request.stop_words);
  fields.TokenLists("badTokens", &request.bad_words);
  fields.Array("biasTokens", &request.bias_tokens, &request.bias_count);
  if (request.bias_count > 0) request.bias_values = object.Get("biasValues").As<Napi::Float32Array>().Data();
  fields.Number("timeLimitMs", REQUEST_TIME_LIMIT, &request.time_limit_ms, &request.set);

  request.sampling = &sampling_;
  sampling_.size = sizeof(sampling_);
  uint32_t* set = &sampling_.set;
  fields.Number("temperature", SAMPLING_TEMPERATURE, &sampling_.temperature, set);
  fields.Number("topK", SAMPLING_TOP_K, &sampling_.top_k, set);
  fields.Number("topP", SAMPLING_TOP_P, &sampling_.top_p, set);
  fields.Number("minP", SAMPLING_MIN_P, &sampling_.min_p, set);
  fields.Number("seed", SAMPLING_SEED, &sampling_.seed, set);
  fields.Number("minTokens", SAMPLING_MIN_TOKENS, &sampling_.min_tokens, set);
  fields.Number("repetitionPenalty", SAMPLING_REPETITION_PENALTY, &sampling_.repetition_penalty, set);
  fields.Number("presencePenalty", SAMPLING_PRESENCE_PENALTY, &sampling_.presence_penalty, set);
  fields.Number("frequencyPenalty", SAMPLING_FREQUENCY_PENALTY, &sampling_.frequency_penalty, set);
  if (*set & (SAMPLING_PRESENCE_PENALTY | SAMPLING_FREQUENCY_PENALTY)) {
    // These count what the output has; TensorRT-LLM, whose field this is, would count the prompt too.
    sampling_.prompt_ignore_length = request.token_count;
    *set |= SAMPLING_PROMPT_IGNORE_LENGTH;
  }
  fields.Number("noRepeatNgram", SAMPLING_NO_REPEAT_NGRAM, &sampling_.no_repeat_ngram, set);
  fields.Number("sequences", SAMPLING_SEQUENCES, &sampling_.sequences, set);

  request.output = &output_;
  output_.size = sizeof(output_);
  if (fields.Flag("logprobs")) output_.flags |= OUTPUT_LOGPROBS;
  if (fields.Flag("contextLogits")) output_.flags |= OUTPUT_CONTEXT_LOGITS;
  if (fields.Flag("generationLogits")) output_.flags |= OUTPUT_GENERATION_LOGITS;
  fields.Number("topLogprobs", &output_.top_logprobs);
  fields.Number("promptLogprobs", &output_.prompt_logprobs);
  if (const Napi::Value extras = object.Get("extras"); !extras.IsUndefined())
    ReadExtras({extras.As<Napi::Object>(), &owner_}, &request, &sampling_, &output_);

  if (!fields.Flag("skipSpecialTokens")) special_tokens = text::SpecialTokens::kKeep;
  const auto strings = object.Get("stop").As<Napi::Array>();
  std::vector<std::string> stop_strings;
  for (uint32_t i = 0; i < strings.Length(); ++i) {
    stop_strings.push_back(strings.Get(i).As<Napi::String>().Utf8Value());
  }
  if (!stop_strings.empty()) stops = std::make_shared<text::StopStrings>(std::move(stop_strings));
}

}  // namespace addon
