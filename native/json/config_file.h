// The one reader of config files: a JSON file that holds an object, and typed getters for its fields. What is wrong is an
// executor::Failure that names the file and the field: "DIR/config.json: model.heads is -1; expected ... FIX."
#ifndef NATIVE_JSON_CONFIG_FILE_H_
#define NATIVE_JSON_CONFIG_FILE_H_

#include <simdjson.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace json {

constexpr int kLargestSize = 1 << 27;  // products of two sizes stay far inside int64

// The words that a file's failures end with.
struct ConfigFileWords {
  std::string missing;  // after the path of a file that is not there: "is missing; expected ... FIX."
  std::string fix;      // what helps where the file is damaged: "Build the engine again: ..."
};

// One object of a file, and what keeps the file in memory. A null is a field that is not there. A getter with a fallback
// gives that for a field that is not there; without, the field must be there.
class Fields {
 public:
  int Size(const char* name, std::optional<int> fallback = std::nullopt, int largest = kLargestSize) const;
  double Positive(const char* name, std::optional<double> fallback = std::nullopt) const;  // at most the largest float
  std::string Text(const char* name, const std::optional<std::string>& fallback = std::nullopt) const;
  bool Flag(const char* name) const;  // false where it is not there
  Fields Object(const char* name) const;
  std::optional<Fields> OptionalObject(const char* name) const;
  bool Has(const char* name) const;
  bool HasItems(const char* name) const;  // of a list; false where it is not there
  std::vector<bool> Flags(
      const char* name) const;  // of a list of true and false, or 1 and 0; none where it is not there
  // Its JSON, cut short where it is long; "missing" where it is not there.
  std::string Show(const char* name) const;

  // For what is wrong beyond a field's type.
  [[noreturn]] void Reject(const char* name, const std::string& expected) const;
  // For a value that follows from others where the field is not there.
  [[noreturn]] void Reject(const char* name, const std::string& found, const std::string& expected) const;
  // The field as messages name it: "DIR/config.json: model.heads".
  std::string Place(const char* name) const;

 private:
  struct File;
  friend Fields ReadConfigFile(const std::string& path, const ConfigFileWords& words);
  Fields(std::shared_ptr<const File> file, std::string prefix, simdjson::dom::object fields);

  std::optional<simdjson::dom::element> Find(const char* name) const;

  std::shared_ptr<const File> file_;
  std::string prefix_;  // of the names of its fields: "model."
  simdjson::dom::object fields_;
};

// Throws executor::Failure with EXECUTOR_ENGINE_NOT_FOUND where the file cannot be read, EXECUTOR_ENGINE_CONFIG where it
// holds no JSON object; so do the getters.
Fields ReadConfigFile(const std::string& path, const ConfigFileWords& words);

}  // namespace json

#endif  // NATIVE_JSON_CONFIG_FILE_H_
