#include "sync/every_wait.hpp"

#include <mutex>
#include <optional>
#include <shared_mutex>

#include "coir/base/assert.hpp"
#include "coir/sync/barrier.hpp"
#include "coir/sync/channel.hpp"
#include "coir/sync/condition_variable.hpp"
#include "coir/sync/event.hpp"
#include "coir/sync/future.hpp"
#include "coir/sync/latch.hpp"
#include "coir/sync/mutex.hpp"
#include "coir/sync/recursive_mutex.hpp"
#include "coir/sync/select.hpp"
#include "coir/sync/semaphore.hpp"
#include "coir/sync/shared_mutex.hpp"
#include "coir/sync/wait_group.hpp"

namespace coir::test {
namespace {

template <typename M>
struct Locked final : Waited {
    Locked() { mutex.lock(); }
    Result<void> wait_until(Deadline deadline) override {
        const auto locked = mutex.lock_until(deadline);
        if (locked) {
            mutex.unlock();
        }
        return locked;
    }
    void wait() override { const std::lock_guard lock(mutex); }
    void let_go() override { mutex.unlock(); }
    M mutex;
};

struct Read final : Waited {
    Read() { mutex.lock_shared(); }
    Result<void> wait_until(Deadline deadline) override {
        const auto locked = mutex.lock_until(deadline);
        if (locked) {
            mutex.unlock();
        }
        return locked;
    }
    void wait() override { const std::lock_guard lock(mutex); }
    void let_go() override { mutex.unlock_shared(); }
    SharedMutex mutex;
};

struct Written final : Waited {
    Written() { mutex.lock(); }
    Result<void> wait_until(Deadline deadline) override {
        const auto locked = mutex.lock_shared_until(deadline);
        if (locked) {
            mutex.unlock_shared();
        }
        return locked;
    }
    void wait() override { const std::shared_lock lock(mutex); }
    void let_go() override { mutex.unlock(); }
    SharedMutex mutex;
};

template <typename M, typename C>
struct Condition final : Waited {
    Result<void> wait_until(Deadline deadline) override {
        std::unique_lock lock(mutex);
        return changed.wait_until(lock, deadline, [&] { return told; });
    }
    void wait() override {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return told; });
    }
    void let_go() override {
        const std::lock_guard lock(mutex);
        told = true;
        changed.notify_one();
    }
    M mutex;
    C changed;
    bool told = false;
};

struct Permits final : Waited {
    Result<void> wait_until(Deadline deadline) override {
        return semaphore.acquire_until(2, deadline);
    }
    void wait() override { semaphore.acquire(2); }
    void let_go() override { semaphore.release(2); }
    Semaphore semaphore{0};
};

struct EventCase final : Waited {
    Result<void> wait_until(Deadline deadline) override { return event.wait_until(deadline); }
    void wait() override { event.wait(); }
    void let_go() override { event.set(); }
    Event event;
};

struct LatchCase final : Waited {
    Result<void> wait_until(Deadline deadline) override { return latch.wait_until(deadline); }
    void wait() override { latch.wait(); }
    void let_go() override { latch.count_down(); }
    Latch latch{1};
};

struct WaitGroupCase final : Waited {
    WaitGroupCase() { group.add(); }
    Result<void> wait_until(Deadline deadline) override { return group.wait_until(deadline); }
    void wait() override { group.wait(); }
    void let_go() override { group.done(); }
    WaitGroup group;
};

struct BarrierCase final : Waited {
    using Token = Barrier<>::ArrivalToken;
    Result<void> wait_until(Deadline deadline) override {
        if (!token) {
            token.emplace(barrier.arrive());
        }
        return barrier.wait_until(*token, deadline);
    }
    void wait() override { barrier.arrive_and_wait(); }
    void let_go() override { barrier.arrive_and_drop(); }
    Barrier<> barrier{2};
    std::optional<Token> token;
};

struct FutureCase final : Waited {
    Result<void> wait_until(Deadline deadline) override { return future.wait_until(deadline); }
    void wait() override { future.wait(); }
    void let_go() override {
        Promise<int> mine(std::move(promise));  // a promise must not go while it is being set
        mine.set_value(1);
    }
    Promise<int> promise;
    Future<int> future = promise.get_future();
};

struct NoPlainWait : Waited {
    void wait() override { COIR_CHECK(false); }
};

struct ReceiveUnbounded final : NoPlainWait {
    Result<void> wait_until(Deadline deadline) override {
        return channel.receive(deadline).error();
    }
    void let_go() override { channel.send(1).value(); }
    UnboundedChannel<int> channel;
};

struct SendWhenFull final : NoPlainWait {
    SendWhenFull() { channel.send(1, Deadline::never()).value(); }
    Result<void> wait_until(Deadline deadline) override { return channel.send(2, deadline); }
    void let_go() override { (void)channel.receive(Deadline::never()).value(); }
    Channel<int> channel{1};
};

struct SendToNobody final : NoPlainWait {
    Result<void> wait_until(Deadline deadline) override { return channel.send(2, deadline); }
    void let_go() override { (void)channel.receive(Deadline::never()).value(); }
    Channel<int> channel{0};
};

struct ReceiveBounded final : NoPlainWait {
    explicit ReceiveBounded(std::size_t capacity) : channel(capacity) {}
    Result<void> wait_until(Deadline deadline) override {
        return channel.receive(deadline).error();
    }
    void let_go() override { channel.send(1, Deadline::never()).value(); }
    Channel<int> channel;
};

/// Selects over one thing of each kind; `kWhich` is the one that comes.
template <int kWhich>
struct Selected final : NoPlainWait {
    Selected() { full.send(1, Deadline::never()).value(); }
    Result<void> wait_until(Deadline deadline) override {
        const auto chosen = select_until(
            deadline, on_receive(empty, [](Result<int> value) { COIR_CHECK(value.has_value()); }),
            on_send(full, 2, [](Result<void> sent) { COIR_CHECK(sent.has_value()); }),
            on_set(event), on_acquire(semaphore, 2),
            on_send(nobody, 3, [](Result<void> sent) { COIR_CHECK(sent.has_value()); }));
        COIR_CHECK(!chosen || *chosen == kWhich);
        return chosen.error();
    }
    void let_go() override {
        switch (kWhich) {
            case 0: empty.send(1, Deadline::never()).value(); break;
            case 1: (void)full.receive(Deadline::never()).value(); break;
            case 2: event.set(); break;
            case 3: semaphore.release(2); break;
            default: (void)nobody.receive(Deadline::never()).value(); break;
        }
    }
    Channel<int> empty{1};
    Channel<int> full{1};
    Channel<int> nobody{0};
    Event event;
    Semaphore semaphore{0};
};

template <typename T, auto... kArgs>
std::unique_ptr<Waited> make() {
    return std::make_unique<T>(kArgs...);
}

}  // namespace

const std::vector<WaitCase>& every_wait() {
    static const std::vector<WaitCase> cases{
        {"Mutex", "a mutex", make<Locked<Mutex>>},
        {"RecursiveMutex", "a mutex", make<Locked<RecursiveMutex>>},
        {"SharedMutexToWrite", "a shared mutex, to write", make<Read>},
        {"SharedMutexToRead", "a shared mutex, to read", make<Written>},
        {"ConditionVariable", "a condition", make<Condition<Mutex, ConditionVariable>>},
        {"ConditionVariableAny", "a condition", make<Condition<SharedMutex, ConditionVariableAny>>},
        {"Semaphore", "a semaphore", make<Permits>},
        {"Event", "an event", make<EventCase>},
        {"Latch", "a latch", make<LatchCase>},
        {"WaitGroup", "a wait group", make<WaitGroupCase>},
        {"Barrier", "a barrier", make<BarrierCase>},
        {"Future", "an event", make<FutureCase>},
        {"ChannelReceive", "a channel, to receive", make<ReceiveBounded, 2>, false},
        {"ChannelSend", "a channel, to send", make<SendWhenFull>, false},
        {"RendezvousReceive", "a channel, to receive", make<ReceiveBounded, 0>, false},
        {"RendezvousSend", "a channel, to send", make<SendToNobody>, false},
        {"UnboundedReceive", "a channel, to receive", make<ReceiveUnbounded>, false},
        {"SelectReceive", "one of several (select)", make<Selected<0>>, false},
        {"SelectSend", "one of several (select)", make<Selected<1>>, false},
        {"SelectEvent", "one of several (select)", make<Selected<2>>, false},
        {"SelectSemaphore", "one of several (select)", make<Selected<3>>, false},
        {"SelectRendezvousSend", "one of several (select)", make<Selected<4>>, false},
    };
    return cases;
}

}  // namespace coir::test
