#include "coir/base/buffer.hpp"

#include <algorithm>
#include <utility>

namespace coir {

Buffer::Buffer(std::size_t capacity)
    : bytes_(std::make_unique_for_overwrite<std::byte[]>(capacity)), capacity_(capacity) {}

Buffer::Buffer(Buffer&& other) noexcept
    : bytes_(std::move(other.bytes_)),
      capacity_(std::exchange(other.capacity_, 0)),
      begin_(std::exchange(other.begin_, 0)),
      end_(std::exchange(other.end_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
    bytes_ = std::move(other.bytes_);
    capacity_ = std::exchange(other.capacity_, 0);
    begin_ = std::exchange(other.begin_, 0);
    end_ = std::exchange(other.end_, 0);
    return *this;
}

void Buffer::make_room(std::size_t size) {
    const std::size_t used = end_ - begin_;
    if (capacity_ - used >= size) {
        std::memmove(bytes_.get(), bytes_.get() + begin_, used);
    } else {
        Buffer larger(std::max(used + size, 2 * capacity_));
        if (used != 0) {
            std::memcpy(larger.bytes_.get(), bytes_.get() + begin_, used);
        }
        bytes_ = std::move(larger.bytes_);
        capacity_ = larger.capacity_;
    }
    begin_ = 0;
    end_ = used;
}

}  // namespace coir
