#pragma once

#include <chrono>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/parker.hpp"

namespace coir::net::detail {

/// Waits for what the kernel tells nobody: that another socket's queue has room again.
///
/// Unix sockets report a full queue of the receiver as would-block, but only to a sender that is
/// connected to it does a poller say when that has passed. The others look again now and then.
class Backoff final {
public:
    /// Suspends: for a while, each time longer, up to 16 ms.
    /// Errors:   timed_out, operation_canceled.
    [[nodiscard]] Result<void> pause(Deadline deadline) noexcept;

private:
    Parker parker_;  // nobody unparks it
    std::chrono::microseconds length_{125};
};

}  // namespace coir::net::detail
