#include "load.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <numeric>
#include <utility>
#include <vector>

#include "behaviours.hpp"
#include "coir/base/deadline.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/scope.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "http/wire_cases.hpp"
#include "listening.hpp"

namespace coir::soak {
namespace {

constexpr int kFailuresSaid = 20;
constexpr int kFailuresTaken = 200;  // then there is no point in going on

/// All clients of one kind.
class Crowd final {
public:
    explicit Crowd(const std::vector<Behaviour>& behaviours)
        : behaviours_(behaviours), done_(behaviours.size()) {}

    void spawn_clients(Scope& scope, World& world, std::uint64_t seed, int from, int count,
                       std::atomic<int>& failures) {
        for (int i = from; i < from + count; ++i) {
            scope.spawn([this, &world, &failures, seed, i] {
                SmallRandom random(seed, i);
                while (!world.is_over) {
                    act(world, random, failures);
                }
            });
        }
    }
    void report() const {
        for (std::size_t i = 0; i < behaviours_.size(); ++i) {
            std::printf("  %-20.*s %llu\n", static_cast<int>(behaviours_[i].name.size()),
                        behaviours_[i].name.data(),
                        static_cast<unsigned long long>(done_[i].load()));
        }
    }
    [[nodiscard]] bool has_done_everything() const {
        for (const auto& done : done_) {
            if (done == 0) {
                return false;
            }
        }
        return true;
    }

private:
    void act(World& world, SmallRandom& random, std::atomic<int>& failures) {
        const std::size_t which = pick(random);
        try {
            behaviours_[which].run(world, random);
            ++done_[which];
        } catch (const std::exception& wrong) {
            const int number = ++failures;
            if (number <= kFailuresSaid) {
                std::printf("wrong: %.*s: %s\n", static_cast<int>(behaviours_[which].name.size()),
                            behaviours_[which].name.data(), wrong.what());
                std::fflush(stdout);
            } else if (number == kFailuresTaken) {
                world.is_over = true;
            }
        }
    }
    [[nodiscard]] std::size_t pick(SmallRandom& random) const {
        const int all = std::accumulate(
            behaviours_.begin(), behaviours_.end(), 0,
            [](int sum, const Behaviour& behaviour) { return sum + behaviour.weight; });
        int left = random.below(all);
        std::size_t which = 0;
        while (left >= behaviours_[which].weight) {
            left -= behaviours_[which++].weight;
        }
        return which;
    }

    const std::vector<Behaviour>& behaviours_;
    std::vector<std::atomic<std::uint64_t>> done_;  // by the same index
};

}  // namespace

net::SocketAddress World::any_server(SmallRandom& random) const {
    return listening_address(static_cast<std::size_t>(random.below(static_cast<int>(kAddresses))),
                             port);
}

int load(const LoadOptions& options) {
    World world;
    world.port = options.port;
    for (auto& wire_case : http::test::load_wire_cases()) {
        world.wire_inputs.push_back(std::move(wire_case.input));
    }
    Runtime runtime({.workers = 1});
    std::atomic<int> failures{0};
    std::array crowds = {Crowd(good_behaviours()), Crowd(bad_behaviours()),
                         Crowd(slow_behaviours())};
    runtime.run([&] {
        Scope scope;
        int from = 0;
        const std::array counts = {options.good, options.bad, options.slow};
        for (std::size_t i = 0; i < crowds.size(); ++i) {
            crowds[i].spawn_clients(scope, world, options.seed, from, counts[i], failures);
            from += counts[i];
        }
        const Deadline end = Deadline::after(options.duration);
        while (!world.is_over && !end.has_passed(Deadline::Clock::now())) {
            (void)this_fiber::sleep_for(std::chrono::milliseconds(100));
        }
        world.is_over = true;
        scope.join();
    });
    std::printf("answered %llu, wrong %d\n", static_cast<unsigned long long>(world.answered.load()),
                failures.load());
    bool has_done_everything = true;
    for (const Crowd& crowd : crowds) {
        crowd.report();
        has_done_everything = has_done_everything && crowd.has_done_everything();
    }
    if (!has_done_everything) {
        std::printf("wrong: some of these were never done to their end\n");
    }
    return failures == 0 && has_done_everything ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace coir::soak
