#include "coir/http/server.hpp"

#include <algorithm>
#include <functional>
#include <mutex>
#include <stop_token>
#include <utility>
#include <vector>

#include "acceptor.hpp"
#include "coir/base/error.hpp"
#include "coir/net/tcp_listener.hpp"
#include "coir/runtime/spawn.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "coir/sync/event.hpp"
#include "server_core.hpp"

namespace coir::http {

class Server::Core final {
public:
    Core(Router router, ServerOptions options)
        : shared_(std::make_shared<ServerCore>(std::move(router), std::move(options))) {}

    [[nodiscard]] Result<net::SocketAddress> listen(const net::SocketAddress& address);
    void serve();
    void stop(Deadline deadline) noexcept;
    [[nodiscard]] ServerStats stats() const noexcept;

private:
    void join_acceptors();
    [[nodiscard]] bool has_been_stopped() const noexcept;
    void start_late() noexcept;
    void join_connections();

    class StopOnRequest;

    std::shared_ptr<ServerCore> shared_;
    // Under shared_->mutex while they change.
    std::vector<std::unique_ptr<Acceptor>> acceptors_;
    Deadline stop_deadline_ = Deadline::never();
};

Result<net::SocketAddress> Server::Core::listen(const net::SocketAddress& address) {
    const auto workers = static_cast<std::size_t>(this_worker::count());
    if (workers == 0) {
        return Errc::not_a_fiber;
    }
    const std::lock_guard lock(shared_->mutex);
    shared_->prepare();
    const net::ListenOptions options{.backlog = shared_->options.backlog,
                                     .share_port = workers != 1};
    net::SocketAddress bound = address;
    if (options.share_port && address.port() != 0) {
        // Sharing would also succeed where another program shares the port: ask for it alone first.
        // (The kernel never chooses one that is shared.)
        COIR_TRY(bound, net::TcpListener::find_free(address));
    }
    std::vector<std::unique_ptr<Acceptor>> added;
    for (std::size_t i = 0; i < workers; ++i) {
        COIR_TRY(net::TcpListener listener, net::TcpListener::bind(bound, options));
        if (i == 0) {
            COIR_TRY(bound, listener.local_address());
        }
        added.push_back(std::make_unique<Acceptor>(shared_, std::move(listener)));
    }
    std::move(added.begin(), added.end(), std::back_inserter(acceptors_));
    return bound;
}

/// Stops the server when the token is triggered, while it lives. Who triggers it may be a poller, or hold locks: so a
/// fiber of its own does it.
class Server::Core::StopOnRequest final {
public:
    StopOnRequest(Core& core, const std::stop_token& token)
        : on_request_(token, [this] { is_due_.set(); }),
          stopper_(spawn({.name = "http stop"}, [this, &core] {
              is_due_.wait();
              core.stop(Deadline::after({}));
          })) {}
    /// Requires: the server has stopped, or does not start.
    ~StopOnRequest() { is_due_.set(); }
    StopOnRequest(const StopOnRequest&) = delete;
    StopOnRequest& operator=(const StopOnRequest&) = delete;

private:
    Event is_due_;
    const std::stop_callback<std::function<void()>> on_request_;
    const FiberHandle<void> stopper_;  // whose end its destructor waits for
};

void Server::Core::serve() {
    const std::stop_token token = this_fiber::stop_token();
    // From here on the waits end because the server has stopped.
    const this_fiber::Shield shield;
    const StopOnRequest on_request(*this, token);
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->prepare();
    }
    join_acceptors();
    if (!has_been_stopped()) {
        stop(Deadline::after({}));  // the acceptors were asked to end themselves, as all fibers
    }
    start_late();
    join_connections();
}

void Server::Core::join_acceptors() {
    const int workers = this_worker::count();
    std::vector<Acceptor*> acceptors;
    {
        const std::lock_guard lock(shared_->mutex);
        for (const auto& acceptor : acceptors_) {
            acceptors.push_back(acceptor.get());
        }
    }
    std::vector<FiberHandle<void>> fibers;
    try {
        fibers.reserve(acceptors.size());
        for (Acceptor* const acceptor : acceptors) {
            const int worker = static_cast<int>(fibers.size()) % workers;
            fibers.push_back(spawn({.name = "http accept", .worker = worker, .pinned = true},
                                   [acceptor] { acceptor->run(); }));
        }
    } catch (...) {
        stop(Deadline::after({}));
        fibers.clear();  // joins
        start_late();
        join_connections();
        throw;
    }
    for (auto& fiber : fibers) {
        fiber.join();
    }
}

// Waits for a stop() that is under way: acceptors end in its middle.
bool Server::Core::has_been_stopped() const noexcept {
    const std::lock_guard lock(shared_->mutex);
    return shared_->connections.is_closing();
}

void Server::Core::start_late() noexcept {
    for (const auto& acceptor : acceptors_) {
        acceptor->start_late();
    }
}

void Server::Core::join_connections() {
    std::unique_lock lock(shared_->mutex);
    bool cut = false;
    while (shared_->open.load(std::memory_order_seq_cst) != 0 ||
           shared_->lingering.load(std::memory_order_seq_cst) != 0) {
        const Deadline deadline = cut ? Deadline::never() : stop_deadline_;
        if (!shared_->changed.wait_until(lock, deadline) &&
            stop_deadline_.has_passed(Deadline::Clock::now())) {
            cut = true;
            lock.unlock();  // who hears of it may need it
            shared_->connections.cut_all();
            lock.lock();
        }
    }
}

void Server::Core::stop(Deadline deadline) noexcept {
    // *this may die as soon as the lock is given up.
    std::stop_source stopping = shared_->stopping;
    std::unique_lock lock(shared_->mutex);
    stop_deadline_ = std::min(stop_deadline_, deadline);
    // First: clients that hear of the end connect anew, and must not meet a listener that is about to be
    // closed, which would reset them.
    for (const auto& acceptor : acceptors_) {
        acceptor->stop();
    }
    shared_->connections.wake_all_to_close();
    shared_->changed.notify_all();
    lock.unlock();  // what hooks do then may need it
    stopping.request_stop();
}

ServerStats Server::Core::stats() const noexcept {
    ServerStats stats;
    const std::lock_guard lock(shared_->mutex);
    for (const auto& share : shared_->workers) {
        stats.accepted += share->accepted.load();
        stats.refused += share->refused.load();
        stats.requests += share->requests.load();
        stats.bad_requests += share->bad_requests.load();
        stats.handler_failures += share->handler_failures.load();
        stats.handler_timeouts += share->handler_timeouts.load();
        stats.timeouts += share->timeouts.load();
        stats.accept_errors += share->accept_errors.load();
    }
    stats.open = shared_->open.load(std::memory_order_relaxed);
    stats.lingering = shared_->lingering.load(std::memory_order_relaxed);
    return stats;
}

Server::Server(Router router, ServerOptions options)
    : core_(std::make_unique<Core>(std::move(router), std::move(options))) {}

Server::~Server() = default;

Result<net::SocketAddress> Server::listen(const net::SocketAddress& address) {
    return core_->listen(address);
}

void Server::serve() {
    core_->serve();
}

void Server::stop(Deadline deadline) noexcept {
    core_->stop(deadline);
}

ServerStats Server::stats() const noexcept {
    return core_->stats();
}

}  // namespace coir::http
