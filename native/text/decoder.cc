#include "native/text/decoder.h"

#include <string>
#include <utility>

#include "native/text/byte_level.h"

namespace text {
namespace {

constexpr size_t kMaxBytes = size_t{256} << 20;  // of all tokens together, and of what comes before each replacement
constexpr size_t kMaxReplacements = 64;
constexpr size_t kMaxPattern = 64;

// How the name of a token becomes its bytes.
struct DecodeRules {
  enum class Spelling { kText, kByteLevel, kByteFallback };       // kByteFallback: UTF-8, but <0x0A> is the byte 10
  std::vector<std::pair<std::string, std::string>> replacements;  // done first, in this order
  Spelling spelling = Spelling::kText;
  LeadingSpace leading_space = LeadingSpace::kKeep;
  bool is_fused = false;  // from here on the steps see the whole text, and no longer single tokens
};

// False where the rules cannot say what the step does.
bool Add(const simdjson::dom::element& step, DecodeRules* rules) {
  using simdjson::dom::array;
  using Spelling = DecodeRules::Spelling;
  std::string_view type, pattern, content;
  if (step["type"].get_string().get(type)) return false;
  const bool of_names = !rules->is_fused && rules->spelling == Spelling::kText;
  const auto flag = [&](const char* name) {
    bool value = true;
    return step[name].get_bool().get(value) || value;
  };
  const auto is_count = [&](const char* name, uint64_t expected) {
    uint64_t value = 0;
    return !step[name].get_uint64().get(value) && value == expected;
  };
  if (type == "Sequence") {
    array steps;
    if (step["decoders"].get_array().get(steps)) return false;
    for (const auto each : steps)
      if (!Add(each, rules)) return false;
    return true;
  }
  if (type == "Fuse") {
    rules->is_fused = true;
    return true;
  }
  if (type == "ByteLevel") {
    rules->spelling = Spelling::kByteLevel;
    rules->is_fused = true;
    return of_names;
  }
  if (type == "ByteFallback") {
    rules->spelling = Spelling::kByteFallback;
    return of_names;
  }
  if (type == "Replace") {
    if (!of_names || step.at_pointer("/pattern/String").get_string().get(pattern) || pattern.empty() ||
        pattern.size() > kMaxPattern || step["content"].get_string().get(content) ||
        rules->replacements.size() == kMaxReplacements)
      return false;
    rules->replacements.emplace_back(pattern, content);
    return true;
  }
  if (type == "Metaspace") {
    // Hugging Face drops each space of the first token; here only the one that encoding put there.
    if (!of_names || step["replacement"].get_string().get(pattern) || pattern.empty() || pattern.size() > kMaxPattern ||
        rules->replacements.size() == kMaxReplacements)
      return false;
    rules->replacements.emplace_back(pattern, " ");
    std::string_view scheme;
    const bool never = !step["prepend_scheme"].get_string().get(scheme) && scheme == "never";
    rules->leading_space = !never && flag("add_prefix_space") ? LeadingSpace::kStrip : LeadingSpace::kKeep;
    return true;
  }
  if (type == "Strip") {
    rules->leading_space = LeadingSpace::kStrip;
    return rules->is_fused && !step["content"].get_string().get(content) && content == " " && is_count("start", 1) &&
           is_count("stop", 0);
  }
  return false;
}

void ReplaceAll(std::string* text, const std::string& pattern, const std::string& content) {
  size_t found = text->find(pattern);
  if (found == text->npos) return;
  std::string replaced;
  size_t begin = 0;
  for (; found != text->npos; found = text->find(pattern, begin)) {
    replaced.append(*text, begin, found - begin).append(content);
    begin = found + pattern.size();
    if (replaced.size() > kMaxBytes) break;
  }
  *text = std::move(replaced.append(*text, begin));
}

std::optional<uint8_t> FallbackByte(std::string_view name) {
  if (name.size() != 6 || name.substr(0, 3) != "<0x" || name[5] != '>') return std::nullopt;
  uint8_t byte = 0;
  for (const char digit : name.substr(3, 2)) {
    const int value = digit >= '0' && digit <= '9'   ? digit - '0'
                      : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                      : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                                                     : -1;
    if (value < 0) return std::nullopt;
    byte = static_cast<uint8_t>(byte << 4 | value);
  }
  return byte;
}

}  // namespace

std::shared_ptr<const Vocabulary> DecodedVocabulary(const JsonReader& json,
                                                    const std::optional<simdjson::dom::element>& decoder,
                                                    const std::vector<std::string_view>& names,
                                                    std::vector<uint8_t> special) {
  using Spelling = DecodeRules::Spelling;
  DecodeRules rules;
  if (!decoder || !Add(*decoder, &rules))
    json.FailUnsupported("decoder is " + (decoder ? JsonReader::Shown(*decoder) : "missing") +
                         "; expected ByteLevel, Metaspace, or a sequence of Replace (of a String), ByteFallback, Fuse "
                         "and then Strip (of one "
                         "space on the left)");
  std::vector<uint8_t> bytes;
  std::vector<uint32_t> offsets(names.size() + 1);
  size_t room = 0;
  for (const std::string_view name : names) room += name.size();
  bytes.reserve(room);
  std::string text;
  size_t made = 0;
  for (size_t id = 0; id < names.size(); ++id) {
    text = names[id];
    for (const auto& [pattern, content] : rules.replacements) {
      ReplaceAll(&text, pattern, content);
      made += text.size();
    }
    if (rules.spelling == Spelling::kByteLevel) {
      // An added token may not be spelled by bytes.
      if (auto spelled = FromByteLevel(text)) text = std::move(*spelled);
    } else if (const auto byte = FallbackByte(text); byte && rules.spelling == Spelling::kByteFallback) {
      text.assign(1, static_cast<char>(*byte));
    }
    bytes.insert(bytes.end(), text.begin(), text.end());
    if (bytes.size() > kMaxBytes || made > kMaxBytes)
      json.Fail("decoder makes more than " + std::to_string(kMaxBytes) + " bytes of the tokens; expected fewer");
    offsets[id + 1] = static_cast<uint32_t>(bytes.size());
  }
  bytes.shrink_to_fit();
  return std::make_shared<const Vocabulary>(std::move(bytes), std::move(offsets), std::move(special),
                                            rules.leading_space);
}

}  // namespace text
