#include "script.h"

#include <simdjson.h>

#include "native/executor/cpp/failure.h"

namespace scripted {

Script ReadScript(const std::string& engine_dir) {
  const std::string file = engine_dir + "/script.json";
  Script script;
  simdjson::dom::parser parser;
  simdjson::dom::object json;
  if (const auto error = parser.load(file).get(json); error != simdjson::SUCCESS) {
    if (error == simdjson::IO_ERROR) return script;
    throw executor::Failure(EXECUTOR_ENGINE_CONFIG, file + ": " + simdjson::error_message(error));
  }
  for (const auto& [key, value] : json) {
    const auto read = [&, name = std::string_view(key), value = value](std::string_view field, auto* target) {
      if (name != field) return false;
      if (value.get(*target) == simdjson::SUCCESS) return true;
      throw executor::Failure(EXECUTOR_ENGINE_CONFIG, file + ": " + std::string(name) + " has another type");
    };
    std::string_view throw_in;
    const bool known = read("load_ms", &script.load_ms) || read("silent_ms", &script.silent_ms) ||
                       read("memory_mb", &script.memory_mb) || read("step_ms", &script.step_ms) ||
                       read("tokens_per_step", &script.tokens_per_step) || read("fail_every", &script.fail_every) ||
                       read("late_rows", &script.late_rows) || read("doubled_finals", &script.doubled_finals) ||
                       read("unknown_rows", &script.unknown_rows) || read("deaf", &script.deaf) ||
                       read("endless_logits_every", &script.endless_logits_every) || read("tell", &script.tell) ||
                       read("capabilities", &script.capabilities) || read("log", &script.log) ||
                       read("echo", &script.echo) || read("throw_at_call", &script.throw_at_call) ||
                       read("throw_at_requests", &script.throw_at_requests) || read("throw_in", &throw_in);
    if (!known) throw executor::Failure(EXECUTOR_ENGINE_CONFIG, file + ": there is no " + std::string(key));
    if (!throw_in.empty()) script.throw_in = throw_in;
  }
  return script;
}

}  // namespace scripted
