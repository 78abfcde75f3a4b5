#include "coir/runtime/session.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "coir/base/error.hpp"
#include "coir/runtime/context.hpp"
#include "coir/runtime/fiber_local.hpp"
#include "coir/runtime/parker.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "runtime/turns.hpp"

namespace coir {
namespace {

using namespace std::chrono_literals;
using namespace test;

void expect_an_echo_of_each(const std::vector<UniqueFd>& ends) {
    for (const UniqueFd& end : ends) {
        test::put(end.get(), "x");
    }
    for (const UniqueFd& end : ends) {
        EXPECT_TRUE(holds_before(soon(), [&] { return test::get(end.get()) == "x"; }));
    }
}

TEST(Session, TakesATurnForEachMessageAndEndsWithItsLast) {
    for (const std::size_t workers : {1U, 2U}) {
        Runtime runtime({.workers = workers});
        std::atomic<int> alive{0};
        auto [ours, theirs] = test::make_socket_pair();
        runtime.run(
            [&, end = std::move(theirs)]() mutable { start_turns(std::move(end), alive, echo); });
        for (const char* const text : {"one", "two", "three"}) {
            EXPECT_EQ(ask(ours.get(), text), text);
        }
        EXPECT_EQ(alive, 1);
        EXPECT_EQ(runtime.stats().alive(), 1U);
        ours.reset();
        EXPECT_TRUE(has_ended(alive));
        runtime.stop();
        EXPECT_EQ(runtime.stats().alive(), 0U);
    }
}

TEST(Session, IsToldOfItsDeadline) {
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    std::error_code told;
    runtime.run([&] {
        start_turns(test::make_eventfd(), alive,
                    [&told, turns = 0](IoSource& source, Result<void> waited) mutable {
                        if (turns++ == 0) {
                            EXPECT_TRUE(waited);
                            return NextTurn::when_readable(source, Deadline::after(5ms));
                        }
                        told = waited.error();
                        return NextTurn::none();
                    });
    });
    runtime.stop();
    EXPECT_EQ(told, std::errc::timed_out);
}

TEST(Session, IsToldOfACancelFromAThread) {
    Runtime runtime({.workers = 2});
    std::atomic<int> alive{0};
    std::atomic<IoSource*> waits_on{nullptr};
    std::error_code told;
    runtime.run([&] {
        start_turns(test::make_eventfd(), alive, [&](IoSource& source, Result<void> waited) {
            if (!waits_on.exchange(&source)) {
                return NextTurn::when_readable(source, Deadline::never());
            }
            told = waited.error();
            return NextTurn::none();
        });
    });
    ASSERT_TRUE(holds_before(soon(), [&] { return runtime.stats().waiting == 1; }));
    waits_on.load()->cancel();
    runtime.stop();
    EXPECT_EQ(told, std::errc::operation_canceled);
}

TEST(Session, ReportsWhatADescriptorRefuses) {
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    std::vector<std::error_code> told;
    runtime.run([&] {
        UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
        start_turns(std::move(file), alive, [&](IoSource& source, Result<void> waited) {
            told.push_back(waited.error());
            return told.size() == 1 ? NextTurn::when_readable(source, Deadline::never())
                                    : NextTurn::none();
        });
    });
    runtime.stop();
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told[0], std::error_code());
    EXPECT_EQ(told[1], std::errc::operation_not_permitted);
}

TEST(Session, TurnsThatDoNotSuspendShareOneStack) {
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    std::set<std::uint64_t> fibers;
    constexpr int kSessions = 100;
    std::vector<UniqueFd> ours;
    runtime.run([&] {
        for (int i = 0; i != kSessions; ++i) {
            auto pair = test::make_socket_pair();
            ours.push_back(std::move(pair.first));
            start_turns(std::move(pair.second), alive,
                        [&fibers](IoSource& source, Result<void> waited) {
                            fibers.insert(this_fiber::id());
                            return echo(source, waited);
                        });
        }
    });
    for (const UniqueFd& end : ours) {
        EXPECT_EQ(ask(end.get(), "hello"), "hello");
    }
    ours.clear();
    EXPECT_TRUE(has_ended(alive));
    runtime.stop();
    EXPECT_LE(fibers.size(), 2U);
}

TEST(Session, TurnsThatSuspendLeaveTheWorkerToOthers) {
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    std::atomic<int> inside{0};
    std::vector<UniqueFd> ours;
    constexpr int kSessions = 50;  // more than rest when they are done
    Parker gates[kSessions];
    runtime.run([&] {
        for (int i = 0; i != kSessions; ++i) {
            auto pair = test::make_socket_pair();
            ours.push_back(std::move(pair.first));
            start_turns(std::move(pair.second), alive,
                        [&, i](IoSource& source, Result<void> waited) {
                            const std::string first = test::get(source.fd(), 1);
                            if (first == "would block") {  // what comes now is not echo()'s
                                return NextTurn::when_readable(source, Deadline::never());
                            }
                            if (first == "w") {
                                ++inside;
                                EXPECT_TRUE(gates[i].park(soon()));
                                --inside;
                            }
                            return echo(source, waited);
                        });
        }
    });
    for (int round = 0; round != 3; ++round) {
        for (const UniqueFd& end : ours) {
            test::put(end.get(), "wx");
        }
        EXPECT_TRUE(holds_before(soon(), [&] { return inside == kSessions; }));
        for (Parker& gate : gates) {
            gate.unpark();
        }
        for (const UniqueFd& end : ours) {
            EXPECT_TRUE(holds_before(soon(), [&] { return test::get(end.get()) == "x"; }));
        }
        EXPECT_EQ(inside, 0);
    }
    ours.clear();
    EXPECT_TRUE(has_ended(alive));
}

ContextKey<std::string> request_name;
FiberLocal<int> seen;

TEST(Session, TakesItsFiberLocalValuesAndItsContextFromFiberToFiber) {
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    std::vector<UniqueFd> ours;
    std::atomic<int> wrong{0};
    runtime.run([&] {
        for (int i = 0; i != 3; ++i) {
            auto pair = test::make_socket_pair();
            ours.push_back(std::move(pair.first));
            const WithContext named(request_name, "session " + std::to_string(i));
            start_turns(std::move(pair.second), alive,
                        [&, i, turns = 0](IoSource& source, Result<void> waited) mutable {
                            const std::string* const name = request_name.get();
                            if (*seen != turns || name == nullptr ||
                                *name != "session " + std::to_string(i)) {
                                ++wrong;
                            }
                            *seen = ++turns;
                            (void)this_fiber::sleep_for(1ms * (3 - i));  // they change their fibers
                            return echo(source, waited);
                        });
        }
    });
    for (int round = 0; round != 4; ++round) {
        expect_an_echo_of_each(ours);
    }
    runtime.run([&] { wrong += request_name.get() != nullptr || *seen != 0 ? 1 : 0; });
    ours.clear();
    EXPECT_TRUE(has_ended(alive));
    EXPECT_EQ(wrong, 0);
}

TEST(Session, DestroysItsFiberLocalValuesWithItself) {
    struct Counted {
        Counted() { ++alive(); }
        Counted(const Counted&) = delete;
        Counted& operator=(const Counted&) = delete;
        ~Counted() { --alive(); }
        static std::atomic<int>& alive() {
            static std::atomic<int> count{0};
            return count;
        }
    };
    static FiberLocal<Counted> local;
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    auto [ours, theirs] = test::make_socket_pair();
    runtime.run([&, end = std::move(theirs)]() mutable {
        start_turns(std::move(end), alive, [](IoSource& source, Result<void> waited) {
            (void)local.get();
            return echo(source, waited);
        });
    });
    EXPECT_EQ(ask(ours.get(), "x"), "x");
    EXPECT_EQ(Counted::alive(), 1);
    ours.reset();
    runtime.stop();
    EXPECT_EQ(Counted::alive(), 0);
}

TEST(Session, WhoseWaitsAreOverAtOnceLetsOthersRun) {
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    std::atomic<bool> over{false};
    runtime.run([&] {
        start_turns(test::make_eventfd(), alive, [&](IoSource& source, Result<void>) {
            return over ? NextTurn::none() : NextTurn::at_once(source);
        });
        EXPECT_FALSE(this_fiber::sleep_for(5ms));
        over = true;
    });
    EXPECT_TRUE(has_ended(alive));
}

// With a pinned fiber ready, a carrier was about to rest when its own switch picked it for the next session.
TEST(Session, TakesTurnsWithAPinnedFiber) {
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    std::atomic<bool> over{false};
    std::vector<UniqueFd> ours;
    Parker turn_began;
    auto pinned = runtime.spawn({.worker = 0, .pinned = true}, [&] {
        while (!over) {
            EXPECT_TRUE(turn_began.park(soon()));
        }
    });
    runtime.run([&] {
        for (int i = 0; i != 8; ++i) {
            auto pair = test::make_socket_pair();
            ours.push_back(std::move(pair.first));
            start_turns(std::move(pair.second), alive, [&](IoSource& source, Result<void> waited) {
                turn_began.unpark();
                return echo(source, waited);
            });
        }
    });
    for (int round = 0; round != 100; ++round) {
        expect_an_echo_of_each(ours);
    }
    over = true;
    turn_began.unpark();
    pinned.join();
    ours.clear();
    EXPECT_TRUE(has_ended(alive));
}

TEST(Session, NeedsAFiberToStartIt) {
    std::atomic<int> alive{0};
    try {
        start_turns(test::make_eventfd(), alive, echo);
        FAIL();
    } catch (const std::system_error& error) {
        EXPECT_EQ(error.code(), Errc::not_a_fiber);
    }
    EXPECT_EQ(alive, 0);
}

TEST(Session, ThatCannotBeMadeLeavesNothingBehind) {
    struct Failing {
        Failing() { throw std::runtime_error("no"); }
        NextTurn turn(Result<void>) noexcept { return NextTurn::none(); }
    };
    Runtime runtime({.workers = 1});
    runtime.run([] { EXPECT_THROW(start_session<Failing>({}), std::runtime_error); });
    runtime.stop();
    EXPECT_EQ(runtime.stats().alive(), 0U);
}

[[gnu::noinline]] void use_half_a_megabyte() {
    volatile char large[512 * 1024];
    for (std::size_t i = 0; i < sizeof large; i += 1024) {
        large[sizeof large - 1 - i] = 1;
    }
}

TEST(Session, RunsOnAStackOfTheSizeItAsksFor) {
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    std::vector<UniqueFd> ours;
    runtime.run([&] {
        for (const std::size_t bytes : {0U, 1024U * 1024, 0U, 1024U * 1024}) {
            auto pair = test::make_socket_pair();
            ours.push_back(std::move(pair.first));
            start_turns(std::move(pair.second), alive,
                        [bytes](IoSource& source, Result<void> waited) {
                            if (bytes != 0) {
                                use_half_a_megabyte();
                            }
                            return echo(source, waited);
                        },
                        {.stack_bytes = bytes});
        }
    });
    for (const UniqueFd& end : ours) {
        EXPECT_EQ(ask(end.get(), "x"), "x");
    }
    ours.clear();
    EXPECT_TRUE(has_ended(alive));
}

TEST(Session, WaitsWithoutAStack) {
    Runtime runtime({.workers = 1});
    std::atomic<int> alive{0};
    constexpr int kSessions = 400;  // fibers would need several slabs of stacks
    std::vector<UniqueFd> ours;
    runtime.run([&] {
        for (int i = 0; i != kSessions; ++i) {
            auto pair = test::make_socket_pair();
            ours.push_back(std::move(pair.first));
            start_turns(std::move(pair.second), alive, echo);
        }
    });
    ASSERT_TRUE(holds_before(soon(), [&] { return runtime.stats().waiting == kSessions; }));
    EXPECT_EQ(runtime.fibers().size(), static_cast<std::size_t>(kSessions));
    // As much as a few fibers need: a slab of stacks.
    Runtime other({.workers = 1});
    other.run([] {});
    EXPECT_EQ(runtime.stats().stack_bytes, other.stats().stack_bytes);
    for (const UniqueFd& end : ours) {
        test::put(end.get(), "x");
    }
    for (const UniqueFd& end : ours) {
        EXPECT_TRUE(holds_before(soon(), [&] { return test::get(end.get()) == "x"; }));
    }
    ours.clear();
    EXPECT_TRUE(has_ended(alive));
}

TEST(Session, GoesOnWhereItsWorkerIsBusy) {
    Runtime runtime({.workers = 2});
    std::atomic<int> alive{0};
    std::atomic<bool> over{false};
    auto [ours, theirs] = test::make_socket_pair();
    std::atomic<int> home{-1};
    runtime.run([&, end = std::move(theirs)]() mutable {
        home = this_worker::index();
        start_turns(std::move(end), alive, echo);
    });
    EXPECT_EQ(ask(ours.get(), "x"), "x");
    auto busy = runtime.spawn({.worker = home, .pinned = true}, [&] {
        while (!over) {
        }
    });
    for (int i = 0; i != 10; ++i) {
        EXPECT_EQ(ask(ours.get(), "y"), "y");
    }
    over = true;
    busy.join();
    ours.reset();
    EXPECT_TRUE(has_ended(alive));
}

}  // namespace
}  // namespace coir
