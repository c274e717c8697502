// Reading tokenizer.json: typed getters whose failures name the file and the field.
#ifndef TEXT_JSON_READER_H_
#define TEXT_JSON_READER_H_

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace text {

// A name as a message shows it, cut where it is long.
std::string Quoted(std::string_view name);

class JsonReader {
 public:
  enum Emptiness { kNotEmpty, kMaybeEmpty };

  // Throws TokenizerError where `json` is none.
  JsonReader(std::string path, std::string_view json);

  const std::string& path() const { return path_; }
  simdjson::dom::object Root() const;
  // Nothing for null too.
  std::optional<simdjson::dom::element> Find(const simdjson::dom::object& fields, const char* name) const;
  // `where` comes before the name in messages: "model.".
  std::string Text(const simdjson::dom::object& fields, const std::string& where, const char* name,
                   Emptiness emptiness) const;
  bool Flag(const simdjson::dom::object& fields, const std::string& where, const char* name,
            std::optional<bool> fallback) const;

  // The fields of a step and its type.
  std::pair<simdjson::dom::object, std::string_view> Step(const simdjson::dom::element& step,
                                                          const std::string& where) const;
  // Each item of a list, with its place for messages.
  template <typename Visit>
  void ForEach(const simdjson::dom::object& fields, const std::string& where, const char* name, Visit visit) const {
    simdjson::dom::array items;
    if (fields[name].get_array().get(items)) Reject(where + "." + name, Find(fields, name), "a list");
    size_t index = 0;
    for (const simdjson::dom::element item : items)
      visit(item, where + "." + name + "[" + std::to_string(index++) + "]");
  }

  // Its JSON, cut where it is long.
  static std::string Shown(const simdjson::dom::element& value);
  [[noreturn]] void Reject(const std::string& field, const std::optional<simdjson::dom::element>& found,
                           const std::string& expected) const;
  // `problem` is all but the file's name and what to do.
  [[noreturn]] void Fail(const std::string& problem) const;
  // For what a file may hold, but not for us.
  [[noreturn]] void FailUnsupported(const std::string& problem) const;
  [[noreturn]] void RejectType(const std::string& where, std::string_view type, const char* supported) const;

 private:
  std::string path_;
  simdjson::dom::parser parser_;  // owns what the elements point to
  simdjson::dom::element root_;
};

}  // namespace text

#endif  // TEXT_JSON_READER_H_
