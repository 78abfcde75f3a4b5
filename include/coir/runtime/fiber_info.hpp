#pragma once

#include <cstdint>
#include <source_location>
#include <string>

namespace coir {

/// What a fiber, or a session that has none, was doing when somebody looked.
struct FiberInfo {
    enum class State : std::uint8_t { ready, running, waiting };

    std::uint64_t id = 0;
    std::string name;
    State state = State::ready;
    /// On which it runs, or came to wait last; -1 if it has done neither, and for a session.
    int worker = -1;
    std::source_location site;   ///< Where it was spawned.
    const char* waits_for = "";  ///< While it waits: "bytes to read", "a mutex", ...
    int fd = -1;                 ///< While it waits on a descriptor.
    bool stop_requested = false;
    std::size_t stack_bytes = 0;  ///< None for a session.
};

/// In one line: `fiber 17 "http" waits for bytes to read on descriptor 9; spawned at main.cpp:42`.
[[nodiscard]] std::string to_string(const FiberInfo& info);

}  // namespace coir
