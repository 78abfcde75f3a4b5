#pragma once

#include <cstdint>

namespace coir {

/// What a request to stop, and the passing of the task-wide deadline, do to a wait.
enum class StopRequests : std::uint8_t {
    obeyed,   ///< They end it: operation_canceled, timed_out.
    ignored,  ///< It goes on, for what must not be left half done.
};

namespace detail {

/// Whether the calling fiber has been asked to stop and heeds it.
[[nodiscard]] bool must_stop() noexcept;

}  // namespace detail

}  // namespace coir
