// The engines of this process that several environments may use at once, by id.
#ifndef ADDON_SHARED_ENGINES_H_
#define ADDON_SHARED_ENGINES_H_

#include <chrono>
#include <cstdint>
#include <memory>

#include "native/addon/engine.h"

namespace addon {

// Makes the engine known by its share_id.
void Share(const std::shared_ptr<Engine>& engine);

// One more hold on an engine. Throws executor::Failure with EXECUTOR_CLOSED where it is gone.
std::shared_ptr<Engine> FindShared(uint64_t share_id);

// Gives a hold back. The last one closes the engine, which blocks for about the deadline.
void Release(std::shared_ptr<Engine> engine, std::chrono::milliseconds deadline);

}  // namespace addon

#endif  // ADDON_SHARED_ENGINES_H_
