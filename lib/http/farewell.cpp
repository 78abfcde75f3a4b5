#include "farewell.hpp"

#include <array>
#include <chrono>
#include <cstddef>

#include "coir/runtime/this_fiber.hpp"

namespace coir::http {
namespace {

// What a lingering connection reads and drops at most, in bytes.
constexpr std::size_t kLingerBytes = 256 * 1024;

constexpr std::chrono::milliseconds kLookAgain{5};

}  // namespace

void linger(net::TcpStream& stream, Deadline deadline) noexcept {
    if (!stream.shutdown(net::Shutdown::write)) {
        return;
    }
    std::array<std::byte, 2048> dropped;
    for (std::size_t total = 0; total < kLingerBytes;) {
        const auto read = stream.read_some(dropped, deadline);
        if (!read || *read == 0) {
            return;
        }
        total += *read;
    }
}

void wait_until_sent(net::TcpStream& stream, Deadline deadline) noexcept {
    while (stream.is_open() && stream.unconfirmed_bytes().value_or(0) != 0 &&
           !deadline.has_passed(coarse_now())) {
        this_fiber::sleep_for(kLookAgain);  // no event tells of it
    }
}

}  // namespace coir::http
