#include "native/embedded/guidance_library.h"

#include <dlfcn.h>

#include <array>
#include <new>
#include <stdexcept>

#include "native/executor/cpp/failure.h"

namespace embedded {
namespace {

constexpr char kFile[] = "libguidance.so";

std::string PathBesideThis() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(&GuidanceLibrary::Get), &info) == 0 || info.dli_fname == nullptr) return kFile;
  const std::string own = info.dli_fname;
  return own.substr(0, own.find_last_of('/') + 1) + kFile;
}

template <typename Function>
void Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  if (*function == nullptr)
    throw executor::Failure(EXECUTOR_UNAVAILABLE, std::string(kFile) + " has no " + name +
                                                      "; expected that of this version of the package. Build it again: "
                                                      "npm run build:guidance.");
}

GuidanceLibrary Open() {
  const std::string path = PathBesideThis();
  void* const opened = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr)
    throw executor::Failure(EXECUTOR_UNAVAILABLE, std::string(dlerror()) +
                                                      "; expected the library that guided output "
                                                      "needs. Build it with npm run build:guidance, which needs Rust.")
        .About("guided_decoding");
  GuidanceLibrary library{};
  Find(opened, "guidance_open", &library.open);
  Find(opened, "guidance_close", &library.close);
  Find(opened, "guidance_compile", &library.compile);
  Find(opened, "guidance_clone", &library.clone);
  Find(opened, "guidance_free", &library.free);
  Find(opened, "guidance_consume", &library.consume);
  Find(opened, "guidance_mask", &library.mask);
  return library;
}

// Room for an error's text.
class ErrorText {
 public:
  GuidanceError* get() { return &error_; }
  [[noreturn]] void Throw() const { throw std::runtime_error(text_.data()); }

 private:
  std::array<char, 500> text_{};
  GuidanceError error_{text_.data(), text_.size()};
};

}  // namespace

const GuidanceLibrary& GuidanceLibrary::Get() {
  static const GuidanceLibrary library = Open();
  return library;
}

Matcher Matcher::Clone() const {
  GuidanceMatcher* const clone = library_->clone(matcher_.get());
  if (clone == nullptr) throw std::bad_alloc();
  return Matcher(*library_, clone);
}

void Matcher::Consume(const std::vector<int32_t>& tokens) {
  ErrorText error;
  const std::vector<uint32_t> ids(tokens.begin(), tokens.end());
  if (library_->consume(matcher_.get(), ids.data(), ids.size(), error.get()) != 0) error.Throw();
}

void Matcher::Mask(std::vector<uint32_t>* mask) {
  ErrorText error;
  if (library_->mask(matcher_.get(), mask->data(), mask->size(), error.get()) != 0) error.Throw();
}

GuidanceVocabulary::GuidanceVocabulary(const GuidanceLibrary& library, const std::vector<uint8_t>& bytes,
                                       const std::vector<uint32_t>& offsets, const std::vector<uint8_t>& special,
                                       const std::vector<uint32_t>& end_ids)
    : library_(&library), guidance_(nullptr, library.close) {
  ErrorText error;
  guidance_.reset(library.open(bytes.data(), offsets.data(), special.data(), static_cast<uint32_t>(special.size()),
                               end_ids.data(), static_cast<uint32_t>(end_ids.size()), error.get()));
  if (guidance_ == nullptr) error.Throw();
}

Matcher GuidanceVocabulary::Compile(int kind, const std::string& text) const {
  ErrorText error;
  GuidanceMatcher* const matcher = library_->compile(guidance_.get(), kind, text.c_str(), error.get());
  if (matcher == nullptr) error.Throw();
  return Matcher(*library_, matcher);
}

}  // namespace embedded
