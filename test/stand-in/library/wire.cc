#include "wire.h"

#include <cstring>
#include <list>
#include <optional>
#include <type_traits>

namespace stand_in {
namespace {

class Writer {
 public:
  Bytes Take() { return std::move(bytes_); }

  template <typename T>
  void operator()(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto* begin = reinterpret_cast<const char*>(&value);
    bytes_.insert(bytes_.end(), begin, begin + sizeof(T));
  }
  void operator()(const std::string& text) { List(text); }
  template <typename T>
  void operator()(const std::vector<T>& list) {
    List(list);
  }
  template <typename T>
  void operator()(const std::list<T>& list) {
    List(list);
  }
  template <typename T>
  void operator()(const std::optional<T>& value) {
    (*this)(value.has_value());
    if (value) (*this)(*value);
  }
  void operator()(const tle::Tensor& tensor) {  // of floats, in host memory
    const tle::Shape shape = tensor.getShape();
    (*this)(std::vector<int64_t>(shape.begin(), shape.end()));
    const auto* begin = static_cast<const char*>(tensor.getData());
    bytes_.insert(bytes_.end(), begin, begin + tensor.getSizeInBytes());
  }

 private:
  template <typename List_>
  void List(const List_& list) {
    (*this)(list.size());
    for (const auto& item : list) (*this)(item);
  }

  Bytes bytes_;
};

class Reader {
 public:
  explicit Reader(const Bytes& bytes) : next_(bytes.data()) {}

  template <typename T>
  T Take() {
    T value{};
    Read(&value);
    return value;
  }

 private:
  template <typename T>
  void Read(T* value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::memcpy(value, next_, sizeof(T));
    next_ += sizeof(T);
  }
  void Read(std::string* text) { ReadList(text); }
  template <typename T>
  void Read(std::vector<T>* list) {
    ReadList(list);
  }
  template <typename T>
  void Read(std::list<T>* list) {
    ReadList(list);
  }
  template <typename T>
  void Read(std::optional<T>* value) {
    if (Take<bool>()) *value = Take<T>();
  }
  void Read(tle::Tensor* tensor) {
    const auto shape = Take<std::vector<int64_t>>();
    *tensor = tle::Tensor::cpu(tle::DataType::kFP32, tle::Shape(shape.data(), shape.size()));
    std::memcpy(tensor->getData(), next_, tensor->getSizeInBytes());
    next_ += tensor->getSizeInBytes();
  }
  template <typename List>
  void ReadList(List* list) {
    for (auto left = Take<size_t>(); left > 0; --left) list->push_back(Take<typename List::value_type>());
  }

  const char* next_;
};

// Each part of a request in one order, for both ways: visit(value, set) with what a getter gives and the setter for it.
template <typename Visit>
void VisitSampling(const tle::SamplingConfig& from, tle::SamplingConfig* to, Visit visit) {
  visit(from.getBeamWidth(), [to](const auto& v) { to->setBeamWidth(v); });
  visit(from.getTopK(), [to](const auto& v) { to->setTopK(v); });
  visit(from.getTopP(), [to](const auto& v) { to->setTopP(v); });
  visit(from.getTopPMin(), [to](const auto& v) { to->setTopPMin(v); });
  visit(from.getTopPResetIds(), [to](const auto& v) { to->setTopPResetIds(v); });
  visit(from.getTopPDecay(), [to](const auto& v) { to->setTopPDecay(v); });
  visit(from.getSeed(), [to](const auto& v) { to->setSeed(v); });
  visit(from.getTemperature(), [to](const auto& v) { to->setTemperature(v); });
  visit(from.getMinTokens(), [to](const auto& v) { to->setMinTokens(v); });
  visit(from.getRepetitionPenalty(), [to](const auto& v) { to->setRepetitionPenalty(v); });
  visit(from.getPresencePenalty(), [to](const auto& v) { to->setPresencePenalty(v); });
  visit(from.getFrequencyPenalty(), [to](const auto& v) { to->setFrequencyPenalty(v); });
  visit(from.getLengthPenalty(), [to](const auto& v) { to->setLengthPenalty(v); });
  visit(from.getNoRepeatNgramSize(), [to](const auto& v) { to->setNoRepeatNgramSize(v); });
#if STAND_IN_1_2
  visit(from.getNumReturnSequences(), [to](const auto& v) { to->setNumReturnSequences(v); });
  visit(from.getMinP(), [to](const auto& v) { to->setMinP(v); });
#endif
}

template <typename Visit>
void VisitRequest(const tle::Request& from, tle::Request* to, Visit visit) {
  const tle::OutputConfig output = from.getOutputConfig();
  visit(std::vector<bool>{output.returnLogProbs, output.returnContextLogits, output.returnGenerationLogits,
                          output.excludeInputFromOutput},
        [to](const std::vector<bool>& v) { to->setOutputConfig(tle::OutputConfig(v[0], v[1], v[2], v[3])); });
  const auto visit_set = [&](const auto& value, auto set) {
    visit(value, [&set](const auto& v) {
      if (v) set(*v);
    });
  };
  visit_set(from.getEndId(), [to](auto v) { to->setEndId(v); });
  visit_set(from.getStopWords(), [to](const auto& v) { to->setStopWords(v); });
  visit_set(from.getBadWords(), [to](const auto& v) { to->setBadWords(v); });
  visit_set(from.getEmbeddingBias(), [to](const auto& v) { to->setEmbeddingBias(v); });
  visit_set(from.getClientId(), [to](auto v) { to->setClientId(v); });
  visit(from.getReturnAllGeneratedTokens(), [to](auto v) { to->setReturnAllGeneratedTokens(v); });
  visit(from.getPriority(), [to](auto v) { to->setPriority(v); });
#if STAND_IN_1_2
  visit_set(from.getAllottedTimeMs(), [to](auto v) { to->setAllottedTimeMs(v); });
#else
  visit(from.getNumReturnSequences(), [to](auto v) { to->setNumReturnSequences(v); });
#endif
}

template <typename Visit>
void VisitConfig(const tle::ExecutorConfig& from, tle::ExecutorConfig* to, Visit visit) {
  visit(from.getMaxBeamWidth(), [to](auto v) { to->setMaxBeamWidth(v); });
  visit(from.getEnableChunkedContext(), [to](auto v) { to->setEnableChunkedContext(v); });
  visit(from.getMaxBatchSize(), [to](const auto& v) {
    if (v) to->setMaxBatchSize(*v);
  });
  visit(from.getMaxNumTokens(), [to](const auto& v) {
    if (v) to->setMaxNumTokens(*v);
  });
  visit(from.getMaxQueueSize(), [to](const auto& v) {
    if (v) to->setMaxQueueSize(*v);
  });
  visit(from.getRecvPollPeriodMs(), [to](auto v) { to->setRecvPollPeriodMs(v); });
  visit(from.getKvCacheConfig().getMaxTokens(), [to](const auto& v) {
    tle::KvCacheConfig kv_cache;
    if (v) kv_cache.setMaxTokens(*v);
    to->setKvCacheConfig(kv_cache);
  });
#if STAND_IN_1_2
  visit(from.getGatherGenerationLogits(), [to](auto v) { to->setGatherGenerationLogits(v); });
#endif
}

// Every part of a result, for both ways.
template <typename Result, typename Visit>
void VisitResult(Result& result, Visit visit) {
  visit(result.isFinal);
  visit(result.outputTokenIds);
  visit(result.cumLogProbs);
  visit(result.logProbs);
  visit(result.contextLogits);
  visit(result.generationLogits);
  visit(result.finishReasons);
  visit(result.decodingIter);
  visit(result.sequenceIndex);
  visit(result.isSequenceFinal);
}

auto WriteWith(Writer* write) {
  return [write](const auto& value, const auto&) { (*write)(value); };
}
auto ReadWith(Reader* reader) {
  return [reader](const auto& value, auto set) { set(reader->Take<std::decay_t<decltype(value)>>()); };
}

std::optional<tle::IdType> ClientIdOf(const tle::Response& response) {
#if STAND_IN_1_2
  return response.getClientId();
#else
  static_cast<void>(response);
  return std::nullopt;
#endif
}

template <typename Content>
tle::Response MakeResponse(tle::IdType id, Content content, const std::optional<tle::IdType>& client_id) {
#if STAND_IN_1_2
  return tle::Response(id, std::move(content), client_id);
#else
  static_cast<void>(client_id);
  return tle::Response(id, std::move(content));
#endif
}

}  // namespace

Bytes Encode(const Job& job) {
  Writer write;
  write(job.engine_dir);
  VisitConfig(job.config, nullptr, WriteWith(&write));
  return write.Take();
}

Job DecodeJob(const Bytes& bytes) {
  Reader reader(bytes);
  Job job{reader.Take<std::string>(), tle::ExecutorConfig()};
  VisitConfig(tle::ExecutorConfig(), &job.config, ReadWith(&reader));
  return job;
}

Bytes Encode(const Submission& submission) {
  Writer write;
  write(submission.ids);
  for (const tle::Request& request : submission.requests) {
    write(request.getInputTokenIds());
    write(request.getMaxTokens());
    write(request.getStreaming());
    VisitSampling(request.getSamplingConfig(), nullptr, WriteWith(&write));
    VisitRequest(request, nullptr, WriteWith(&write));
  }
  return write.Take();
}

Submission DecodeSubmission(const Bytes& bytes) {
  Reader reader(bytes);
  Submission submission{reader.Take<std::vector<tle::IdType>>(), {}};
  while (submission.requests.size() < submission.ids.size()) {
    const auto tokens = reader.Take<tle::VecTokens>();
    const auto max_tokens = reader.Take<tle::SizeType32>();
    const bool streaming = reader.Take<bool>();
    tle::SamplingConfig sampling;
    VisitSampling(tle::SamplingConfig(), &sampling, ReadWith(&reader));
    tle::Request& request = submission.requests.emplace_back(tokens, max_tokens, streaming, sampling);
    VisitRequest(tle::Request(request), &request, ReadWith(&reader));
  }
  return submission;
}

Bytes Encode(const std::vector<tle::Response>& responses) {
  Writer write;
  write(responses.size());
  for (const tle::Response& response : responses) {
    write(response.getRequestId());
    write(ClientIdOf(response));
    write(response.hasError());
    if (response.hasError())
      write(response.getErrorMsg());
    else
      VisitResult(response.getResult(), [&](const auto& value) { write(value); });
  }
  return write.Take();
}

std::vector<tle::Response> DecodeResponses(const Bytes& bytes) {
  Reader reader(bytes);
  std::vector<tle::Response> responses;
  for (auto left = reader.Take<size_t>(); left > 0; --left) {
    const auto id = reader.Take<tle::IdType>();
    const auto client_id = reader.Take<std::optional<tle::IdType>>();
    if (reader.Take<bool>()) {
      responses.push_back(MakeResponse(id, reader.Take<std::string>(), client_id));
      continue;
    }
    tle::Result result{};
    VisitResult(result, [&](auto& value) { value = reader.Take<std::decay_t<decltype(value)>>(); });
    responses.push_back(MakeResponse(id, std::move(result), client_id));
  }
  return responses;
}

}  // namespace stand_in
