#include "script.h"

#include <simdjson.h>

#include <string_view>

#include "check.h"

namespace stand_in {
namespace {

bool Read(const simdjson::dom::element& value, std::vector<uint64_t>* target) {
  simdjson::dom::array items;
  if (value.get(items) != simdjson::SUCCESS) return false;
  target->clear();
  for (const auto& item : items)
    if (item.get(target->emplace_back()) != simdjson::SUCCESS) return false;
  return !target->empty();
}

bool Read(const simdjson::dom::element& value, std::string* target) {
  std::string_view text;
  if (value.get(text) != simdjson::SUCCESS) return false;
  *target = text;
  return true;
}

template <typename T>
bool Read(const simdjson::dom::element& value, T* target) {
  return value.get(*target) == simdjson::SUCCESS;
}

}  // namespace

Script ReadScript(const std::filesystem::path& engine_dir) {
  const std::string file = engine_dir / "stand-in.json";
  Script script;
  simdjson::dom::parser parser;
  simdjson::dom::object json;
  if (const auto error = parser.load(file).get(json)) {
    if (error == simdjson::IO_ERROR) return script;
    Throw(file + ": " + simdjson::error_message(error));
  }
  for (const auto& [key, value] : json) {
    const auto read = [&, name = std::string(key), value = value](std::string_view field, auto* target) {
      if (name != field) return false;
      if (!Read(value, target)) Throw(file + ": " + name + " has another type");
      return true;
    };
    const bool known =
        read("load_ms", &script.load_ms) || read("step_ms", &script.step_ms) || read("deltas", &script.deltas) ||
        read("final_steps_late", &script.final_steps_late) || read("doubled_finals", &script.doubled_finals) ||
        read("unknown_ids", &script.unknown_ids) || read("fail_every", &script.fail_every) ||
        read("fail_without_client_id", &script.fail_without_client_id) ||
        read("forward_fails_at", &script.forward_fails_at) || read("throw_in", &script.throw_in) ||
        read("throw_at_call", &script.throw_at_call) || read("throw_no_exception", &script.throw_no_exception) ||
        read("abort_in", &script.abort_in) || read("worker_ends_by", &script.worker_ends_by) ||
        read("worker_ends_at_step", &script.worker_ends_at_step);
    if (!known) Throw(file + ": there is no " + std::string(key));
  }
  return script;
}

}  // namespace stand_in
