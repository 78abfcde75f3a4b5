// What the server does when there are no more descriptors. The limit of the process is met in truth; that
// of the system, which a test must not meet, is the same with another error.

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "coir/base/unique_fd.hpp"
#include "sample_routes.hpp"
#include "support/tcp_client.hpp"

namespace {

// While true, what would fail with EMFILE fails with ENFILE.
std::atomic<bool> is_system_short{false};

int result_of(int result) {
    if (result < 0 && errno == EMFILE && is_system_short) {
        errno = ENFILE;
    }
    return result;
}

template <typename Function>
Function* next_function(const char* name) {
    return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" int accept4(int fd, sockaddr* peer, socklen_t* length, int flags) {
    static auto* const real = next_function<int(int, sockaddr*, socklen_t*, int)>("accept4");
    return result_of(real(fd, peer, length, flags));
}

extern "C" int socket(int family, int type, int protocol) noexcept {
    static auto* const real = next_function<int(int, int, int)>("socket");
    return result_of(real(family, type, protocol));
}

namespace coir::http {
namespace {

using coir::test::holds_before;
using coir::test::soon;
using coir::test::TcpClient;
using test::kGet;
using test::sample_router;
using test::Served;

/// Leaves the process `few` descriptors, as long as it lives.
class FewDescriptors final {
public:
    explicit FewDescriptors(int few) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit low = before_;
        low.rlim_cur = static_cast<rlim_t>(UniqueFd(::dup(0)).get()) + 64;
        ::setrlimit(RLIMIT_NOFILE, &low);
        for (UniqueFd filler(::dup(0)); filler; filler.reset(::dup(0))) {
            fillers_.push_back(std::move(filler));
        }
        for (int i = 0; i < few; ++i) {
            fillers_.pop_back();
        }
    }
    ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
    std::vector<UniqueFd> fillers_;
};

class ServerWithoutDescriptors : public testing::TestWithParam<bool> {
protected:
    ServerWithoutDescriptors() { is_system_short = GetParam(); }
    ~ServerWithoutDescriptors() override { is_system_short = false; }
};

INSTANTIATE_TEST_SUITE_P(Of, ServerWithoutDescriptors, testing::Bool(), [](const auto& instance) {
    return instance.param ? "TheSystem" : "TheProcess";
});

// They were closed without a word, one in a pause of up to 100 ms.
/// The server forgets a connection just before it closes its descriptor, which may be the one that we need.
TcpClient connect_to(std::uint16_t port) {
    for (const auto deadline = soon();;) {
        try {
            return TcpClient(port);
        } catch (const std::system_error&) {
            if (deadline.has_passed(Deadline::Clock::now())) {
                throw;
            }
        }
    }
}

TEST_P(ServerWithoutDescriptors, TellsEachClientAndServesAgainAtOnce) {
    std::atomic<bool> has_met_it = false;
    ServerOptions options;
    options.on_error = [&](const ServerError& error) {
        EXPECT_EQ(error.where, ServerError::Where::accept);
        EXPECT_EQ(error.error, GetParam() ? std::errc::too_many_files_open_in_system
                                          : std::errc::too_many_files_open);
        has_met_it = true;
    };
    Served served(sample_router(), options, 1);
    EXPECT_TRUE(holds_before(soon(), [&] {
        TcpClient probe(served.port());  // the acceptor is at work, and has its reserve
        probe.send(kGet);
        return probe.receive().status == 200;
    }));
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
    const FewDescriptors few(3);
    TcpClient first(served.port());
    first.send(kGet);
    EXPECT_EQ(first.receive().status, 200);
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 100; ++i) {
        TcpClient victim = connect_to(served.port());
        (void)victim.try_send(kGet);
        EXPECT_EQ(victim.receive().status, 503);
    }
    // It took a pause of 100 ms for each.
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
    EXPECT_TRUE(has_met_it);
    EXPECT_GE(served.stats().refused, 100U);
    // One to learn of it, one to see that nobody else waits, and a look for nothing now and then.
    EXPECT_LE(served.stats().accept_errors, 500U);
    first.send(kGet);
    EXPECT_EQ(first.receive().status, 200);
    first.close();
    EXPECT_TRUE(holds_before(soon(), [&] { return served.stats().open == 0; }));
    TcpClient next = connect_to(served.port());
    next.send(kGet);
    EXPECT_EQ(next.receive().status, 200);
}

}  // namespace
}  // namespace coir::http
