// Does what its argument says between two fibers that move between threads: a fault that a sanitizer must
// report, or, with "sound" as second argument, the same without the fault, of which it must say nothing.
// A sanitizer that does not understand the switches would fail one of the two.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string_view>
#include <thread>

#include "coir/base/opaque.hpp"
#include "coir/runtime/runtime.hpp"
#include "coir/runtime/this_fiber.hpp"
#include "coir/sync/mutex.hpp"

namespace {

using namespace std::chrono_literals;
namespace this_fiber = coir::this_fiber;

bool sound = false;

/// Returns on the other one of two workers.
void move() {
    const int before = coir::this_worker::index();
    while (coir::this_worker::index() == before) {
        coir::spawn({.worker = 1 - coir::this_worker::index(), .pinned = true}, [] {
            this_fiber::sleep_for(20us);
        }).join();
    }
}

/// Runs the two at once, beginning on different workers.
template <typename A, typename B>
void run_both(A a, B b, bool second_is_pinned = false) {
    coir::Runtime runtime({.workers = 2});
    auto first = runtime.spawn({.name = "first", .worker = 0}, a);
    auto second = runtime.spawn({.name = "second", .worker = 1, .pinned = second_is_pinned}, b);
    first.join();
    second.join();
}

/// Where two fibers come to run on two threads at once. Relaxed, and without a switch between the meeting and
/// what comes after it: what the scheduler orders when it switches would hide a race.
class Meeting final {
public:
    /// Keeps its thread until the other one is here.
    void wait() { (void)arrive(std::chrono::hours(1)); }
    /// Lets others have its thread as well, for who waits for it may need that to get here.
    void wait_politely() {
        while (!arrive(200us)) {
            this_fiber::yield();
        }
    }

private:
    bool arrive(std::chrono::nanoseconds patience) {
        const auto until = std::chrono::steady_clock::now() + patience;
        const int before = state_.fetch_add(1, std::memory_order_relaxed);
        if (before % 2 != 0) {
            return true;
        }
        int alone = before + 1;
        while (std::chrono::steady_clock::now() < until) {
            if (state_.load(std::memory_order_relaxed) != alone) {
                return true;
            }
            std::this_thread::yield();  // the other one's thread may share this CPU
        }
        return !state_.compare_exchange_strong(alone, before, std::memory_order_relaxed);
    }

    /// Twice the meetings so far, and one where somebody waits for the next.
    std::atomic<int> state_{0};
};

void race() {
    long shared = 0;
    coir::Mutex mutex;
    Meeting meeting;
    const auto write = [&] {
        if (sound) {
            const std::lock_guard lock(mutex);
            ++shared;
        } else {
            ++shared;
        }
    };
    constexpr int kRounds = 10;
    run_both(
        [&] {
            for (int round = 0; round != kRounds; ++round) {
                do {
                    move();
                } while (coir::this_worker::index() != 0);
                meeting.wait();
                write();
            }
        },
        [&] {
            for (int round = 0; round != kRounds; ++round) {
                meeting.wait_politely();
                write();
            }
        },
        true);
    std::cout << shared << " increments\n";
}

COIR_OPAQUE void overwrite(volatile char* place) {
    *place = 1;
}

/// Hands a pointer to the other fiber, and says when it is to be used.
struct Hand {
    std::atomic<volatile char*> place{nullptr};
    std::atomic<bool> used{false};

    void give(volatile char* to_use) {
        place = to_use;
        while (!used) {
            this_fiber::sleep_for(50us);
        }
    }
    void use() {
        volatile char* given = nullptr;
        while ((given = place) == nullptr) {
            this_fiber::sleep_for(50us);
        }
        move();
        overwrite(given);
        used = true;
    }
};

void use_after_free() {
    Hand hand;
    run_both(
        [&] {
            auto memory = std::make_unique<char[]>(100);
            volatile char* const place = &memory[50];
            move();
            if (!sound) {
                memory.reset();
            }
            move();
            hand.give(place);
        },
        [&] { hand.use(); });
}

void use_after_scope() {
    Hand hand;
    run_both(
        [&] {
            volatile char* place = nullptr;
            {
                volatile char local[64];
                overwrite(local);
                place = local + 32;
                if (sound) {
                    move();
                    hand.give(place);
                    return;
                }
            }
            move();
            hand.give(place);
        },
        [&] { hand.use(); });
}

void overflow() {
    Hand hand;
    run_both(
        [&] {
            volatile char local[64];
            overwrite(local);
            move();
            hand.give(local + (sound ? 63 : 64));
        },
        [&] { hand.use(); });
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view fault = argc > 1 ? argv[1] : "";
    sound = argc > 2 && std::string_view(argv[2]) == "sound";
    if (fault == "race") {
        race();
    } else if (fault == "use_after_free") {
        use_after_free();
    } else if (fault == "use_after_scope") {
        use_after_scope();
    } else if (fault == "overflow") {
        overflow();
    } else {
        std::cerr << "planted_faults race|use_after_free|use_after_scope|overflow [sound]\n";
        return EXIT_FAILURE;
    }
    std::cout << "went through\n";
}
