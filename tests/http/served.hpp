#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "coir/base/deadline.hpp"
#include "coir/http/body_reader.hpp"
#include "coir/http/response.hpp"
#include "coir/http/server.hpp"
#include "coir/net/address.hpp"
#include "coir/runtime/runtime.hpp"
#include "support/patience.hpp"

namespace coir::http::test {

/// A server on a port of 127.0.0.1 in a runtime of its own, from construction to destruction.
class Served final {
public:
    explicit Served(Router router, ServerOptions options = {}, std::size_t workers = 2)
        : runtime_({.workers = workers}), server_(std::move(router), std::move(options)) {
        address_ = runtime_.run([this] { return server_.listen(net::SocketAddress::loopback(0)); })
                       .value();
        serving_ = runtime_.spawn([this] { server_.serve(); });
    }
    ~Served() {
        if (serving_.joinable()) {
            server_.stop(Deadline::after(std::chrono::seconds(0)));
            serving_.join();
        }
    }

    [[nodiscard]] std::uint16_t port() const noexcept { return address_.port(); }
    [[nodiscard]] net::SocketAddress address() const noexcept { return address_; }
    [[nodiscard]] Server& server() noexcept { return server_; }
    [[nodiscard]] ServerStats stats() const noexcept { return server_.stats(); }
    [[nodiscard]] Runtime& runtime() noexcept { return runtime_; }
    /// Waits until serve() has returned.
    void join() { serving_.join(); }
    [[nodiscard]] bool has_ended() const noexcept { return serving_.is_done(); }

private:
    Runtime runtime_;
    Server server_;
    net::SocketAddress address_;
    FiberHandle<void> serving_;
};

}  // namespace coir::http::test
