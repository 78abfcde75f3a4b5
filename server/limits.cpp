#include "limits.hpp"

#include <sys/resource.h>

#include <stdexcept>
#include <string>
#include <system_error>

#include "coir/base/syscall.hpp"

namespace coir::server {

namespace {

// A worker holds an epoll, an eventfd, a timerfd, a listener and a reserve; the rest is for
// connections, and a server that could hold only a handful is better told so than found so.
constexpr std::size_t kDescriptorsPerWorker = 8;
constexpr std::size_t kDescriptorsBeside = 64;

}  // namespace

void raise_descriptor_limit(std::size_t workers) {
    rlimit limit;
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        throw std::system_error(syscall::last_error(), "cannot read the limit of open descriptors");
    }
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        throw std::system_error(syscall::last_error(),
                                "cannot raise the limit of open descriptors");
    }
    const std::size_t needed = kDescriptorsBeside + kDescriptorsPerWorker * workers;
    if (limit.rlim_cur < needed) {
        throw std::runtime_error("the limit of open descriptors (ulimit -n) is " +
                                 std::to_string(limit.rlim_cur) + ", and " +
                                 std::to_string(workers) +
                                 (workers == 1 ? " worker needs" : " workers need") + " at least " +
                                 std::to_string(needed));
    }
}

}  // namespace coir::server
