#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "address_counts.hpp"
#include "coir/http/router.hpp"
#include "coir/http/server.hpp"
#include "coir/sync/condition_variable.hpp"
#include "coir/sync/mutex.hpp"
#include "connection_registry.hpp"
#include "exchange.hpp"

namespace coir::http {

/// A counter that one worker changes and everybody may read.
class WorkerCounter final {
public:
    void add(std::uint64_t amount = 1) noexcept {
        // No other writer: a plain load and store, no locked instruction.
        value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t load() const noexcept {
        return value_.load(std::memory_order_relaxed);
    }

private:
    std::atomic<std::uint64_t> value_{0};
};

/// What connections need on the worker they are on. Worker-private but for the counters' readers.
struct alignas(64) WorkerShare {
    WorkerShare(const ServerOptions& options, const ConnectionRegistry& connections)
        : exchanges(options, connections) {}

    ExchangePool exchanges;
    WorkerCounter accepted;
    WorkerCounter refused;
    WorkerCounter requests;
    WorkerCounter bad_requests;
    WorkerCounter handler_failures;
    WorkerCounter handler_timeouts;
    WorkerCounter timeouts;
    WorkerCounter accept_errors;
};

/// What the connections of one server share.
struct ServerCore {
    ServerCore(Router routes, ServerOptions settings);

    /// Gives every worker of the caller's runtime its share. Requires: called on a fiber.
    void prepare();
    /// Of the worker that runs the caller: the pool and the counters of a moment, not to be kept
    /// across a suspension. Requires: prepare() has been called, and the caller is a fiber.
    [[nodiscard]] WorkerShare& here() noexcept { return *workers[worker_index()]; }
    [[nodiscard]] static std::size_t worker_index() noexcept;
    void report(const ServerError& error) const noexcept;
    /// One more of what is limited, `open` or `lingering`; false if there are `limit` of them. Threads:
    /// any; all together keep the limit.
    [[nodiscard]] static bool try_count(std::atomic<std::size_t>& count,
                                        std::size_t limit) noexcept;
    /// One less; tells serve() if it was the last of a stopping server.
    void count_down(std::atomic<std::size_t>& count) noexcept;

    Router router;
    ServerOptions options;
    std::string server_line;  // "Server: ...\r\n", or empty
    ConnectionRegistry connections;
    std::vector<std::unique_ptr<WorkerShare>> workers;
    // Connections that have been accepted and not been closed.
    std::atomic<std::size_t> open{0};
    // Of these, and of those that were refused, the ones that only wait for their client to finish.
    std::atomic<std::size_t> lingering{0};
    AddressCounts addresses;  // of open connections, if their number is limited

    std::stop_source stopping;  // for connections that have left HTTP; see Server::Core::stop()

    // Once stopping: told when one of the two becomes 0, and when the deadline changes.
    Mutex mutex;
    ConditionVariable changed;
};

/// One connection that counts as open; the last one of a stopping server tells serve().
/// It shares the core, because serve() may return, and the server die, while the last one leaves.
class OpenConnection final {
public:
    /// None if max_connections are open, or max_connections_per_address from there. Threads: any; all
    /// acceptors together keep the limits.
    [[nodiscard]] static std::optional<OpenConnection> try_open(
        std::shared_ptr<ServerCore> core, const net::SocketAddress& peer) noexcept;
    OpenConnection(OpenConnection&& other) noexcept = default;
    OpenConnection& operator=(OpenConnection&& other) = delete;
    ~OpenConnection() {
        if (core_ != nullptr) {
            leave();
        }
    }
    [[nodiscard]] ServerCore& core() const noexcept { return *core_; }

private:
    /// `core->open` and, if there is a limit, `core->addresses` count it already.
    OpenConnection(std::shared_ptr<ServerCore> core, AddressCounts::Client client) noexcept
        : core_(std::move(core)), client_(client) {}
    void leave() noexcept;

    std::shared_ptr<ServerCore> core_;
    AddressCounts::Client client_;
};

}  // namespace coir::http
