#include "native/json/config_file.h"

#include <sys/stat.h>

#include <limits>
#include <string_view>
#include <utility>

#include "native/executor/cpp/failure.h"

namespace json {
namespace {

using executor::Failure;
using simdjson::dom::element;
using simdjson::dom::object;

std::string Shown(const element& value) {
  std::string text = simdjson::minify(value);
  size_t size = 100;
  if (text.size() <= size) return text;
  while ((static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;  // no character is cut in two
  return text.substr(0, size) + "...";
}

}  // namespace

struct Fields::File {
  std::string path;
  std::string fix;
  simdjson::dom::parser parser;  // owns what the fields point to
};

Fields::Fields(std::shared_ptr<const File> file, std::string prefix, object fields)
    : file_(std::move(file)), prefix_(std::move(prefix)), fields_(fields) {}

int Fields::Size(const char* name, std::optional<int> fallback, int largest) const {
  const auto value = Find(name);
  if (!value && fallback) return *fallback;
  int64_t size = 0;
  if (!value || value->get_int64().get(size) || size < 1 || size > largest)
    Reject(name, "a whole number from 1 to " + std::to_string(largest));
  return static_cast<int>(size);
}

double Fields::Positive(const char* name, std::optional<double> fallback) const {
  const auto value = Find(name);
  if (!value && fallback) return *fallback;
  double number = 0;
  if (!value || value->get_double().get(number) || !(number > 0) || number > std::numeric_limits<float>::max())
    Reject(name, "a number above 0");
  return number;
}

std::string Fields::Text(const char* name, const std::optional<std::string>& fallback) const {
  const auto value = Find(name);
  if (!value && fallback) return *fallback;
  std::string_view text;
  if (!value || value->get_string().get(text)) Reject(name, "a string");
  return std::string(text);
}

bool Fields::Flag(const char* name) const {
  const auto value = Find(name);
  bool flag = false;
  if (value && value->get_bool().get(flag)) Reject(name, "true or false");
  return flag;
}

Fields Fields::Object(const char* name) const {
  const auto value = Find(name);
  object fields;
  if (!value || value->get_object().get(fields)) Reject(name, "an object");
  return Fields(file_, prefix_ + name + ".", fields);
}

std::optional<Fields> Fields::OptionalObject(const char* name) const {
  if (!Has(name)) return std::nullopt;
  return Object(name);
}

bool Fields::Has(const char* name) const { return Find(name).has_value(); }

bool Fields::HasItems(const char* name) const {
  const auto value = Find(name);
  simdjson::dom::array items;
  if (value && value->get_array().get(items)) Reject(name, "a list");
  return value && items.size() > 0;
}

std::vector<bool> Fields::Flags(const char* name) const {
  constexpr char kExpected[] = "a list of true and false, or of 1 and 0";
  const auto value = Find(name);
  std::vector<bool> flags;
  simdjson::dom::array items;
  if (value && value->get_array().get(items)) Reject(name, kExpected);
  if (!value) return flags;
  for (const element item : items) {
    bool flag = false;
    int64_t number = 0;
    if (item.get_bool().get(flag)) {
      if (item.get_int64().get(number) || number < 0 || number > 1) Reject(name, kExpected);
      flag = number == 1;
    }
    flags.push_back(flag);
  }
  return flags;
}

std::string Fields::Show(const char* name) const {
  const auto value = Find(name);
  return value ? Shown(*value) : "missing";
}

void Fields::Reject(const char* name, const std::string& expected) const { Reject(name, Show(name), expected); }

void Fields::Reject(const char* name, const std::string& found, const std::string& expected) const {
  throw Failure(EXECUTOR_ENGINE_CONFIG, Place(name) + " is " + found + "; expected " + expected + ". " + file_->fix);
}

std::string Fields::Place(const char* name) const { return file_->path + ": " + prefix_ + name; }

std::optional<element> Fields::Find(const char* name) const {
  element value;
  if (fields_[name].get(value) || value.is_null()) return std::nullopt;
  return value;
}

Fields ReadConfigFile(const std::string& path, const ConfigFileWords& words) {
  auto file = std::make_shared<Fields::File>();
  file->path = path;
  file->fix = words.fix;
  element root;
  struct stat status;
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))  // reading a pipe would wait for its writer
    throw Failure(EXECUTOR_ENGINE_CONFIG, path + " is not a regular file. " + words.fix);
  if (const auto error = file->parser.load(path).get(root)) {
    if (error == simdjson::IO_ERROR) throw Failure(EXECUTOR_ENGINE_NOT_FOUND, path + " " + words.missing);
    throw Failure(EXECUTOR_ENGINE_CONFIG,
                  path + " is not valid JSON: " + std::string(simdjson::error_message(error)) + ". " + words.fix);
  }
  object fields;
  if (root.get_object().get(fields))
    throw Failure(EXECUTOR_ENGINE_CONFIG, path + " holds " + Shown(root) + "; expected an object. " + words.fix);
  return Fields(std::move(file), "", fields);
}

}  // namespace json
