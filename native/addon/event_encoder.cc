#include "native/addon/event_encoder.h"

#include <algorithm>
#include <cstring>

namespace addon {
namespace {

bool IsAscii(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) >= 0; });
}

// V8 makes a string of Latin-1, which ASCII is, several times faster than one of UTF-8.
napi_value ToJavaScript(Napi::Env env, const std::string& text) {
  napi_value value = nullptr;
  const napi_status status = IsAscii(text) ? napi_create_string_latin1(env, text.data(), text.size(), &value)
                                           : napi_create_string_utf8(env, text.data(), text.size(), &value);
  if (status != napi_ok) throw Napi::Error::New(env);
  return value;
}

napi_value ToJavaScript(Napi::Env env, const std::vector<double>& logprobs) {
  auto array = Napi::Float64Array::New(env, logprobs.size());
  std::copy(logprobs.begin(), logprobs.end(), array.Data());
  return array;
}

napi_value ToJavaScript(Napi::Env env, const std::vector<Matrix>& logits) {
  auto list = Napi::Array::New(env, logits.size());
  for (uint32_t i = 0; i < logits.size(); ++i) {
    auto data = Napi::Float32Array::New(env, logits[i].data.size());
    std::copy(logits[i].data.begin(), logits[i].data.end(), data.Data());
    auto matrix = Napi::Object::New(env);
    matrix["data"] = data;
    matrix["rows"] = Napi::Number::New(env, logits[i].rows);
    matrix["columns"] = Napi::Number::New(env, logits[i].columns);
    list[i] = matrix;
  }
  return list;
}

template <typename Array>
Napi::Value ArrayOf(Napi::Env env, const std::vector<unsigned char>& bytes) {
  auto array = Array::New(env, bytes.size() / sizeof(*Array().Data()));
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<unsigned char*>(array.Data()));
  return array;
}

// As lib/options/tensor.ts has it: 16-bit floats as their bits, 8-bit ones and booleans as bytes.
Napi::Value ElementsOf(Napi::Env env, const NamedTensor& tensor) {
  switch (tensor.data_type) {
    case DATA_TYPE_FLOAT32:
      return ArrayOf<Napi::Float32Array>(env, tensor.bytes);
    case DATA_TYPE_FLOAT16:
    case DATA_TYPE_BFLOAT16:
      return ArrayOf<Napi::Uint16Array>(env, tensor.bytes);
    case DATA_TYPE_INT64:
      return ArrayOf<Napi::BigInt64Array>(env, tensor.bytes);
    case DATA_TYPE_INT32:
      return ArrayOf<Napi::Int32Array>(env, tensor.bytes);
    case DATA_TYPE_INT8:
      return ArrayOf<Napi::Int8Array>(env, tensor.bytes);
    default:
      return ArrayOf<Napi::Uint8Array>(env, tensor.bytes);
  }
}

napi_value ToJavaScript(Napi::Env env, const std::vector<NamedTensor>& tensors) {
  auto list = Napi::Array::New(env, tensors.size());
  for (uint32_t i = 0; i < tensors.size(); ++i) {
    const NamedTensor& tensor = tensors[i];
    auto shape = Napi::Array::New(env, tensor.shape.size());
    for (uint32_t j = 0; j < tensor.shape.size(); ++j)
      shape[j] = Napi::Number::New(env, static_cast<double>(tensor.shape[j]));
    auto object = Napi::Object::New(env);
    object["name"] = Napi::String::New(env, tensor.name);
    object["data"] = ElementsOf(env, tensor);
    object["shape"] = shape;
    object["dataType"] = Napi::Number::New(env, tensor.data_type);
    list[i] = object;
  }
  return list;
}

}  // namespace

template <typename Array, typename Value>
napi_value EventEncoder::Kept<Array, Value>::Fill(Napi::Env env, const std::vector<Value>& values) {
  if (elements == nullptr || size < values.size()) {
    constexpr size_t kSmallest = 1024;
    Array larger = Array::New(env, std::max(values.size() * 2, kSmallest));
    array = Napi::Persistent(larger);
    elements = larger.Data();
    size = larger.ElementLength();
  }
  std::copy(values.begin(), values.end(), elements);
  napi_value value = nullptr;
  if (napi_get_reference_value(env, array, &value) != napi_ok) throw Napi::Error::New(env);
  return value;
}

void EventEncoder::Send(Napi::Env env, const Napi::Function& on_events, Events* events) {
  const napi_value none = env.Undefined();
  const napi_value arguments[] = {
      numbers_.Fill(env, events->numbers),
      Napi::Number::New(env, static_cast<double>(events->numbers.size())),
      ToJavaScript(env, events->text),
      tokens_.Fill(env, events->tokens),
      Napi::Number::New(env, static_cast<double>(events->tokens.size())),
      events->logprobs.empty() ? none : ToJavaScript(env, events->logprobs),
      events->logits.empty() ? none : ToJavaScript(env, events->logits),
      events->tensors.empty() ? none : ToJavaScript(env, events->tensors),
  };
  events->Clear();
  on_events.Call(std::size(arguments), arguments);
}

}  // namespace addon
