#include "native/addon/field_reader.h"

namespace addon {

void FieldReader::BigInt(const char* name, uint32_t bit, uint64_t* field, uint32_t* set) const {
  const Napi::Value value = object_.Get(name);
  if (value.IsUndefined()) return;
  bool lossless = false;
  *field = value.As<Napi::BigInt>().Uint64Value(&lossless);
  *set |= bit;
}

void FieldReader::Text(const char* name, const char** text) const {
  const Napi::Value value = object_.Get(name);
  if (!value.IsUndefined()) *text = owner_->Store(value.As<Napi::String>().Utf8Value())->c_str();
}

void FieldReader::Texts(const char* name, const char* const** texts, uint32_t* count) const {
  const Napi::Value value = object_.Get(name);
  if (value.IsUndefined()) return;
  const auto array = value.As<Napi::Array>();
  std::vector<const char*>& copies = *owner_->Store(std::vector<const char*>());
  for (uint32_t i = 0; i < array.Length(); ++i)
    copies.push_back(owner_->Store(array.Get(i).As<Napi::String>().Utf8Value())->c_str());
  *texts = copies.data();
  *count = array.Length();
}

void FieldReader::TokenLists(const char* name, ExecutorTokenLists* lists) const {
  const Napi::Value value = object_.Get(name);
  if (value.IsUndefined()) return;
  const FieldReader parts(value.As<Napi::Object>(), owner_);
  uint32_t tokens = 0, offsets = 0;
  parts.Array("tokens", &lists->tokens, &tokens);
  parts.Array("offsets", &lists->offsets, &offsets);
  lists->count = offsets - 1;
}

void FieldReader::LogitBias(const char* name, ExecutorLogitBias* bias) const {
  const Napi::Value value = object_.Get(name);
  if (value.IsUndefined()) return;
  const auto parts = value.As<Napi::Object>();
  FieldReader(parts, owner_).Array("tokens", &bias->tokens, &bias->count);
  bias->values = parts.Get("values").As<Napi::Float32Array>().Data();
}

void FieldReader::Tensor(const char* name, const ExecutorTensor** tensor) const {
  const Napi::Value value = object_.Get(name);
  if (value.IsUndefined()) return;
  const auto parts = value.As<Napi::Object>();
  const auto data = parts.Get("data").As<Napi::TypedArray>();
  const auto shape = parts.Get("shape").As<Napi::Array>();
  const auto* bytes = static_cast<const uint8_t*>(data.ArrayBuffer().Data()) + data.ByteOffset();
  ExecutorTensor& made = *owner_->Store(ExecutorTensor{});
  made.data = owner_->Store(std::vector<uint8_t>(bytes, bytes + data.ByteLength()))->data();
  FieldReader(parts, owner_).Number("dataType", &made.data_type);
  made.rank = shape.Length();
  for (uint32_t i = 0; i < made.rank; ++i) made.shape[i] = shape.Get(i).As<Napi::Number>().Int64Value();
  *tensor = &made;
}

}  // namespace addon
