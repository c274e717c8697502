#include "native/text/json_reader.h"

#include <cstdio>
#include <utility>

#include "native/text/tokenizer_error.h"

namespace text {
namespace {

constexpr size_t kMaxDepth = 500;
constexpr char kFix[] = ". Copy the file from the model again, or convert the model again.";

std::string Cut(std::string text, size_t size) {
  if (text.size() <= size) return text;
  while ((static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;  // no character is cut in two
  return text.substr(0, size) + "...";
}

}  // namespace

std::string Quoted(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : Cut(std::string(name.substr(0, 104)), 100)) {
    const bool is_plain = static_cast<unsigned char>(c) >= 0x20 && c != '"' && c != '\\';
    char escaped[7];
    if (!is_plain) std::snprintf(escaped, sizeof(escaped), "\\u%04x", static_cast<unsigned>(c));
    quoted += is_plain ? std::string(1, c) : escaped;
  }
  return quoted + '"';
}

JsonReader::JsonReader(std::string path, std::string_view json) : path_(std::move(path)) {
  auto error = parser_.allocate(json.size(), kMaxDepth);
  if (!error) error = parser_.parse(json.data(), json.size()).get(root_);
  if (error == simdjson::MEMALLOC) throw std::bad_alloc();
  if (error == simdjson::DEPTH_ERROR) Fail("it is nested deeper than " + std::to_string(kMaxDepth));
  if (error)
    throw TokenizerError(TokenizerErrorKind::kFile,
                         path_ + " is not valid JSON: " + simdjson::error_message(error) + kFix);
}

simdjson::dom::object JsonReader::Root() const {
  simdjson::dom::object fields;
  if (root_.get_object().get(fields))
    throw TokenizerError(TokenizerErrorKind::kFile,
                         path_ + " holds " + Shown(root_) + "; expected a JSON object" + kFix);
  return fields;
}

std::optional<simdjson::dom::element> JsonReader::Find(const simdjson::dom::object& fields, const char* name) const {
  simdjson::dom::element value;
  if (fields[name].get(value) || value.is_null()) return std::nullopt;
  return value;
}

std::string JsonReader::Text(const simdjson::dom::object& fields, const std::string& where, const char* name,
                             Emptiness emptiness) const {
  const auto value = Find(fields, name);
  std::string_view text;
  if (!value || value->get_string().get(text) || (text.empty() && emptiness == kNotEmpty))
    Reject(where + name, value, emptiness == kNotEmpty ? "a text that is not empty" : "a text");
  return std::string(text);
}

bool JsonReader::Flag(const simdjson::dom::object& fields, const std::string& where, const char* name,
                      std::optional<bool> fallback) const {
  const auto value = Find(fields, name);
  if (!value && fallback) return *fallback;
  bool flag = false;
  if (!value || value->get_bool().get(flag)) Reject(where + name, value, "true or false");
  return flag;
}

std::pair<simdjson::dom::object, std::string_view> JsonReader::Step(const simdjson::dom::element& step,
                                                                    const std::string& where) const {
  simdjson::dom::object fields;
  std::string_view type;
  if (step.get_object().get(fields) || fields["type"].get_string().get(type))
    Reject(where, step, "an object with a type");
  return {fields, type};
}

std::string JsonReader::Shown(const simdjson::dom::element& value) { return Cut(simdjson::minify(value), 300); }

void JsonReader::Reject(const std::string& field, const std::optional<simdjson::dom::element>& found,
                        const std::string& expected) const {
  Fail(field + " is " + (found ? Shown(*found) : "missing") + "; expected " + expected);
}

void JsonReader::Fail(const std::string& problem) const {
  throw TokenizerError(TokenizerErrorKind::kFile, path_ + ": " + problem + kFix);
}

void JsonReader::FailUnsupported(const std::string& problem) const {
  throw TokenizerError(
      TokenizerErrorKind::kFile,
      path_ + ": " + problem + ", because nothing else is supported. Use a model whose tokenizer.json has that.");
}

void JsonReader::RejectType(const std::string& where, std::string_view type, const char* supported) const {
  FailUnsupported(where + ".type is " + Quoted(type) + "; expected " + supported);
}

}  // namespace text
