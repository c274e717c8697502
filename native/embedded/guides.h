// Guided output: which tokens a request's grammar allows next, computed on threads of its own beside the steps.
#ifndef EMBEDDED_GUIDES_H_
#define EMBEDDED_GUIDES_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "native/embedded/background_threads.h"
#include "native/embedded/guidance_library.h"
#include "native/embedded/reasoning.h"
#include "native/executor/cpp/failure.h"
#include "native/executor/executor.h"

namespace embedded {

// One sequence's place in its grammar.
class Guide {
 public:
  // Without a reasoning the grammar holds from the first token on.
  Guide(BackgroundThreads* threads, Matcher matcher, std::optional<Reasoning> reasoning, int vocab_size);

  // The sequence goes on with these tokens: asks for the mask of the one after them. Asked for once between two waits.
  static void Ask(const std::shared_ptr<Guide>& guide, std::vector<int32_t> tokens);
  // Whether a mask was asked for and not waited for. For the thread that does both.
  bool is_asked() const { return is_asked_; }
  // Waits for the mask that was asked for: bit t % 32 of mask[t / 32] says whether token t may come. Valid until the next
  // Ask. Throws executor::Failure where the grammar is too hard.
  const std::vector<uint32_t>& Wait();

 private:
  void GoOn(const std::vector<int32_t>& tokens);

  BackgroundThreads* threads_;
  Matcher matcher_;                     // used by one of them from Ask until it is ready
  std::optional<Reasoning> reasoning_;  // likewise
  std::vector<uint32_t> mask_;          // [(vocab_size + 31) / 32]; likewise
  bool is_asked_ = false;
  std::mutex mutex_;  // of everything below
  std::condition_variable ready_;
  bool is_ready_ = false;
  std::optional<executor::Failure> failure_;
};

// All of one executor: the vocabulary, grammars compiled of late, and the threads.
class Guides {
 public:
  // Copies the vocabulary. Throws executor::Failure: EXECUTOR_UNAVAILABLE where the library is missing,
  // EXECUTOR_UNSUPPORTED for another backend.
  Guides(const ExecutorGuidedDecodingConfig& config, int vocab_size);
  // What a request asks for.
  struct Grammar {
    ExecutorGuide kind;
    std::string text;
    bool operator==(const Grammar& other) const { return kind == other.kind && text == other.text; }
  };
  // Calls `done` on another thread with `count` guides, or with what is wrong with the grammar. The outputs follow it
  // behind their reasoning.
  using Done =
      std::function<void(std::vector<std::shared_ptr<Guide>> guides, std::optional<executor::Failure> failure)>;
  void Compile(Grammar grammar, std::optional<ReasoningMarks> reasoning, size_t count, Done done);

 private:
  Matcher MatcherOf(const Grammar& grammar);

  const GuidanceLibrary& library_;
  int vocab_size_;
  TokenBytes tokens_;
  std::vector<uint8_t> special_;
  std::vector<uint32_t> end_ids_;
  // Of the thread that compiles:
  std::optional<GuidanceVocabulary> vocabulary_;
  std::list<std::pair<Grammar, Matcher>> compiled_;  // at their starts; newest use first

  BackgroundThreads mask_threads_;
  BackgroundThreads compile_thread_{1};  // apart: a large grammar holds no mask up
};

}  // namespace embedded

#endif  // EMBEDDED_GUIDES_H_
