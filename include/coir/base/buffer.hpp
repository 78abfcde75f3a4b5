#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "coir/base/assert.hpp"

namespace coir {

/// Contiguous bytes with a read cursor and a write cursor: [consumed | readable | writable].
///
/// Grows on demand and never shrinks by itself; whoever fills it from a peer keeps the limit. Views
/// into it live until the next call that is not const.
class Buffer final {
public:
    Buffer() noexcept = default;
    explicit Buffer(std::size_t capacity);

    Buffer(Buffer&& other) noexcept;
    Buffer& operator=(Buffer&& other) noexcept;

    /// The bytes not yet consumed.
    [[nodiscard]] std::span<const std::byte> readable() const noexcept {
        return {bytes_.get() + begin_, end_ - begin_};
    }
    [[nodiscard]] std::string_view as_text() const noexcept {
        return {reinterpret_cast<const char*>(bytes_.get()) + begin_, end_ - begin_};
    }
    [[nodiscard]] std::size_t size() const noexcept { return end_ - begin_; }
    [[nodiscard]] bool empty() const noexcept { return begin_ == end_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

    /// Room for at least `size` more bytes: moves the readable bytes to the front, or grows.
    [[nodiscard]] std::span<std::byte> prepare(std::size_t size) {
        if (capacity_ - end_ < size) {
            make_room(size);
        }
        return {bytes_.get() + end_, capacity_ - end_};
    }
    /// Makes the first `size` bytes of what prepare() gave readable.
    void commit(std::size_t size) noexcept {
        COIR_ASSERT(size <= capacity_ - end_);
        end_ += size;
    }
    void consume(std::size_t size) noexcept {
        COIR_ASSERT(size <= end_ - begin_);
        begin_ += size;
        if (begin_ == end_) {
            begin_ = end_ = 0;
        }
    }
    /// Takes back what was made readable last: `size` readable bytes stay.
    void truncate(std::size_t size) noexcept {
        COIR_ASSERT(size <= end_ - begin_);
        end_ = begin_ + size;
    }
    void clear() noexcept { begin_ = end_ = 0; }

    void append(std::string_view text) {
        if (text.empty()) {
            return;
        }
        const auto room = prepare(text.size());
        std::memcpy(room.data(), text.data(), text.size());
        commit(text.size());
    }
    void append(std::span<const std::byte> bytes) {
        append({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }

private:
    void make_room(std::size_t size);

    // begin_ <= end_ <= capacity_
    std::unique_ptr<std::byte[]> bytes_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

}  // namespace coir
