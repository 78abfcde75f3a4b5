#pragma once

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "coir/base/syscall.hpp"
#include "coir/base/unique_fd.hpp"
#include "coir/runtime/io_source.hpp"

namespace coir::test {

struct FdPair {
    UniqueFd first;   // of a pipe: the end to read from
    UniqueFd second;  // of a pipe: the end to write to
};

inline FdPair make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) {
        throw std::system_error(syscall::last_error(), "pipe2");
    }
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

inline FdPair make_socket_pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0) {
        throw std::system_error(syscall::last_error(), "socketpair");
    }
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

inline UniqueFd make_eventfd() {
    UniqueFd fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!fd) {
        throw std::system_error(syscall::last_error(), "eventfd");
    }
    return fd;
}

/// Adds one to an eventfd.
inline void signal(int fd) {
    const std::uint64_t one = 1;
    (void)syscall::write(fd, std::as_bytes(std::span(&one, 1))).value();
}

/// The value of an eventfd, which is 0 then; 0 if it was.
inline std::uint64_t take_signals(int fd) {
    std::uint64_t count = 0;
    const auto read = syscall::read(fd, std::as_writable_bytes(std::span(&count, 1)));
    return read ? count : 0;
}

inline void put(int fd, std::string_view text) {
    (void)syscall::write(fd, std::as_bytes(std::span(text))).value();
}

/// What a read finds now; "would block", or "end", or the bytes.
inline std::string get(int fd, std::size_t limit = 64) {
    std::string text(limit, '\0');
    const auto read = syscall::read(fd, std::as_writable_bytes(std::span(text)));
    if (!read) {
        return syscall::would_block(read.error()) ? "would block" : read.error().message();
    }
    text.resize(*read);
    return *read == 0 ? "end" : text;
}

/// How many descriptors this process has open.
inline std::ptrdiff_t open_descriptors() {
    const std::filesystem::directory_iterator entries("/proc/self/fd");
    return std::distance(begin(entries), end(entries));
}

}  // namespace coir::test
