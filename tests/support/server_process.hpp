#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coir/base/deadline.hpp"
#include "coir/base/unique_fd.hpp"
#include "support/patience.hpp"

namespace coir::test {

/// How a process has ended: by exit, or by a signal.
struct ProcessEnd {
    int exit_code = -1;  // -1 if a signal ended it
    int signal = 0;

    friend bool operator==(const ProcessEnd&, const ProcessEnd&) = default;
};

using Variables = std::map<std::string, std::string>;

/// A coir-server with its output, whatever becomes of it. Killed with its owner, or with the thread
/// that started it.
class ServerProcess final {
public:
    /// Starts it with exactly these arguments; the variables come on top of this process's own, but
    /// for COIR_*.
    explicit ServerProcess(const std::vector<std::string>& arguments,
                           const Variables& variables = {});
    ServerProcess(const ServerProcess&) = delete;
    ServerProcess& operator=(const ServerProcess&) = delete;
    ~ServerProcess();

    /// The first line of its standard output, without the line end; none if the process closed its
    /// output or `deadline` passed without one.
    [[nodiscard]] std::optional<std::string> read_line(Deadline deadline = soon());
    void send_signal(int signal) const;
    /// None if it still runs at `deadline`.
    [[nodiscard]] std::optional<ProcessEnd> wait_for_end(Deadline deadline = soon());

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// What it has written to standard error so far.
    [[nodiscard]] std::string error_text() const;
    [[nodiscard]] std::size_t open_descriptors() const;
    /// The same, once it has not changed for 100 ms.
    [[nodiscard]] std::size_t settled_descriptors() const;

private:
    UniqueFd output_;
    UniqueFd errors_;
    UniqueFd process_;  // a pidfd
    pid_t pid_ = -1;
    std::string line_;
    std::optional<ProcessEnd> end_;
};

/// A coir-server that listens, on a port of the kernel's choice. It has nothing to complain of: what it
/// writes to standard error, as a sanitizer does, is a failure of the test.
class RunningServer final {
public:
    /// Beside --host and --port. Errors: throws std::runtime_error with its error text if it does
    /// not come to listen.
    explicit RunningServer(std::vector<std::string> arguments = {"--workers", "2"},
                           const Variables& variables = {});
    ~RunningServer();

    /// Tells it to stop and waits for its end, which must be a success.
    void stop();

    [[nodiscard]] std::uint16_t port() const noexcept { return port_; }
    /// What it said when it listened.
    [[nodiscard]] const std::string& line() const noexcept { return line_; }
    [[nodiscard]] ServerProcess& process() noexcept { return process_; }

private:
    ServerProcess process_;
    std::string line_;
    std::uint16_t port_ = 0;
};

}  // namespace coir::test
