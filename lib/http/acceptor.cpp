#include "acceptor.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <string_view>
#include <utility>

#include "coir/base/syscall.hpp"
#include "coir/runtime/spawn.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "connection.hpp"

namespace coir::http {
namespace {

using std::chrono::milliseconds;

// Accepted in a row before other fibers of the worker get their turn.
constexpr int kBatch = 32;
constexpr milliseconds kFirstPause{5};
constexpr milliseconds kLongestPause{100};  // serve() may have to wait so long

constexpr std::string_view kBusy =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
    "Content-Length: 0\r\n\r\n";

UniqueFd spare_descriptor() noexcept {
    auto spare = syscall::socket(AF_INET, SOCK_STREAM, 0);
    return spare ? *std::move(spare) : UniqueFd();
}

}  // namespace

void Acceptor::run() noexcept {
    reserve_ = spare_descriptor();
    milliseconds pause = kFirstPause;
    int in_a_row = 0;
    // Not accept(): a stop() in its middle would cost a client its connection.
    while (listener_.is_open() && !this_fiber::stop_requested()) {
        auto stream = listener_.try_accept();
        if (stream) {
            pause = kFirstPause;
            start(*std::move(stream));
            if (++in_a_row % kBatch == 0) {
                this_fiber::yield();
            }
            continue;
        }
        std::error_code error = stream.error();
        if (syscall::would_block(error)) {
            error = listener_.wait_acceptable(Deadline::never()).error();
        }
        if (error && error != std::errc::operation_canceled && listener_.is_open()) {
            shed(error);
            this_fiber::sleep_for(pause);
            pause = std::min(2 * pause, kLongestPause);
        }
    }
}

void Acceptor::stop() noexcept {
    if (!listener_.is_open()) {
        return;
    }
    listener_.cancel();
    try {
        while (auto stream = listener_.try_accept()) {
            late_.push_back(*std::move(stream));
        }
    } catch (const std::bad_alloc&) {
        // Then those in the queue are told by a reset.
    }
    listener_.close();
}

void Acceptor::start_late() noexcept {
    for (net::TcpStream& stream : late_) {
        start(std::move(stream));
    }
    late_.clear();
}

void Acceptor::start(net::TcpStream stream) noexcept {
    core_->here().accepted.add();
    auto open = OpenConnection::try_open(core_);
    if (!open) {
        refuse(std::move(stream));
        return;
    }
    try {
        spawn_detached({.name = "http", .stack_bytes = core_->options.stack_bytes},
                       [open = *std::move(open), stream = std::move(stream)]() mutable {
                           Connection(std::move(stream), open.core()).run();
                       });
    } catch (...) {
        core_->here().refused.add();
        core_->report({ServerError::Where::accept, {}, std::current_exception(), {}});
    }
}

void Acceptor::refuse(net::TcpStream stream) noexcept {
    core_->here().refused.add();
    // A fresh socket has room for it; if not, closing says enough.
    (void)stream.write_all(std::as_bytes(std::span(kBusy)), Deadline::after(milliseconds(0)));
}

void Acceptor::shed(std::error_code error) noexcept {
    core_->here().accept_errors.add();
    core_->report({ServerError::Where::accept, error, nullptr, {}});
    if (error != std::errc::too_many_files_open &&
        error != std::errc::too_many_files_open_in_system) {
        return;
    }
    if (reserve_) {
        reserve_.reset();
        if (auto victim = listener_.try_accept()) {
            core_->here().accepted.add();
            core_->here().refused.add();
        }
    }
    reserve_ = spare_descriptor();
}

}  // namespace coir::http
