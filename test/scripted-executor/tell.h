// What an executor is given, as JSON: a struct is the array of its fields, in the order of native/isolation/*_fields.h, which
// has each of them. test/tools/told.ts puts their names back.
#ifndef SCRIPTED_EXECUTOR_TELL_H_
#define SCRIPTED_EXECUTOR_TELL_H_

#include <cstdio>
#include <sstream>
#include <string>
#include <type_traits>

#include "native/isolation/config_fields.h"
#include "native/isolation/request_fields.h"

namespace scripted {

class Teller {
 public:
  template <typename... T>
  void Values(const T&... values) {
    (Next(values), ...);
  }
  template <typename T>
  void Array(const T* data, uint64_t count) {
    if (data == nullptr) return Null();
    Begin();
    for (uint64_t i = 0; i < count; ++i) Next(data[i]);
    End();
  }
  void Text(const char* text) {
    if (text == nullptr) return Null();
    Separate();
    json_ << '"';
    for (; *text != 0; ++text) {
      char escaped[7];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", static_cast<unsigned char>(*text));
      const bool is_plain = *text != '"' && *text != '\\' && (*text < 0 || *text >= ' ');
      if (is_plain)
        json_ << *text;
      else
        json_ << escaped;
    }
    json_ << '"';
  }
  void Texts(const char* const* texts, uint64_t count) {
    if (texts == nullptr) return Null();
    Begin();
    for (uint64_t i = 0; i < count; ++i) Text(texts[i]);
    End();
  }
  template <typename T, typename... Context>
  void Group(const T* group, Context... context) {
    if (group == nullptr) return Null();
    T copy = isolation::CopyOf(group);
    Begin();
    isolation::Fields(*this, copy, context...);
    End();
  }
  template <typename T>
  void Groups(const T* groups, uint64_t count) {
    if (groups == nullptr) return Null();
    Begin();
    for (uint64_t i = 0; i < count; ++i) Group(groups + i);
    End();
  }

  void Need(bool /*is_there*/) {}

  std::string json() const { return json_.str(); }

 private:
  template <typename T>
  void Next(const T& value) {
    if constexpr (std::is_array_v<T>) {
      Array(value, std::extent_v<T>);
    } else {
      Separate();
      if constexpr (std::is_floating_point_v<T>) {
        json_ << value;
      } else {
        const auto number = static_cast<uint64_t>(value);
        const char* const quote = number > (uint64_t{1} << 53) ? "\"" : "";  // JavaScript would round it
        json_ << quote << number << quote;
      }
    }
  }
  void Null() {
    Separate();
    json_ << "null";
  }
  void Begin() {
    Separate();
    json_ << '[';
    is_first_ = true;
  }
  void End() {
    json_ << ']';
    is_first_ = false;
  }
  void Separate() {
    if (!is_first_) json_ << ',';
    is_first_ = false;
  }

  std::ostringstream json_;
  bool is_first_ = true;
};

template <typename Struct>
std::string Tell(const Struct* given) {
  Teller teller;
  teller.Group(given);
  return teller.json();
}

}  // namespace scripted

#endif  // SCRIPTED_EXECUTOR_TELL_H_
