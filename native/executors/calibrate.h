// For lib/engine/convert/calibrate.ts: what goes into a model's matrices, as text.
#ifndef NATIVE_EXECUTORS_CALIBRATE_H_
#define NATIVE_EXECUTORS_CALIBRATE_H_

#include <functional>
#include <string>

namespace executors {

// `texts_path`: a file with a line of tokens for each text. Returns JSON: for each layer the largest absolute values that went into qkv,
// dense, fc and proj, as a list; one that is not finite is null. Throws executor::Failure.
std::string DescribeInputMaxima(const std::string& engine_dir, const std::string& texts_path,
                                const std::function<void(int done, int total)>& on_progress);

}  // namespace executors

#endif  // NATIVE_EXECUTORS_CALIBRATE_H_
