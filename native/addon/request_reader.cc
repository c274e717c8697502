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
  fields.TokenLists("stopTokens", &request.stop_tokens);
  fields.TokenLists("badTokens", &request.bad_tokens);
  fields.LogitBias("logitBias", &request.logit_bias);
  fields.Number("timeoutMs", REQUEST_TIMEOUT, &request.timeout_ms, &request.set);

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
  fields.Number("noRepeatNgramSize", SAMPLING_NO_REPEAT_NGRAM_SIZE, &sampling_.no_repeat_ngram_size, set);
  fields.Number("n", SAMPLING_N, &sampling_.n, set);
  fields.Number("bestOf", SAMPLING_BEST_OF, &sampling_.best_of, set);

  request.output = &output_;
  output_.size = sizeof(output_);
  if (fields.Flag("logprobs")) output_.flags |= OUTPUT_LOGPROBS;
  if (fields.Flag("promptLogprobs")) output_.flags |= OUTPUT_PROMPT_LOGPROBS;
  if (fields.Flag("returnContextLogits")) output_.flags |= OUTPUT_RETURN_CONTEXT_LOGITS;
  if (fields.Flag("returnGenerationLogits")) output_.flags |= OUTPUT_RETURN_GENERATION_LOGITS;
  fields.Number("topLogprobs", &output_.top_logprobs);
  fields.Number("topPromptLogprobs", &output_.top_prompt_logprobs);
  if (const Napi::Value extras = object.Get("extras"); !extras.IsUndefined())
    ReadExtras({extras.As<Napi::Object>(), &owner_}, &request, &sampling_, &output_);

  if (!fields.Flag("skipSpecialTokens")) text.special_tokens = ::text::SpecialTokens::kKeep;
  if (const Napi::Value shown = object.Get("shownTokens"); !shown.IsUndefined()) {
    const auto ids = shown.As<Napi::Int32Array>();
    text.shown.assign(ids.Data(), ids.Data() + ids.ElementLength());
  }
  const auto strings = object.Get("stop").As<Napi::Array>();
  std::vector<std::string> stop_strings;
  for (uint32_t i = 0; i < strings.Length(); ++i) {
    stop_strings.push_back(strings.Get(i).As<Napi::String>().Utf8Value());
  }
  if (!stop_strings.empty()) text.stops = std::make_shared<::text::StopStrings>(std::move(stop_strings));
}

}  // namespace addon
