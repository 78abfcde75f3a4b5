#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/runtime/io_source.hpp"
#include "coir/runtime/session.hpp"
#include "runtime/descriptors.hpp"
#include "support/patience.hpp"

namespace coir::test {

/// Counts the sessions that are alive, and serves one descriptor by a function of (IoSource&, Result<void>).
template <typename F>
class Turns final {
public:
    Turns(UniqueFd fd, std::atomic<int>& alive, F function)
        : source_(std::move(fd)), alive_(alive), turn_(std::move(function)) {
        ++alive_;
    }
    Turns(const Turns&) = delete;
    Turns& operator=(const Turns&) = delete;
    ~Turns() { --alive_; }

    NextTurn turn(Result<void> waited) noexcept { return turn_(source_, waited); }

private:
    IoSource source_;
    std::atomic<int>& alive_;
    F turn_;
};

template <typename F>
void start_turns(UniqueFd fd, std::atomic<int>& alive, F turn, SessionOptions options = {}) {
    start_session<Turns<F>>(options, std::move(fd), alive, std::move(turn));
}

inline bool has_ended(const std::atomic<int>& alive) {
    return holds_before(soon(), [&] { return alive == 0; });
}

/// Sends back what has come; over at the end of it.
inline NextTurn echo(IoSource& source, Result<void>) {
    const std::string text = get(source.fd());
    if (text == "end") {
        return NextTurn::none();
    }
    if (text != "would block") {
        put(source.fd(), text);
    }
    return NextTurn::when_readable(source, Deadline::never());
}

inline std::string ask(int fd, std::string_view text) {
    put(fd, text);
    std::string answer;
    (void)holds_before(soon(), [&] { return (answer = get(fd)) != "would block"; });
    return answer;
}

}  // namespace coir::test
