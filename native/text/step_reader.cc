#include "native/text/step_reader.h"

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "native/text/unicode.h"

namespace text {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

constexpr size_t kMaxSteps = 64;  // of a normalizer or pre-tokenizer, nested ones counted
constexpr char kGpt2Words[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class StepReader {
 public:
  explicit StepReader(const JsonReader& json) : json_(json) {}

  void Read(const element& step, const std::string& where, Normalizer* normalizer) const {
    const auto [fields, type] = json_.Step(step, where);
    auto& steps = normalizer->steps;
    if (type == "Sequence") {
      json_.ForEach(fields, where, "normalizers",
                    [&](const element& item, const std::string& place) { Read(item, place, normalizer); });
      return;
    }
    CheckCount(where, steps);
    if (type == "NFC") {
      steps.emplace_back(NormalizationForm::kNfc);
    } else if (type == "NFD") {
      steps.emplace_back(NormalizationForm::kNfd);
    } else if (type == "NFKC") {
      steps.emplace_back(NormalizationForm::kNfkc);
    } else if (type == "NFKD") {
      steps.emplace_back(NormalizationForm::kNfkd);
    } else if (type == "Prepend") {
      steps.emplace_back(PrependStep{json_.Text(fields, where + ".", "prepend", JsonReader::kNotEmpty)});
    } else if (type == "Replace") {
      std::string content = json_.Text(fields, where + ".", "content", JsonReader::kMaybeEmpty);
      std::string_view pattern;
      const bool is_text = !fields.at_pointer("/pattern/String").get_string().get(pattern);
      const bool may_shrink = !is_text || content.size() < pattern.size();
      steps.emplace_back(ReplaceStep{ReadPattern(fields, where), std::move(content), may_shrink});
    } else if (type == "Strip") {
      steps.emplace_back(StripStep{json_.Flag(fields, where + ".", "strip_left", std::nullopt),
                                   json_.Flag(fields, where + ".", "strip_right", std::nullopt)});
    } else if (type == "Precompiled") {
      // Our own field, which others overlook.
      std::string_view match = "clusters";
      const auto given = json_.Find(fields, "match");
      if (given && (given->get_string().get(match) || match != "longest"))
        json_.Reject(where + ".match", given, "\"longest\", or none");
      const std::string map = json_.Text(fields, where + ".", "precompiled_charsmap", JsonReader::kNotEmpty);
      try {
        steps.emplace_back(CharacterMap(map, given ? CharacterMap::Match::kLongest : CharacterMap::Match::kClusters));
      } catch (const std::invalid_argument& error) {
        json_.Fail(where + ".precompiled_charsmap " + error.what());
      }
    } else {
      json_.RejectType(where, type,
                       "NFC, NFD, NFKC, NFKD, Precompiled, Prepend, Replace, Strip or a Sequence of these");
    }
  }

  void Read(const element& step, const std::string& where, PreTokenizer* pre_tokenizer) const {
    const auto [fields, type] = json_.Step(step, where);
    auto& steps = pre_tokenizer->steps;
    if (type == "Sequence") {
      json_.ForEach(fields, where, "pretokenizers",
                    [&](const element& item, const std::string& place) { Read(item, place, pre_tokenizer); });
      return;
    }
    CheckCount(where, steps);
    if (pre_tokenizer->is_byte_level && (type == "ByteLevel" || type == "Metaspace"))
      json_.FailUnsupported(where + ".type is " + Quoted(type) +
                            " behind a ByteLevel; expected a step that only splits");
    if (type == "ByteLevel") {
      pre_tokenizer->is_byte_level = true;
      ByteLevelStep bytes{json_.Flag(fields, where + ".", "add_prefix_space", true), std::nullopt, false};
      if (json_.Flag(fields, where + ".", "use_regex", true))
        bytes.split = SplitStep{Finder(Pattern(kGpt2Words)), SplitBehavior::kIsolated, false};
      steps.emplace_back(std::move(bytes));
    } else if (type == "Split") {
      steps.emplace_back(SplitStep{ReadPattern(fields, where), Behavior(fields, where, std::nullopt),
                                   json_.Flag(fields, where + ".", "invert", false)});
    } else if (type == "Digits") {
      const bool single = json_.Flag(fields, where + ".", "individual_digits", false);
      steps.emplace_back(SplitStep{Finder(Finder::Characters::kNumeric),
                                   single ? SplitBehavior::kIsolated : SplitBehavior::kContiguous, false});
    } else if (type == "Punctuation") {
      steps.emplace_back(SplitStep{Finder(Finder::Characters::kPunctuation),
                                   Behavior(fields, where, SplitBehavior::kIsolated), false});
    } else if (type == "WhitespaceSplit") {
      steps.emplace_back(SplitStep{Finder(Finder::Characters::kWhitespace), SplitBehavior::kRemoved, false});
    } else if (type == "Whitespace") {
      steps.emplace_back(SplitStep{Finder(Finder::Words()), SplitBehavior::kRemoved, true});
    } else if (type == "Metaspace") {
      steps.emplace_back(ReadMetaspace(fields, where));
    } else {
      json_.RejectType(
          where, type,
          "ByteLevel, Split, Digits, Punctuation, Whitespace, WhitespaceSplit, Metaspace or a Sequence of these");
    }
  }

 private:
  template <typename Steps>
  void CheckCount(const std::string& where, const Steps& steps) const {
    if (steps.size() == kMaxSteps)
      json_.Fail(where + " is one step too many; expected at most " + std::to_string(kMaxSteps));
  }

  Finder ReadPattern(const object& fields, const std::string& where) const {
    object pattern;
    std::string_view text;
    if (!fields["pattern"].get_object().get(pattern)) {
      if (!pattern["String"].get_string().get(text)) {
        if (text.empty() || text.size() > Finder::kMaxString)
          json_.Fail(where + ".pattern.String has " + std::to_string(text.size()) + " bytes; expected 1 to " +
                     std::to_string(Finder::kMaxString));
        return Finder(std::string(text));
      }
      if (!pattern["Regex"].get_string().get(text)) return Finder(Compile(text, where + ".pattern.Regex"));
    }
    json_.Reject(where + ".pattern", json_.Find(fields, "pattern"), "an object with a String or a Regex");
  }

  Pattern Compile(std::string_view source, const std::string& where) const {
    try {
      return Pattern(source);
    } catch (const PatternError& error) {
      json_.Fail(where + " is " + Quoted(source) + ": " + error.what() + " At byte " + std::to_string(error.offset()) +
                 "; expected a regular expression of Oniguruma's syntax");
    }
  }

  SplitBehavior Behavior(const object& fields, const std::string& where, std::optional<SplitBehavior> fallback) const {
    constexpr std::array<std::pair<const char*, SplitBehavior>, 5> kNames{
        {{"Removed", SplitBehavior::kRemoved},
         {"Isolated", SplitBehavior::kIsolated},
         {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
         {"MergedWithNext", SplitBehavior::kMergedWithNext},
         {"Contiguous", SplitBehavior::kContiguous}}};
    const auto value = json_.Find(fields, "behavior");
    if (!value && fallback) return *fallback;
    std::string_view given;
    if (value && !value->get_string().get(given))
      for (const auto& [name, behavior] : kNames)
        if (given == name) return behavior;
    json_.Reject(where + ".behavior", value, "Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
  }

  MetaspaceStep ReadMetaspace(const object& fields, const std::string& where) const {
    using Prepend = MetaspaceStep::Prepend;
    MetaspaceStep step{json_.Text(fields, where + ".", "replacement", JsonReader::kNotEmpty), Prepend::kAlways,
                       std::nullopt};
    if (CharacterAt(step.replacement, 0).size != step.replacement.size())
      json_.Reject(where + ".replacement", json_.Find(fields, "replacement"), "one character");
    const auto scheme = json_.Find(fields, "prepend_scheme");
    std::string_view name = "always";
    if (scheme && scheme->get_string().get(name)) name = "";
    if (name == "first") {
      step.prepend = Prepend::kFirst;
    } else if (name == "never") {
      step.prepend = Prepend::kNever;
    } else if (name != "always") {
      json_.Reject(where + ".prepend_scheme", scheme, "always, first or never");
    }
    // The older spelling of "never".
    if (!json_.Flag(fields, where + ".", "add_prefix_space", true)) {
      if (scheme && step.prepend != Prepend::kNever)
        json_.Reject(where + ".prepend_scheme", scheme, "never, because add_prefix_space is false");
      step.prepend = Prepend::kNever;
    }
    if (json_.Flag(fields, where + ".", "split", true))
      step.split = SplitStep{Finder(step.replacement), SplitBehavior::kMergedWithNext, false};
    return step;
  }

  const JsonReader& json_;
};

}  // namespace

Normalizer ReadNormalizer(const JsonReader& json, const object& root) {
  Normalizer normalizer;
  if (const auto step = json.Find(root, "normalizer")) StepReader(json).Read(*step, "normalizer", &normalizer);
  return normalizer;
}

PreTokenizer ReadPreTokenizer(const JsonReader& json, const object& root) {
  PreTokenizer pre_tokenizer;
  if (const auto step = json.Find(root, "pre_tokenizer")) StepReader(json).Read(*step, "pre_tokenizer", &pre_tokenizer);
  if (!pre_tokenizer.is_byte_level) return pre_tokenizer;
  auto* last = std::get_if<ByteLevelStep>(&pre_tokenizer.steps.back());
  pre_tokenizer.pieces_are_spelled = last == nullptr;
  if (last == nullptr) return pre_tokenizer;
  last->is_last = true;
  if (!last->add_prefix_space && !last->split) pre_tokenizer.steps.pop_back();
  return pre_tokenizer;
}

}  // namespace text
