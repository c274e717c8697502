// Reading the objects of checked values that lib/ hands to the addon into the contract's structs.
#ifndef ADDON_FIELD_READER_H_
#define ADDON_FIELD_READER_H_

#include <napi.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "native/executor/request.h"

namespace addon {

// Owns what the pointers of a struct point to.
class Owner {
 public:
  template <typename T>
  T* Store(T value) {
    auto kept = std::make_shared<T>(std::move(value));
    owned_.push_back(kept);
    return kept.get();
  }

 private:
  std::vector<std::shared_ptr<void>> owned_;
};

// One object. What is read is copied to `owner`, so that no JavaScript value is needed afterwards. A property that is
// undefined leaves its field as it is: unset.
class FieldReader {
 public:
  FieldReader(const Napi::Object& object, Owner* owner) : object_(object), owner_(owner) {}

  // A boolean counts as 0 or 1.
  template <typename Field>
  void Number(const char* name, Field* field) const {
    if (const Napi::Value value = object_.Get(name); !value.IsUndefined())
      *field = static_cast<Field>(value.ToNumber().DoubleValue());
  }
  // Sets the presence bit too.
  template <typename Field>
  void Number(const char* name, uint32_t bit, Field* field, uint32_t* set) const {
    const Napi::Value value = object_.Get(name);
    if (value.IsUndefined()) return;
    *field = static_cast<Field>(value.ToNumber().DoubleValue());
    *set |= bit;
  }
  bool Flag(const char* name) const { return object_.Get(name).ToBoolean(); }
  void BigInt(const char* name, uint32_t bit, uint64_t* field, uint32_t* set) const;

  void Text(const char* name, const char** text) const;
  void Texts(const char* name, const char* const** texts, uint32_t* count) const;
  // Of an Int32Array.
  template <typename Value>
  void Array(const char* name, const Value** data, uint32_t* count) const {
    const Napi::Value value = object_.Get(name);
    if (value.IsUndefined()) return;
    const auto array = value.As<Napi::Int32Array>();
    std::vector<Value>& copy = *owner_->Store(std::vector<Value>(array.ElementLength()));
    for (size_t i = 0; i < copy.size(); ++i) copy[i] = static_cast<Value>(array[i]);
    *data = copy.data();
    *count = static_cast<uint32_t>(copy.size());
  }
  void TokenLists(const char* name, ExecutorTokenLists* lists) const;
  // Of an Int32Array of tokens and a Float32Array of values, which must stay as they are while the request is submitted.
  void LogitBias(const char* name, ExecutorLogitBias* bias) const;
  void Tensor(const char* name, const ExecutorTensor** tensor) const;

  // The struct that `read` makes of the object in a property.
  template <typename Struct>
  void Group(const char* name, Struct (*read)(const FieldReader&), const Struct** group) const {
    const Napi::Value value = object_.Get(name);
    if (!value.IsUndefined()) *group = owner_->Store(read(FieldReader(value.As<Napi::Object>(), owner_)));
  }
  // Those that it makes of the objects in an array.
  template <typename Struct>
  void Groups(const char* name, Struct (*read)(const FieldReader&), const Struct** groups, uint32_t* count) const {
    const Napi::Value value = object_.Get(name);
    if (value.IsUndefined()) return;
    const auto array = value.As<Napi::Array>();
    std::vector<Struct>& made = *owner_->Store(std::vector<Struct>());
    for (uint32_t i = 0; i < array.Length(); ++i) made.push_back(read({array.Get(i).As<Napi::Object>(), owner_}));
    *groups = made.data();
    *count = array.Length();
  }

 private:
  Napi::Object object_;
  Owner* owner_;
};

}  // namespace addon

#endif  // ADDON_FIELD_READER_H_
