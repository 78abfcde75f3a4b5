#include "acceptor.hpp"

#include <chrono>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#include "coir/base/syscall.hpp"
#include "coir/runtime/session.hpp"
#include "coir/runtime/spawn.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "connection.hpp"
#include "farewell.hpp"

namespace coir::http {
namespace {

using std::chrono::milliseconds;

// Accepted in a row before other fibers of the worker get their turn.
constexpr int kBatch = 32;
// When not even the reserve helps, as where another thread was faster to take it. Short, since nobody
// tells when there is a descriptor again; a look costs some 2 us.
constexpr milliseconds kPause{5};

constexpr std::string_view kBusy =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
    "Content-Length: 0\r\n\r\n";

UniqueFd spare_descriptor() noexcept {
    auto spare = syscall::socket(AF_INET, SOCK_STREAM, 0);
    return spare ? *std::move(spare) : UniqueFd();
}

bool is_shortage(std::error_code error) noexcept {
    return error == std::errc::too_many_files_open ||
           error == std::errc::too_many_files_open_in_system;
}

/// A client that has been refused, until it has heard so.
struct Refused {
    std::shared_ptr<ServerCore> core;
    LingerPlace place;
    net::TcpStream stream;

    void run() noexcept {
        const ConnectionRegistry::Entry entry(core->connections, stream,
                                              ServerCore::worker_index());
        linger(stream, core->options);
    }
};

/// True if the client has finished.
bool say_busy(net::TcpStream& stream) noexcept {
    // A fresh socket has room for it. Often the request has come with the connection: what is read now
    // needs no waiting.
    return !stream.try_write_some(std::as_bytes(std::span(kBusy))) || finish_at_once(stream);
}

}  // namespace

void Acceptor::run() noexcept {
    reserve_ = spare_descriptor();
    int in_a_row = 0;
    // Not accept_from(): a stop() in its middle would cost a client its connection.
    while (listener_.is_open() && !this_fiber::stop_requested()) {
        auto accepted = listener_.try_accept_from();
        if (accepted) {
            start(*std::move(accepted));
            if (++in_a_row % kBatch == 0) {
                this_fiber::yield();
            }
            continue;
        }
        std::error_code error = accepted.error();
        if (syscall::would_block(error)) {
            error = listener_.wait_acceptable(Deadline::never()).error();
        }
        if (error && error != std::errc::operation_canceled && listener_.is_open() &&
            !make_room(error)) {
            this_fiber::sleep_for(kPause);
        }
    }
}

void Acceptor::stop() noexcept {
    if (!listener_.is_open()) {
        return;
    }
    listener_.cancel();
    try {
        while (auto accepted = listener_.try_accept_from()) {
            late_.push_back(*std::move(accepted));
        }
    } catch (const std::bad_alloc&) {
        // Then those in the queue are told by a reset.
    }
    listener_.close();
}

void Acceptor::start_late() noexcept {
    for (Accepted& accepted : late_) {
        start(std::move(accepted));
    }
    late_.clear();
}

void Acceptor::start(Accepted accepted) noexcept {
    core_->here().accepted.add();
    auto open = OpenConnection::try_open(core_, accepted.peer);
    if (!open) {
        refuse(std::move(accepted.stream));
        return;
    }
    try {
        start_session<Connection>({.name = "http", .stack_bytes = core_->options.stack_bytes},
                                  std::move(accepted.stream), *std::move(open));
    } catch (...) {
        core_->here().refused.add();
        core_->report({ServerError::Where::accept, {}, std::current_exception(), {}});
    }
}

void Acceptor::refuse(net::TcpStream stream) noexcept {
    core_->here().refused.add();
    if (say_busy(stream)) {
        return;
    }
    auto place = LingerPlace::try_take(*core_);
    if (!place) {
        return;
    }
    try {
        spawn_detached({.name = "http refused", .stack_bytes = core_->options.stack_bytes},
                       [refused = Refused{core_, *std::move(place), std::move(stream)}]() mutable {
                           refused.run();
                       });
    } catch (...) {
        core_->report({ServerError::Where::accept, {}, std::current_exception(), {}});
    }
}

// After accept() has failed. True if it may be called again at once.
bool Acceptor::make_room(std::error_code error) noexcept {
    core_->here().accept_errors.add();
    core_->report({ServerError::Where::accept, error, nullptr, {}});
    if (!is_shortage(error)) {
        return false;
    }
    reserve_.reset();
    auto accepted = listener_.try_accept_from();
    reserve_ = spare_descriptor();
    if (accepted && reserve_) {
        start(*std::move(accepted));  // there is room again
    } else if (accepted) {
        core_->here().accepted.add();
        core_->here().refused.add();
        {
            // No lingering: it would hold the descriptor.
            net::TcpStream victim = std::move(accepted->stream);
            (void)say_busy(victim);
        }
        reserve_ = spare_descriptor();
    } else if (syscall::would_block(accepted.error())) {
        // The kernel wants a descriptor before it looks into its queue, which was empty.
        return listener_.wait_acceptable(Deadline::never()).has_value();
    } else {
        return false;
    }
    return true;
}

}  // namespace coir::http
