#include "coir/sync/future.hpp"

#include <future>

namespace coir::detail {
namespace {

std::future_errc code_of(FutureFault fault) noexcept {
    switch (fault) {
        case FutureFault::retrieved: return std::future_errc::future_already_retrieved;
        case FutureFault::satisfied: return std::future_errc::promise_already_satisfied;
        case FutureFault::no_state: break;
    }
    return std::future_errc::no_state;
}

}  // namespace

void throw_future_error(FutureFault fault) {
    throw std::future_error(code_of(fault));
}

std::exception_ptr broken_promise() {
    return std::make_exception_ptr(std::future_error(std::future_errc::broken_promise));
}

}  // namespace coir::detail
