#include "native/embedded/guides.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <stdexcept>
#include <thread>
#include <utility>

#include "native/embedded/refuse.h"
#include "native/executor/cpp/copy_sized.h"

namespace embedded {
namespace {

using executor::Failure;

constexpr size_t kCompiledGrammars = 64;
constexpr unsigned kMostMaskThreads = 4;

const char* NameOf(ExecutorGuide kind) {
  switch (kind) {
    case GUIDE_JSON:
      return "guided.json";
    case GUIDE_JSON_SCHEMA:
      return "guided.jsonSchema";
    case GUIDE_REGEX:
      return "guided.regex";
    case GUIDE_GRAMMAR:
      return "guided.grammar";
    case GUIDE_STRUCTURAL_TAG:
      return "guided.structuralTag";
  }
  return "guided";
}

}  // namespace

Guide::Guide(BackgroundThreads* threads, Matcher matcher, std::optional<Reasoning> reasoning, int vocab_size)
    : threads_(threads),
      matcher_(std::move(matcher)),
      reasoning_(std::move(reasoning)),
      mask_((static_cast<size_t>(vocab_size) + 31) / 32) {}

void Guide::GoOn(const std::vector<int32_t>& tokens) {
  auto next = tokens.begin();
  while (reasoning_ && next != tokens.end() && reasoning_->Take(*next)) ++next;
  if (next != tokens.end()) matcher_.Consume({next, tokens.end()});
  if (!reasoning_ || reasoning_->is_over()) return matcher_.Mask(&mask_);
  if (!reasoning_->may_begin()) return std::fill(mask_.begin(), mask_.end(), ~uint32_t{0});
  matcher_.Mask(&mask_);
  for (const int32_t token : reasoning_->begins()) mask_[static_cast<size_t>(token) / 32] |= 1u << (token % 32);
}

void Guide::Ask(const std::shared_ptr<Guide>& guide, std::vector<int32_t> tokens) {
  guide->is_asked_ = true;
  guide->is_ready_ = false;  // nobody else looks at it between a wait and the work
  guide->threads_->Post([guide, tokens = std::move(tokens)] {
    std::optional<Failure> failure;
    try {
      guide->GoOn(tokens);
    } catch (const std::exception& thrown) {
      failure.emplace(
          EXECUTOR_INVALID_OPTION,
          std::string("guided cannot be followed: ") + thrown.what() +
              "; expected a grammar that allows a token at each step, which can be told in time. Change it.");
      failure->About("guided");
    }
    {
      const std::lock_guard<std::mutex> lock(guide->mutex_);
      guide->failure_ = std::move(failure);
      guide->is_ready_ = true;
    }
    guide->ready_.notify_all();
  });
}

const std::vector<uint32_t>& Guide::Wait() {
  is_asked_ = false;
  std::unique_lock<std::mutex> lock(mutex_);
  while (!is_ready_) ready_.wait_for(lock, std::chrono::hours(1));  // see kLongTime of executor.cc
  if (failure_) throw Failure(*failure_);
  return mask_;
}

Guides::Guides(const ExecutorGuidedDecodingConfig& config, int vocab_size)
    : library_([&]() -> const GuidanceLibrary& {
        if (config.backend != GUIDED_BACKEND_LLGUIDANCE) RefuseValue("guided_decoding", "'xgrammar'", "'llguidance'");
        return GuidanceLibrary::Get();
      }()),
      vocab_size_(vocab_size),
      special_(config.token_special, config.token_special + config.token_count),
      end_ids_(config.stop_tokens, config.stop_tokens + config.stop_token_count),
      mask_threads_(std::min(kMostMaskThreads, std::max(1u, std::thread::hardware_concurrency() / 2))) {
  if (config.token_count == 0 || end_ids_.empty())
    throw executor::OptionFailure(
        EXECUTOR_INVALID_OPTION, "guided_decoding",
        " is set for an engine without a tokenizer or without an end token; expected one with "
        "both. Remove it.");
  tokens_.offsets.assign(config.token_offsets, config.token_offsets + config.token_count + 1);
  tokens_.bytes.assign(config.token_bytes, config.token_bytes + tokens_.offsets.back());
}

void Guides::Compile(Grammar grammar, std::optional<ReasoningMarks> reasoning, size_t count, Done done) {
  compile_thread_.Post([this, grammar = std::move(grammar), marks = std::move(reasoning), count,
                        done = std::move(done)] {
    std::vector<std::shared_ptr<Guide>> guides;
    std::optional<Failure> failure;
    try {
      mask_threads_.StartFirst();  // a step that asks for a mask must not fail
      const Matcher start = MatcherOf(grammar);
      std::optional<Reasoning> from;
      if (marks) from.emplace(*marks, &tokens_);
      while (guides.size() < count)
        guides.push_back(std::make_shared<Guide>(&mask_threads_, start.Clone(), from, vocab_size_));
    } catch (const Failure& refused) {
      failure = refused;
    } catch (const std::bad_alloc&) {
      failure = executor::OutOfOutputMemory(0);
    } catch (const std::exception& thrown) {
      failure.emplace(EXECUTOR_INVALID_OPTION, std::string(NameOf(grammar.kind)) + " cannot be followed: " +
                                                   thrown.what() + "; expected what llguidance supports. Change it.");
      failure->About("guided");
    }
    done(std::move(guides), std::move(failure));
  });
}

Matcher Guides::MatcherOf(const Grammar& grammar) {
  if (!vocabulary_) {
    vocabulary_.emplace(library_, tokens_.bytes, tokens_.offsets, special_, end_ids_);
    special_ = {};
  }
  const auto found =
      std::find_if(compiled_.begin(), compiled_.end(), [&](const auto& each) { return each.first == grammar; });
  if (found == compiled_.end()) {
    compiled_.emplace_front(grammar, vocabulary_->Compile(grammar.kind, grammar.text));
    if (compiled_.size() > kCompiledGrammars) compiled_.pop_back();
  } else {
    compiled_.splice(compiled_.begin(), compiled_, found);
  }
  return compiled_.front().second.Clone();
}

}  // namespace embedded
