// A request as lib/addon/addon.ts gives it, an object of checked values, as the contract's struct.
#ifndef ADDON_REQUEST_READER_H_
#define ADDON_REQUEST_READER_H_

#include <napi.h>

#include <memory>
#include <vector>

#include "native/addon/field_reader.h"
#include "native/executor/request.h"
#include "native/text/text_stream.h"

namespace addon {

// Points into itself and into the JavaScript arrays it was read from: not copied, and used during the call only.
struct RequestReader {
  RequestReader(uint64_t id, const Napi::Int32Array& tokens, const Napi::Object& object);
  RequestReader(const RequestReader&) = delete;
  RequestReader& operator=(const RequestReader&) = delete;

  ExecutorRequest request{};
  text::TextSettings text;

 private:
  Owner owner_;
  ExecutorSampling sampling_{};
  ExecutorOutputConfig output_{};
};

}  // namespace addon

#endif  // ADDON_REQUEST_READER_H_
