#ifndef STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_RESPONSE_H_
#define STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_RESPONSE_H_

#include <utility>

#include "tensorrt_llm/executor/parts/request_parts.h"
#include "tensorrt_llm/executor/tensor.h"

namespace tensorrt_llm::executor {

#if STAND_IN_1_2
struct SpeculativeDecodingFastLogitsInfo {
  uint64_t draftRequestId;
  int32_t draftParticipantId;
};

struct AdditionalOutput {
  AdditionalOutput(std::string name, Tensor output) : name(std::move(name)), output(std::move(output)) {}

  std::string name;
  Tensor output;
};
#endif

struct Result {
  bool isFinal;
  BeamTokens outputTokenIds;
  std::optional<VecLogProbs> cumLogProbs;
  std::optional<std::vector<VecLogProbs>> logProbs;
  std::optional<Tensor> contextLogits;
  std::optional<Tensor> generationLogits;
#if STAND_IN_1_2
  std::optional<SpeculativeDecodingFastLogitsInfo> specDecFastLogitsInfo;
#endif
  std::optional<Tensor> encoderOutput;
  std::vector<FinishReason> finishReasons;
  std::optional<ContextPhaseParams> contextPhaseParams;
  SizeType32 decodingIter{0};
#if STAND_IN_1_2
  float avgDecodedTokensPerIter{0.0f};
#endif
  SizeType32 sequenceIndex{0};
  bool isSequenceFinal;
#if STAND_IN_1_2
  std::optional<RequestPerfMetrics> requestPerfMetrics;
  std::vector<AdditionalOutput> additionalOutputs;
#endif
};

class Response {
 public:
#if STAND_IN_1_2
  Response(IdType requestId, std::string errorMsg, std::optional<IdType> clientId = std::nullopt)
      : request_id_(requestId), error_(std::move(errorMsg)), client_id_(clientId) {}
  Response(IdType requestId, Result Result, std::optional<IdType> clientId = std::nullopt)
      : request_id_(requestId), result_(std::move(Result)), client_id_(clientId) {}

  [[nodiscard]] std::optional<IdType> getClientId() const { return client_id_; }
#else
  Response(IdType requestId, std::string errorMsg) : request_id_(requestId), error_(std::move(errorMsg)) {}
  Response(IdType requestId, Result Result) : request_id_(requestId), result_(std::move(Result)) {}
#endif

  [[nodiscard]] IdType getRequestId() const { return request_id_; }
  [[nodiscard]] bool hasError() const { return error_.has_value(); }
  // Each throws TllmException where the other is there.
  [[nodiscard]] std::string const& getErrorMsg() const;
  [[nodiscard]] Result const& getResult() const;

 private:
  IdType request_id_;
  std::optional<std::string> error_;
  std::optional<Result> result_;
#if STAND_IN_1_2
  std::optional<IdType> client_id_;
#endif
};

}  // namespace tensorrt_llm::executor

#endif  // STAND_IN_TENSORRT_LLM_EXECUTOR_PARTS_RESPONSE_H_
