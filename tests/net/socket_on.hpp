#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"

namespace coir::test {

enum class On { plain_thread, one_worker, four_workers };

/// Every case runs on a plain thread and on fibers: a socket works on both.
class SocketOn : public testing::TestWithParam<On> {
protected:
    void run(const std::function<void()>& body) {
        if (GetParam() == On::plain_thread) {
            body();
            return;
        }
        Runtime runtime(
            {.workers = GetParam() == On::one_worker ? std::size_t{1} : std::size_t{4}});
        runtime.run(body);
    }
};

inline auto everywhere() {
    return testing::Values(On::plain_thread, On::one_worker, On::four_workers);
}

inline std::string name_of(const testing::TestParamInfo<On>& instance) {
    switch (instance.param) {
        case On::plain_thread: return "PlainThread";
        case On::one_worker: return "OneWorker";
        case On::four_workers: return "FourWorkers";
    }
    return "";
}

/// Runs the two sides of a conversation at the same time, each where the test runs.
class TwoSides final {
public:
    /// `other` on a fiber of a runtime of its own, if the test runs on a plain thread.
    template <typename F>
    explicit TwoSides(F other) {
        fiber_ = this_fiber::id() != 0
                     ? spawn(std::move(other))
                     : beside_.emplace(RuntimeOptions{.workers = 1}).spawn(std::move(other));
    }
    void join() { fiber_.join(); }

private:
    std::optional<Runtime> beside_;
    FiberHandle<void> fiber_;
};

}  // namespace coir::test
