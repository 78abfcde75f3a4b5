#pragma once

#include <cerrno>
#include <cstddef>

#include "coir/base/syscall.hpp"

namespace coir::syscall {

/// What a system call returns, called again as long as a signal interrupts it.
template <typename Call>
Result<std::size_t> retried(Call call) noexcept {
    for (;;) {
        if (const auto outcome = call(); outcome >= 0) {
            return static_cast<std::size_t>(outcome);
        }
        if (const std::error_code error = last_error(); error.value() != EINTR) {
            return error;
        }
    }
}

}  // namespace coir::syscall
