#include "coir/base/unique_fd.hpp"

#include <unistd.h>

namespace coir {

void UniqueFd::reset(int fd) noexcept {
    if (fd_ >= 0) {
        // Linux frees the number even where close reports an error; a retry could close another's.
        ::close(fd_);
    }
    fd_ = fd;
}

}  // namespace coir
