#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace coir::detail {

/// The values in a bounded channel: a ring.
template <typename T>
class RingStore final {
public:
    static constexpr bool kGrows = false;
    struct Reserve {};

    explicit RingStore(std::size_t capacity)
        : capacity_(capacity),
          slots_(capacity != 0 ? std::allocator<T>().allocate(capacity) : nullptr) {}
    ~RingStore() {
        std::optional<T> value;
        Reserve none;
        while (size_ != 0) {
            pop(value, none);
        }
        if (slots_ != nullptr) {
            std::allocator<T>().deallocate(slots_, capacity_);
        }
    }
    RingStore(const RingStore&) = delete;
    RingStore& operator=(const RingStore&) = delete;

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] bool has_room() const noexcept { return size_ != capacity_; }

    /// False if it is full.
    [[nodiscard]] bool push(T& value, Reserve&) noexcept {
        if (!has_room()) {
            return false;
        }
        const std::size_t to_end = capacity_ - first_;
        std::construct_at(slots_ + (size_ < to_end ? first_ + size_ : size_ - to_end),
                          std::move(value));
        ++size_;
        return true;
    }
    /// Requires: there is a value.
    void pop(std::optional<T>& into, Reserve&) noexcept {
        T* const slot = slots_ + first_;
        into.emplace(std::move(*slot));
        std::destroy_at(slot);
        first_ = first_ + 1 == capacity_ ? 0 : first_ + 1;
        --size_;
    }

private:
    const std::size_t capacity_;
    T* const slots_;
    // The values are slots_[first_ .. first_ + size_), wrapped around.
    std::size_t first_ = 0;
    std::size_t size_ = 0;
};

/// The values in an unbounded channel: a list of chunks.
template <typename T>
class ChunkStore final {
    static constexpr std::size_t kChunkBytes = 1024;
    static constexpr std::size_t kLeastValues = 8;
    static constexpr std::size_t kValues = kChunkBytes / sizeof(T) > kLeastValues
                                               ? kChunkBytes / sizeof(T)
                                               : kLeastValues;

    struct Chunk {
        [[nodiscard]] T* at(std::size_t index) noexcept {
            return reinterpret_cast<T*>(bytes) + index;
        }
        Chunk* next;
        alignas(T) std::byte bytes[kValues * sizeof(T)];
    };

public:
    static constexpr bool kGrows = true;
    /// Memory that comes from, or goes to, outside the lock.
    using Reserve = std::unique_ptr<Chunk>;
    [[nodiscard]] static Reserve make_reserve() { return Reserve(new Chunk); }

    ChunkStore() noexcept = default;
    ~ChunkStore() {
        std::optional<T> value;
        while (size_ != 0) {
            Reserve emptied;
            pop(value, emptied);
        }
        delete first_;
        delete spare_;
    }
    ChunkStore(const ChunkStore&) = delete;
    ChunkStore& operator=(const ChunkStore&) = delete;

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool has_room() const noexcept { return true; }

    /// False if it needs a reserve and has none.
    [[nodiscard]] bool push(T& value, Reserve& reserve) noexcept {
        if (last_ == nullptr || end_ == kValues) {
            Chunk* const fresh =
                spare_ != nullptr ? std::exchange(spare_, nullptr) : reserve.release();
            if (fresh == nullptr) {
                return false;
            }
            fresh->next = nullptr;
            (last_ != nullptr ? last_->next : first_) = fresh;
            last_ = fresh;
            end_ = 0;
        }
        std::construct_at(last_->at(end_), std::move(value));
        ++end_;
        ++size_;
        return true;
    }
    /// Requires: there is a value.
    void pop(std::optional<T>& into, Reserve& emptied) noexcept {
        T* const slot = first_->at(begin_);
        into.emplace(std::move(*slot));
        std::destroy_at(slot);
        ++begin_;
        if (--size_ == 0) {
            begin_ = end_ = 0;  // the last chunk stays for the next values
        } else if (begin_ == kValues) {
            Chunk* const done = std::exchange(first_, first_->next);
            begin_ = 0;
            if (spare_ == nullptr) {
                spare_ = done;
            } else {
                emptied.reset(done);
            }
        }
    }

private:
    // The values begin at begin_ in the first chunk, and end before end_ in the last one.
    Chunk* first_ = nullptr;
    Chunk* last_ = nullptr;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::size_t size_ = 0;
    Chunk* spare_ =
        nullptr;  // so that a queue that crosses the end of a chunk does not allocate each time
};

}  // namespace coir::detail
