#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "coir/base/deadline.hpp"
#include "coir/base/result.hpp"

namespace coir::test {

/// Something in a state in which somebody has to wait for it.
class Waited {
public:
    virtual ~Waited() = default;
    virtual Result<void> wait_until(Deadline deadline) = 0;
    /// Without a deadline; requests to stop are ignored.
    virtual void wait() = 0;
    /// Ends one wait. By who has made this; touches nothing once the other may go on.
    virtual void let_go() = 0;
};

struct WaitCase {
    std::string name;
    std::string what;  ///< As the registry of fibers has it.
    std::unique_ptr<Waited> (*make)();
    bool has_plain_wait = true;
};

inline void PrintTo(const WaitCase& wait_case, std::ostream* out) {
    *out << wait_case.name;
}

/// All waits of this layer.
[[nodiscard]] const std::vector<WaitCase>& every_wait();

}  // namespace coir::test
