// libguidance.so (native/guidance/guidance.h), which lies beside the library that this code is part of, as C++.
#ifndef EMBEDDED_GUIDANCE_LIBRARY_H_
#define EMBEDDED_GUIDANCE_LIBRARY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "native/guidance/guidance.h"

namespace embedded {

struct GuidanceLibrary {
  // Opened once a process and never closed. Throws executor::Failure: EXECUTOR_UNAVAILABLE.
  static const GuidanceLibrary& Get();

  decltype(&guidance_open) open;
  decltype(&guidance_close) close;
  decltype(&guidance_compile) compile;
  decltype(&guidance_clone) clone;
  decltype(&guidance_free) free;
  decltype(&guidance_consume) consume;
  decltype(&guidance_mask) mask;
};

// A matcher that is freed. Its functions throw std::runtime_error with llguidance's words.
class Matcher {
 public:
  Matcher(const GuidanceLibrary& library, GuidanceMatcher* matcher)
      : library_(&library), matcher_(matcher, library.free) {}

  Matcher Clone() const;
  void Consume(const std::vector<int32_t>& tokens);
  void Mask(std::vector<uint32_t>* mask);

 private:
  const GuidanceLibrary* library_;
  std::unique_ptr<GuidanceMatcher, decltype(&guidance_free)> matcher_;
};

// A vocabulary that is closed.
class GuidanceVocabulary {
 public:
  // guidance_open's arrays. Throws std::runtime_error.
  GuidanceVocabulary(const GuidanceLibrary& library, const std::vector<uint8_t>& bytes,
                     const std::vector<uint32_t>& offsets, const std::vector<uint8_t>& special,
                     const std::vector<uint32_t>& end_ids);

  // Throws std::runtime_error with what is wrong with the grammar.
  Matcher Compile(int kind, const std::string& text) const;

 private:
  const GuidanceLibrary* library_;
  std::unique_ptr<Guidance, decltype(&guidance_close)> guidance_;
};

}  // namespace embedded

#endif  // EMBEDDED_GUIDANCE_LIBRARY_H_
