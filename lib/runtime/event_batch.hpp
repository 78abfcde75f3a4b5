#pragma once

#include <cstddef>
#include <cstdint>

namespace coir::detail {

/// The time in which a poller acts on the events of one call of the kernel.
///
/// The problem: an event carries the address of an IoState, which must not get another owner while somebody acts
/// on the event. To mark the state itself costs two locked instructions an event, on memory that is often cold. So
/// a poller says once per batch that it is at it, and who closes a descriptor waits until no batch is under way
/// where an event for it may be: a grace period, as of read-copy-update (McKenney and Slingwine 1998).
///
/// Threads: any; an object is its thread's. Cost: two locked instructions.
class EventBatch final {
public:
    /// Where batches are counted: pollers have one each, or share it when there are more of them.
    class Gate final {
    public:
        static constexpr std::size_t kCount = 64;

        explicit constexpr Gate(std::uint64_t number) noexcept : index_(number % kCount) {}
        [[nodiscard]] constexpr std::size_t index() const noexcept { return index_; }
        /// Of a set of gates.
        [[nodiscard]] constexpr std::uint64_t bit() const noexcept {
            return std::uint64_t{1} << index_;
        }

    private:
        std::size_t index_;
    };

    explicit EventBatch(Gate gate) noexcept : gate_(gate) { begin(); }
    ~EventBatch() { end(); }
    EventBatch(const EventBatch&) = delete;
    EventBatch& operator=(const EventBatch&) = delete;

    /// Calls what may close descriptors, between two batches: within one it would wait for itself. What has been
    /// found out about states before is void.
    template <typename Call>
    void leave_for(Call call) noexcept {
        end();
        call();
        begin();
    }

    /// Returns when each gate of the set has been seen without a batch since the call: microseconds, unless a poller
    /// is preempted in one. Requires: the calling thread is in none of these.
    static void await_none(std::uint64_t gates) noexcept;

private:
    void begin() const noexcept;
    void end() const noexcept;

    const Gate gate_;
};

}  // namespace coir::detail
