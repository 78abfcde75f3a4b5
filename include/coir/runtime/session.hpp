#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <source_location>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"
#include "coir/runtime/io_source.hpp"

namespace coir {

struct SessionOptions {
    /// For diagnostics: a literal, or what outlives the session; not null. The first 23 bytes are kept.
    const char* name = "";
    /// Of the stacks on which its turns run; 0 means RuntimeOptions::stack_bytes.
    std::size_t stack_bytes = 0;
    /// For diagnostics: where these options are written.
    std::source_location site = std::source_location::current();
};

/// What a session waits for after a turn.
class NextTurn final {
public:
    /// Nothing: the session is over.
    [[nodiscard]] static NextTurn none() noexcept { return {nullptr, Deadline::never(), false}; }
    /// As IoSource::wait_readable(): bytes to read, an end of the stream, or `deadline`.
    /// Requires: as there; and `source` stays where it is until the next turn.
    [[nodiscard]] static NextTurn when_readable(IoSource& source, Deadline deadline) noexcept {
        return {&source, deadline, false};
    }
    /// The next turn comes without a wait, because `source` may have more to read. It is told operation_canceled if
    /// `source` has been cancelled.
    [[nodiscard]] static NextTurn at_once(IoSource& source) noexcept {
        return {&source, Deadline::never(), true};
    }

    [[nodiscard]] IoSource* source() const noexcept { return source_; }
    [[nodiscard]] Deadline deadline() const noexcept { return deadline_; }
    [[nodiscard]] bool is_at_once() const noexcept { return at_once_; }

private:
    NextTurn(IoSource* source, Deadline deadline, bool at_once) noexcept
        : source_(source), deadline_(deadline), at_once_(at_once) {}

    IoSource* source_;
    Deadline deadline_;
    bool at_once_;
};

namespace detail {

class SessionControl;

/// What the runtime needs to know of a session's class.
struct SessionType {
    NextTurn (*turn)(void* session, Result<void> waited) noexcept;
    void (*destroy)(void* session) noexcept;
    std::size_t bytes;
};

/// A session that has memory but has not been started.
struct PreparedSession {
    SessionControl* control;
    void* storage;
};

[[nodiscard]] PreparedSession prepare_session(const SessionOptions& options,
                                              const SessionType& type);
void launch_session(PreparedSession prepared) noexcept;
void discard_session(PreparedSession prepared) noexcept;

template <typename T>
inline constexpr SessionType kSessionType = {
    [](void* session, Result<void> waited) noexcept {
        return std::launder(static_cast<T*>(session))->turn(waited);
    },
    [](void* session) noexcept { std::destroy_at(std::launder(static_cast<T*>(session))); },
    sizeof(T),
};

}  // namespace detail

/// Makes a T of `arguments` and gives it turns, until one says that it was the last: then the T is destroyed, on the
/// fiber of that turn.
///
/// The problem: a fiber that waits keeps its stack, a page or more, and comes back to one that has left the
/// caches. Of many connections most wait for their peer's next message, with next to nothing on that stack.
/// So a session has a fiber only while it does something. `NextTurn T::turn(Result<void> waited) noexcept` runs on
/// one as long as it likes, and may suspend and call whatever fibers call; what it returns is waited for without
/// a stack. The first turn comes soon, and `waited` is success; in each of the others it says how the wait has
/// ended, as IoSource::wait_readable() does.
///
/// A worker runs the turns of one session after another on the same stack, without a switch. If a turn
/// suspends, the next one gets another fiber.
///
/// Of the fiber that a turn runs on, what the user has put there belongs to the session and goes with it: fiber-local values, and
/// the context (ContextKey) that start_session() was called in. The rest is the fiber's: this_fiber::id(),
/// stop tokens. Sessions of one class T are taken to have the same name and site.
///
/// Who asks the runtime to stop asks sessions too. The waits of a turn that is under way end then, as any
/// fiber's, and all turns after it are told operation_canceled, the first one as well if it has not come yet.
///
/// Errors:   std::system_error: not_a_fiber outside a runtime's fibers, not_enough_memory for the first
///           stack of a worker; std::bad_alloc; what T's constructor throws. Where there is no memory for another
///           stack later, a turn waits until there is.
/// Requires: T keeps nothing beyond a turn that belongs to a fiber: no Scope, Shield, DeadlineScope, TimeLimit, stop token. A
///           T that answers each operation_canceled by another wait takes its worker's time for good.
/// Threads:  turns follow each other, on any workers. T's constructor runs in the caller.
/// Cost:     memory for it, of slabs that go back to the kernel when they are free; a session that waits needs no more.
template <typename T, typename... Arguments>
void start_session(const SessionOptions& options, Arguments&&... arguments) {
    static_assert(alignof(T) <= 64, "a session is stored with 64-byte alignment");
    static_assert(noexcept(std::declval<T&>().turn(Result<void>())),
                  "nobody could be told of an exception that leaves a turn");
    const detail::PreparedSession prepared =
        detail::prepare_session(options, detail::kSessionType<T>);
    try {
        ::new (prepared.storage) T(std::forward<Arguments>(arguments)...);
    } catch (...) {
        detail::discard_session(prepared);
        throw;
    }
    detail::launch_session(prepared);
}

}  // namespace coir
