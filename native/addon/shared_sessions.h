// The sessions of this process that several environments may use at once, by id.
#ifndef ADDON_SHARED_SESSIONS_H_
#define ADDON_SHARED_SESSIONS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>

#include "native/addon/executor_session.h"

namespace addon {

// Makes the session known by its share_id, in place of the one that was.
void Share(const std::shared_ptr<ExecutorSession>& session);

// One more reference to a session. Throws executor::Failure with EXECUTOR_CLOSED where it is gone.
std::shared_ptr<ExecutorSession> FindShared(uint64_t share_id);

// Drops a reference. With the last one the session begins to close, and is given back for who waits; else null. `closed`, if
// any, is called when it has closed, or at once where others use it.
std::shared_ptr<ExecutorSession> Release(std::shared_ptr<ExecutorSession> session, std::chrono::milliseconds deadline,
                                         std::function<void()> closed = nullptr);

}  // namespace addon

#endif  // ADDON_SHARED_SESSIONS_H_
