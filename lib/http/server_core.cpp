#include "server_core.hpp"

#include <mutex>
#include <stdexcept>
#include <utility>

#include "coir/base/assert.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "syntax.hpp"

namespace coir::http {

ServerCore::ServerCore(Router routes, ServerOptions settings)
    : router(std::move(routes)), options(std::move(settings)) {
    if (!syntax::is_field_value(options.server_name)) {
        throw std::invalid_argument("server_name: no value of a header field");
    }
    if (!options.server_name.empty()) {
        server_line = "Server: " + options.server_name + "\r\n";
    }
}

void ServerCore::prepare() {
    const auto count = static_cast<std::size_t>(this_worker::count());
    while (workers.size() < count) {
        workers.push_back(std::make_unique<WorkerShare>(options, connections));
    }
}

std::size_t ServerCore::worker_index() noexcept {
    const int index = this_worker::index();
    COIR_ASSERT(index >= 0);
    return static_cast<std::size_t>(index);
}

void ServerCore::report(const ServerError& error) const noexcept {
    if (!options.on_error) {
        return;
    }
    try {
        options.on_error(error);
    } catch (...) {
        // A hook that fails has nobody left to tell.
    }
}

bool ServerCore::try_count(std::atomic<std::size_t>& count, std::size_t limit) noexcept {
    std::size_t now = count.load(std::memory_order_relaxed);
    do {
        if (now >= limit) {
            return false;
        }
    } while (!count.compare_exchange_weak(now, now + 1, std::memory_order_relaxed));
    return true;
}

void ServerCore::count_down(std::atomic<std::size_t>& count) noexcept {
    // seq_cst with serve(), which sets closing before it looks at the counts: one of the two sees the
    // other.
    if (count.fetch_sub(1, std::memory_order_seq_cst) == 1 && connections.is_closing()) {
        const std::lock_guard lock(mutex);
        changed.notify_all();
    }
}

std::optional<OpenConnection> OpenConnection::try_open(std::shared_ptr<ServerCore> core,
                                                       const net::SocketAddress& peer) noexcept {
    const std::size_t of_one = core->options.max_connections_per_address;
    const AddressCounts::Client client = AddressCounts::client_of(peer);
    if (of_one != 0 && !core->addresses.try_add(client, of_one)) {
        return std::nullopt;
    }
    if (!ServerCore::try_count(core->open, core->options.max_connections)) {
        if (of_one != 0) {
            core->addresses.remove(client);
        }
        return std::nullopt;
    }
    return OpenConnection(std::move(core), client);
}

void OpenConnection::leave() noexcept {
    if (core_->options.max_connections_per_address != 0) {
        core_->addresses.remove(client_);
    }
    core_->count_down(core_->open);
}

}  // namespace coir::http
