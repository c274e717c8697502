// What few requests ask for: RequestExtras of lib/options/generate.ts.
#ifndef ADDON_EXTRAS_READER_H_
#define ADDON_EXTRAS_READER_H_

#include "native/addon/field_reader.h"
#include "native/executor/request.h"

namespace addon {

// Sets the fields of the request, and of its sampling and output config.
void ReadExtras(const FieldReader& fields, ExecutorRequest* request, ExecutorSampling* sampling,
                ExecutorOutputConfig* output);

}  // namespace addon

#endif  // ADDON_EXTRAS_READER_H_
