#include "support/server_process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <system_error>

#include "coir/base/number.hpp"
#include "coir/base/syscall.hpp"

namespace coir::test {

namespace {

[[noreturn]] void throw_last(const char* what) {
    throw std::system_error(syscall::last_error(), what);
}

std::vector<std::string> environment_with(const Variables& variables) {
    std::vector<std::string> environment;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        const std::string text = *variable;
        if (text.rfind("COIR_", 0) != 0 && variables.count(text.substr(0, text.find('='))) == 0) {
            environment.push_back(text);
        }
    }
    for (const auto& [name, value] : variables) {
        environment.push_back(name + '=' + value);
    }
    return environment;
}

/// As execve() wants it. Lives no longer than `texts`.
std::vector<char*> pointers_to(std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (std::string& text : texts) {
        pointers.push_back(text.data());
    }
    pointers.push_back(nullptr);
    return pointers;
}

bool becomes_readable(int fd, Deadline deadline) {
    pollfd one{fd, POLLIN, 0};
    while (::poll(&one, 1, milliseconds_left(deadline)) <= 0) {
        if (deadline.has_passed(Deadline::Clock::now())) {
            return false;
        }
    }
    return true;
}

}  // namespace

ServerProcess::ServerProcess(const std::vector<std::string>& arguments,
                             const Variables& variables) {
    std::vector<std::string> words{COIR_SERVER_PROGRAM};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<std::string> environment = environment_with(variables);
    const std::vector<char*> argv = pointers_to(words);
    const std::vector<char*> envp = pointers_to(environment);

    int pipe_ends[2];
    if (::pipe2(pipe_ends, O_CLOEXEC) != 0) {
        throw_last("pipe2");
    }
    output_.reset(pipe_ends[0]);
    const UniqueFd output_end(pipe_ends[1]);
    // A file, so that a server with much to say is never kept waiting by a test that does not read.
    errors_.reset(::memfd_create("stderr", MFD_CLOEXEC));
    if (!errors_) {
        throw_last("memfd_create");
    }

    pid_ = ::fork();
    if (pid_ < 0) {
        throw_last("fork");
    }
    if (pid_ == 0) {
        // A test that is killed takes its server along.
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::dup2(output_end.get(), STDOUT_FILENO);
        ::dup2(errors_.get(), STDERR_FILENO);
        ::execve(COIR_SERVER_PROGRAM, argv.data(), envp.data());
        ::_exit(127);
    }
    // Not pidfd_open(): glibc 2.36 declares it without extern "C".
    process_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (!process_) {
        const std::error_code error = syscall::last_error();
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
        throw std::system_error(error, "pidfd_open");
    }
}

ServerProcess::~ServerProcess() {
    if (!end_) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
}

std::optional<std::string> ServerProcess::read_line(Deadline deadline) {
    while (becomes_readable(output_.get(), deadline)) {
        std::array<std::byte, 256> bytes;
        const std::size_t count = syscall::read(output_.get(), bytes).value();
        line_.append(reinterpret_cast<const char*>(bytes.data()), count);
        const std::size_t end = line_.find('\n');
        if (end != std::string::npos) {
            const std::string line = line_.substr(0, end);
            line_.erase(0, end + 1);
            return line;
        }
        if (count == 0) {
            break;
        }
    }
    return std::nullopt;
}

void ServerProcess::send_signal(int signal) const {
    if (::kill(pid_, signal) != 0) {
        throw_last("kill");
    }
}

std::optional<ProcessEnd> ServerProcess::wait_for_end(Deadline deadline) {
    if (!end_ && becomes_readable(process_.get(), deadline)) {
        int status = 0;
        ::waitpid(pid_, &status, 0);
        end_ = WIFEXITED(status) ? ProcessEnd{.exit_code = WEXITSTATUS(status)}
                                 : ProcessEnd{.signal = WTERMSIG(status)};
    }
    return end_;
}

std::string ServerProcess::error_text() const {
    std::string text(64 * 1024, '\0');
    const ssize_t size = ::pread(errors_.get(), text.data(), text.size(), 0);
    text.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return text;
}

std::size_t ServerProcess::open_descriptors() const {
    const std::filesystem::directory_iterator entries("/proc/" + std::to_string(pid_) + "/fd");
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

std::size_t ServerProcess::settled_descriptors() const {
    std::size_t last = open_descriptors();
    auto since = Deadline::Clock::now();
    const bool settled = holds_before(soon(), [&] {
        const std::size_t count = open_descriptors();
        if (count != last) {
            last = count;
            since = Deadline::Clock::now();
        }
        return Deadline::Clock::now() - since > std::chrono::milliseconds(100);
    });
    if (!settled) {
        throw std::runtime_error("the server's open descriptors do not settle");
    }
    return last;
}

RunningServer::RunningServer(std::vector<std::string> arguments, const Variables& variables)
    : process_(
          [&] {
              arguments.insert(arguments.begin(), {"--host", "127.0.0.1", "--port", "0"});
              return arguments;
          }(),
          variables) {
    line_ = process_.read_line().value_or("");
    constexpr std::string_view kBegin = "coir-server listening on 127.0.0.1:";
    const std::size_t end = line_.find(',');
    if (line_.rfind(kBegin, 0) == 0 && end != std::string::npos) {
        const std::string_view port =
            std::string_view(line_).substr(kBegin.size(), end - kBegin.size());
        port_ = parse_integer<std::uint16_t>(port).value();
        return;
    }
    throw std::runtime_error("coir-server does not listen; it said: '" + line_ + "', '" +
                             process_.error_text() + "'");
}

RunningServer::~RunningServer() {
    EXPECT_EQ(process_.error_text(), "");
}

void RunningServer::stop() {
    process_.send_signal(SIGTERM);
    EXPECT_EQ(process_.wait_for_end(), ProcessEnd{.exit_code = 0});
}

}  // namespace coir::test
