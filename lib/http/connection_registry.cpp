#include "connection_registry.hpp"

namespace coir::http {

template <typename Visit>
void ConnectionRegistry::for_each(Visit visit) noexcept {
    for (Shard& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        for (Entry* entry = shard.first; entry != nullptr; entry = entry->next_) {
            visit(*entry);
        }
    }
}

void ConnectionRegistry::close_idle() noexcept {
    closing_.store(true, std::memory_order_seq_cst);  // see Entry::begin_idle()
    for_each([](Entry& entry) {
        if (entry.idle_.load(std::memory_order_seq_cst)) {
            // Not by a shutdown of its reading: to what comes later the kernel would say reset.
            entry.stream_.wake_reader();
        }
    });
}

void ConnectionRegistry::cut_all() noexcept {
    cut_.store(true, std::memory_order_relaxed);
    for_each([](Entry& entry) { entry.stream_.close(); });
}

ConnectionRegistry::Entry::Entry(ConnectionRegistry& registry, net::TcpStream& stream,
                                 std::size_t worker) noexcept
    : registry_(registry), stream_(stream), shard_(registry.shards_[worker % kShards]) {
    const std::lock_guard lock(shard_.mutex);
    next_ = shard_.first;
    if (next_ != nullptr) {
        next_->previous_ = this;
    }
    shard_.first = this;
    if (registry.cut_.load(std::memory_order_relaxed)) [[unlikely]] {
        stream.close();
    }
}

ConnectionRegistry::Entry::~Entry() {
    const std::lock_guard lock(shard_.mutex);
    (previous_ != nullptr ? previous_->next_ : shard_.first) = next_;
    if (next_ != nullptr) {
        next_->previous_ = previous_;
    }
}

}  // namespace coir::http
