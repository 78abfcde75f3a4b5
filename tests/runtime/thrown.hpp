#pragma once

#include <exception>
#include <ostream>

#include "coir/runtime/this_fiber.hpp"

namespace coir::test {

/// The number of another worker.
inline int neighbour() {
    return (this_worker::index() + 1) % this_worker::count();
}

/// What a fiber throws: who, and how deep in its nest.
struct Thrown {
    int fiber;
    int depth;
    friend bool operator==(const Thrown&, const Thrown&) = default;
};

inline std::ostream& operator<<(std::ostream& out, const Thrown& thrown) {
    return out << "fiber " << thrown.fiber << ", depth " << thrown.depth;
}

inline constexpr Thrown kNothing{-1, -1};
inline constexpr Thrown kForeign{-2, -2};

inline Thrown rethrown_by(const std::exception_ptr& exception) {
    if (!exception) {
        return kNothing;
    }
    try {
        std::rethrow_exception(exception);
    } catch (const Thrown& thrown) {
        return thrown;
    } catch (...) {
        return kForeign;
    }
}

inline Thrown being_handled() {
    return rethrown_by(std::current_exception());
}

}  // namespace coir::test
