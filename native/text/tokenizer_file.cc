#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "native/text/byte_level.h"
#include "native/text/decoder.h"
#include "native/text/json_reader.h"
#include "native/text/step_reader.h"
#include "native/text/tokenizer.h"
#include "native/text/tokenizer_error.h"

namespace text {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;

constexpr size_t kMaxSpecialTokens = 64;             // that post_processor adds
constexpr size_t kMaxNormalized = size_t{64} << 20;  // bytes of added tokens

// A score as Hugging Face tokenizers read it, which round its digits and then their quotient by a power of ten. Of sums of
// scores that are equal but for this one or the other is the best.
double RoundedTwice(double score) {
  constexpr int kExactDigits = 15, kExactPower = 22;
  char text[32] = {};
  const auto written = std::to_chars(text, text + sizeof(text), std::fabs(score), std::chars_format::scientific);
  const std::string_view digits(text, static_cast<size_t>(written.ptr - text));
  const size_t e = digits.find('e');
  if (e == digits.npos || e < 2 || e - 1 <= kExactDigits) return score;
  uint64_t significand = static_cast<uint64_t>(digits[0] - '0');
  for (const char digit : digits.substr(2, e - 2)) significand = 10 * significand + static_cast<uint64_t>(digit - '0');
  const int power = static_cast<int>(e - 2) - std::atoi(text + e + 1);
  if (power < 0 || power > kExactPower) return score;
  return std::copysign(static_cast<double>(significand) / std::pow(10.0, power), score);
}

// Reads one tokenizer.json. Everything that names a place in it says where.
class FileReader {
 public:
  FileReader(const std::string& path, std::string_view json)
      : json_(path, json), file_bytes_(json.size()), root_(json_.Root()) {}

  TokenizerParts Read() {
    if (const auto version = json_.Find(root_, "version"); version && json_.Shown(*version) != "\"1.0\"")
      json_.Reject("version", *version, "\"1.0\"");
    ReadAddedTokens();
    pre_tokenizer_ = ReadPreTokenizer(json_, root_);
    Normalizer normalizer = ReadNormalizer(json_, root_);
    auto model = ReadModel();
    auto [plain, normalized] = MakeAddedTokens(normalizer);
    if (const auto step = json_.Find(root_, "post_processor")) ReadPostProcessor(*step, "post_processor");
    auto around = std::make_shared<const TokensAround>(TokensAround{std::move(before_), std::move(after_)});
    return {json_.path(),     std::move(model),      std::move(normalizer), std::move(pre_tokenizer_),
            std::move(plain), std::move(normalized), std::move(around),     longest_token_,
            MakeVocabulary()};
  }

 private:
  struct Added {
    int32_t id;
    std::string_view content;
    bool single_word, lstrip, rstrip, normalized, special;
    std::optional<int32_t> id_in_model;
  };

  int32_t Id(std::string_view token, const element& id) const {
    uint64_t number = 0;
    if (id.get_uint64().get(number) || number > static_cast<uint64_t>(kMaxTokenId))
      json_.Fail("the id of token " + Quoted(token) + " is " + json_.Shown(id) + "; expected an integer from 0 to " +
                 std::to_string(kMaxTokenId));
    return static_cast<int32_t>(number);
  }

  void ReadAddedTokens() {
    const auto list = json_.Find(root_, "added_tokens");
    array entries;
    if (!list) {
      added_by_name_.emplace(0, 0);
      return;
    }
    if (list->get_array().get(entries)) json_.Reject("added_tokens", *list, "a list");
    for (const element entry : entries) {
      object fields;
      std::string_view content;
      element id;
      if (entry.get_object().get(fields) || fields["content"].get_string().get(content) || fields["id"].get(id))
        json_.Reject("added_tokens", *list, "objects with an id and a content");
      const std::string where = "added_tokens " + Quoted(content);
      if (content.empty()) json_.Fail(where + " is empty; expected a text");
      const auto flag = [&](const char* name) { return json_.Flag(fields, where + " ", name, false); };
      added_.push_back({Id(content, id), content, flag("single_word"), flag("lstrip"), flag("rstrip"),
                        flag("normalized"), flag("special"), std::nullopt});
    }
    size_t bytes = 0;
    for (const Added& added : added_) bytes += added.content.size();
    added_by_name_.emplace(added_.size(), bytes);
    for (size_t i = 0; i < added_.size(); ++i)
      if (!added_by_name_->Add(added_[i].content, static_cast<int32_t>(i)))
        json_.Fail("added_tokens has " + Quoted(added_[i].content) + " twice; expected each token once");
  }

  std::variant<Bpe, Unigram> ReadModel() {
    object model;
    const auto given = json_.Find(root_, "model");
    if (!given || given->get_object().get(model)) json_.Reject("model", given, "an object");
    const auto type = json_.Find(model, "type");
    array list;
    // Old files say no type, but Unigram's vocabulary is a list.
    std::string_view name = model["vocab"].get_array().get(list) ? "BPE" : "Unigram";
    if (type && type->get_string().get(name)) json_.Reject("model.type", type, "\"BPE\" or \"Unigram\"");
    if (name == "Unigram") return ReadUnigram(model);
    if (name != "BPE") json_.RejectType("model", name, "\"BPE\" or \"Unigram\"");
    return ReadBpe(model);
  }

  Unigram ReadUnigram(const object& model) {
    if (pre_tokenizer_.is_byte_level)
      json_.FailUnsupported("model.type is \"Unigram\" behind a ByteLevel; expected \"BPE\"");
    array vocab;
    const auto given = json_.Find(model, "vocab");
    if (!given || given->get_array().get(vocab))
      json_.Reject("model.vocab", given, "a list of tokens and their scores");
    std::vector<double> scores;
    for (const element item : vocab) {
      array pair;
      std::string_view token;
      double score = 0;
      const std::string where = "model.vocab[" + std::to_string(names_.size()) + "]";
      if (item.get_array().get(pair) || pair.size() != 2 || pair.at(0).get_string().get(token) ||
          pair.at(1).get_double().get(score))
        json_.Reject(where, item, "a token and its score");
      if (token.size() > Unigram::kMaxToken)
        json_.Fail(where + " has " + std::to_string(token.size()) + " bytes; expected at most " +
                   std::to_string(Unigram::kMaxToken));
      if (names_.size() > static_cast<size_t>(kMaxTokenId))
        json_.Fail("model.vocab has more than " + std::to_string(names_.size()) + " tokens; expected no more");
      longest_token_ = std::max(longest_token_, token.size());
      if (const auto added = added_by_name_->Find(token))
        added_[*added].id_in_model = static_cast<int32_t>(names_.size());
      names_.push_back(token);
      scores.push_back(RoundedTwice(score));
    }
    model_size_ = names_.size();
    Unigram::Settings settings;
    if (const auto unk = json_.Find(model, "unk_id")) {
      uint64_t id = 0;
      if (unk->get_uint64().get(id) || id >= names_.size()) json_.Reject("model.unk_id", unk, "the id of a token");
      settings.unk = static_cast<int32_t>(id);
    }
    settings.byte_fallback = json_.Flag(model, "model.", "byte_fallback", false);
    return Unigram(settings, names_, std::move(scores));
  }

  Bpe ReadBpe(const object& model) {
    double dropout = 0;
    if (const auto value = json_.Find(model, "dropout"); value && (value->get_double().get(dropout) || dropout != 0))
      json_.FailUnsupported("model.dropout is " + JsonReader::Shown(*value) + "; expected null");
    for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      std::string_view text;
      if (const auto value = json_.Find(model, affix); value && (value->get_string().get(text) || !text.empty()))
        json_.FailUnsupported("model." + std::string(affix) + " is " + JsonReader::Shown(*value) + "; expected null");
    }

    Bpe::Settings settings;
    settings.alphabet = pre_tokenizer_.is_byte_level ? Bpe::Alphabet::kBytes : Bpe::Alphabet::kCharacters;
    if (json_.Find(model, "unk_token"))
      settings.unk_token = json_.Text(model, "model.", "unk_token", JsonReader::kNotEmpty);
    settings.fuse_unk = json_.Flag(model, "model.", "fuse_unk", false);
    settings.byte_fallback = json_.Flag(model, "model.", "byte_fallback", false);
    settings.ignore_merges = json_.Flag(model, "model.", "ignore_merges", false);
    TokenIds ids = ReadVocab(model);
    std::vector<uint32_t> ties = ReadTies(model);
    const std::vector<Bpe::Merge> merges = ReadMerges(model, ids, &ties);
    return Bpe(settings, std::move(ids), merges, std::move(ties));
  }

  // Our own field, which others overlook: of SentencePiece's merges those that make tokens of one score rank alike.
  std::vector<uint32_t> ReadTies(const object& model) const {
    std::vector<uint32_t> ties;
    const auto given = json_.Find(model, "merge_ties");
    if (!given) return ties;
    array list;
    if (given->get_array().get(list)) json_.Reject("model.merge_ties", given, "a list");
    ties.reserve(std::min(list.size(), kMaxMerges));
    for (const element item : list) {
      uint64_t tie = 0;
      if (ties.size() == kMaxMerges || item.get_uint64().get(tie) || tie > kMaxMerges ||
          (!ties.empty() && tie < ties.back()))
        json_.Reject("model.merge_ties[" + std::to_string(ties.size()) + "]", item, "numbers that never fall");
      ties.push_back(static_cast<uint32_t>(tie));
    }
    return ties;
  }

  // By the names that the model's pieces have.
  TokenIds ReadVocab(const object& model) {
    object vocab;
    const auto given = json_.Find(model, "vocab");
    if (!given || given->get_object().get(vocab))
      json_.Reject("model.vocab", given, "an object of tokens and their ids");
    size_t bytes = 0;
    for (const auto [name, id] : vocab) {
      bytes += name.size();
      ++model_size_;
      names_.resize(std::max(names_.size(), static_cast<size_t>(Id(name, id)) + 1));
    }
    TokenIds ids(model_size_, bytes);
    std::vector<bool> is_taken(names_.size());
    for (const auto [name, value] : vocab) {
      const int32_t id = Id(name, value);
      if (is_taken[id])
        json_.Fail("the id of token " + Quoted(name) + " is " + std::to_string(id) + ", as that of " +
                   Quoted(names_[id]) + "; expected ids of their own");
      is_taken[id] = true;
      names_[id] = name;
      if (const auto added = added_by_name_->Find(name)) added_[*added].id_in_model = id;
      std::optional<std::string> spelled;
      if (pre_tokenizer_.is_byte_level) spelled = FromByteLevel(name);
      if (pre_tokenizer_.is_byte_level && !spelled) continue;  // no text is spelled so
      if (!ids.Add(spelled ? *spelled : name, id))
        json_.Fail("model.vocab has " + Quoted(name) + " twice; expected each token once");
      longest_token_ = std::max(longest_token_, spelled ? spelled->size() : name.size());
    }
    return ids;
  }

  // `ties` are empty, or one for each merge in the file; those of merges that are left out are left out too.
  std::vector<Bpe::Merge> ReadMerges(const object& model, const TokenIds& ids, std::vector<uint32_t>* ties) const {
    array list;
    const auto given = json_.Find(model, "merges");
    if (!given || given->get_array().get(list)) json_.Reject("model.merges", given, "a list");
    if (!ties->empty() && ties->size() != list.size())
      json_.Fail("model.merge_ties has " + std::to_string(ties->size()) + " numbers; expected one for each of " +
                 std::to_string(list.size()) + " merges");
    std::vector<Bpe::Merge> merges;
    merges.reserve(std::min(list.size(), kMaxMerges));
    std::string joined, spelled_left, spelled_right;
    size_t index = 0;
    for (const element item : list) {
      const auto [left, right] = MergeOf(item, index);
      ++index;
      if (left.empty() && right.empty()) continue;
      std::string_view first = left, second = right;
      if (pre_tokenizer_.is_byte_level) {
        auto spelled = FromByteLevel(left), spelled_next = FromByteLevel(right);
        if (!spelled || !spelled_next) continue;  // no text is spelled so
        spelled_left = std::move(*spelled);
        spelled_right = std::move(*spelled_next);
        first = spelled_left;
        second = spelled_right;
      }
      joined.assign(first).append(second);
      const auto first_id = ids.Find(first), second_id = ids.Find(second), joined_id = ids.Find(joined);
      if (!first_id || !second_id || !joined_id)
        json_.Fail("model.merges[" + std::to_string(index - 1) + "] is " + json_.Shown(item) +
                   "; expected two tokens of model.vocab that make a third");
      if (merges.size() == kMaxMerges)
        json_.Fail("model.merges has " + std::to_string(list.size()) + " merges; expected at most " +
                   std::to_string(kMaxMerges));
      if (!ties->empty()) (*ties)[merges.size()] = (*ties)[index - 1];
      merges.push_back({*first_id, *second_id, *joined_id});
    }
    if (!ties->empty()) ties->resize(merges.size());
    return merges;
  }

  std::pair<std::string_view, std::string_view> MergeOf(const element& item, size_t index) const {
    std::string_view left, right;
    array pair;
    if (!item.get_array().get(pair)) {
      if (pair.size() == 2 && !pair.at(0).get_string().get(left) && !pair.at(1).get_string().get(right))
        return {left, right};
    } else if (!item.get_string().get(left)) {
      if (left.substr(0, 8) == "#version") return {};
      const size_t space = left.find(' ');
      if (space != left.npos && left.find(' ', space + 1) == left.npos)
        return {left.substr(0, space), left.substr(space + 1)};
    }
    json_.Reject("model.merges[" + std::to_string(index) + "]", item, "two tokens");
  }

  // Tokens are added as Hugging Face tokenizers does it, which overlooks the id in the file.
  std::pair<AddedTokens, AddedTokens> MakeAddedTokens(const Normalizer& normalizer) {
    std::vector<AddedToken> plain, normalized;
    size_t bytes = 0;
    for (const Added& added : added_) bytes += added.content.size();
    StepBudget budget{10'000'000 + 1000 * bytes};
    NormalizerRun run(normalizer, &budget);
    TokenIds texts(added_.size(), bytes);
    size_t normalized_bytes = 0;
    auto next = static_cast<int32_t>(model_size_);
    for (const Added& added : added_) {
      const int32_t id = added.id_in_model ? *added.id_in_model : next++;
      if (id != added.id)
        json_.Fail("added_tokens gives " + Quoted(added.content) + " the id " + std::to_string(added.id) +
                   ", but it is encoded as " + std::to_string(id) +
                   "; expected the ids of the names in model.vocab, or ids that follow it without gaps");
      std::string text(added.content);
      if (added.normalized) {
        Slice endless(Slice::Clock::time_point::max());
        try {
          run.Begin(added.content);
          run.Continue(&endless);
        } catch (const StepLimitReached&) {
          json_.Fail("normalizer takes too many steps for " + Quoted(added.content) + "; expected a simpler pattern");
        } catch (const TokenizerError& error) {
          json_.Fail(std::string(error.what()) + " The text is " + Quoted(added.content));
        }
        text = run.text();
        normalized_bytes += text.size();
        if (normalized_bytes > kMaxNormalized)
          json_.Fail("normalizer makes more than " + std::to_string(kMaxNormalized) +
                     " bytes of added_tokens; expected fewer");
        // Nothing is found of what normalizes to nothing, and of two that normalize to the same the first.
        if (text.empty() || !texts.Add(text, id)) continue;
      }
      longest_token_ = std::max(longest_token_, text.size());
      (added.normalized ? normalized : plain)
          .push_back({id, std::move(text), added.single_word, added.lstrip, added.rstrip});
    }
    try {
      // A node takes 13 bytes; so they never take much more than the file does.
      const size_t max_nodes = std::max(size_t{1} << 20, file_bytes_ / 8);
      return {AddedTokens(std::move(plain), max_nodes), AddedTokens(std::move(normalized), max_nodes)};
    } catch (const TokenizerError& error) {
      json_.Fail(error.what());
    }
  }

  void AddAround(const std::string& where, std::vector<int32_t> before, std::vector<int32_t> after) {
    if (!before_.empty() || !after_.empty())
      json_.FailUnsupported(where + " adds special tokens, as a step before it does; expected one such step");
    if (before.size() + after.size() > kMaxSpecialTokens)
      json_.Fail(where + " adds " + std::to_string(before.size() + after.size()) +
                 " special tokens; expected at most " + std::to_string(kMaxSpecialTokens));
    before_ = std::move(before);
    after_ = std::move(after);
  }

  void ReadPostProcessor(const element& step, const std::string& where) {
    const auto [fields, type] = json_.Step(step, where);
    if (type == "ByteLevel") return;  // it is about offsets
    if (type == "Sequence") {
      json_.ForEach(fields, where, "processors",
                    [&](const element& item, const std::string& place) { ReadPostProcessor(item, place); });
    } else if (type == "TemplateProcessing") {
      ReadTemplate(fields, where);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      AddAround(where, {NamedId(fields, where, "cls")}, {NamedId(fields, where, "sep")});
    } else {
      json_.RejectType(where, type,
                       "ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing or a Sequence of these");
    }
  }

  int32_t NamedId(const object& fields, const std::string& where, const char* name) const {
    array pair;
    std::string_view token;
    if (fields[name].get_array().get(pair) || pair.size() != 2 || pair.at(0).get_string().get(token))
      json_.Reject(where + "." + name, json_.Find(fields, name), "a token and its id");
    return Id(token, pair.at(1).value_unsafe());
  }

  void ReadTemplate(const object& fields, const std::string& where) {
    std::vector<int32_t> before, after;
    size_t texts = 0, items = 0;
    json_.ForEach(fields, where, "single", [&](const element& item, const std::string& place) {
      if (++items > kMaxSpecialTokens)
        json_.Fail(place + " is one too many; expected at most " + std::to_string(kMaxSpecialTokens));
      std::string_view id;
      if (!item.at_pointer("/Sequence/id").get_string().get(id)) {
        if (id != "A" || ++texts > 1) json_.Reject(place, item, "one Sequence, A");
        return;
      }
      if (item.at_pointer("/SpecialToken/id").get_string().get(id))
        json_.Reject(place, item, "a Sequence or a SpecialToken");
      object tokens, token;
      array ids;
      if (fields["special_tokens"].get_object().get(tokens) || tokens[id].get_object().get(token) ||
          token["ids"].get_array().get(ids))
        json_.Reject(place, item, "a token of special_tokens");
      std::vector<int32_t>& added = texts == 0 ? before : after;
      for (const element one : ids) {
        if (added.size() > kMaxSpecialTokens) break;
        added.push_back(Id(id, one));
      }
    });
    if (texts == 0) json_.Reject(where + ".single", json_.Find(fields, "single"), "a list with the Sequence A in it");
    AddAround(where, std::move(before), std::move(after));
  }

  std::shared_ptr<const Vocabulary> MakeVocabulary() {
    std::vector<uint8_t> special(names_.size());
    for (const Added& added : added_) {
      const auto id = static_cast<size_t>(added.id);
      if (id >= names_.size()) {
        names_.resize(id + 1);
        special.resize(id + 1);
      }
      names_[id] = added.content;
      special[id] = added.special ? 1 : 0;
    }
    return DecodedVocabulary(json_, json_.Find(root_, "decoder"), names_, std::move(special));
  }

  JsonReader json_;
  size_t file_bytes_;
  object root_;
  std::vector<Added> added_;
  std::optional<TokenIds> added_by_name_;  // places in added_
  PreTokenizer pre_tokenizer_;
  std::vector<std::string_view> names_;  // by id
  size_t model_size_ = 0;
  size_t longest_token_ = 1;
  std::vector<int32_t> before_, after_;
};

}  // namespace

TokenizerParts ReadTokenizerFile(const std::string& path, std::string_view json) {
  return FileReader(path, json).Read();
}

}  // namespace text
