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

void ConnectionRegistry::wake_all_to_close() noexcept {
    closing_.store(true, std::memory_order_seq_cst);  // see ServerCore::count_down()
    // Either the wake finds the connection waiting, or its next wait finds the wake. Who enters a shard after
    // this has been there takes the lock later, and so sees the flag.
    // Not by a shutdown of its reading: to what comes later the kernel would say reset.
    for_each([](Entry& entry) { entry.stream_.wake_reader(); });
}

void ConnectionRegistry::cut_all() noexcept {
    cut_.store(true, std::memory_order_relaxed);
    for_each([](Entry& entry) { entry.stream_.close(); });
}

ConnectionRegistry::Entry::Entry(ConnectionRegistry& registry, net::TcpStream& stream,
                                 std::size_t worker) noexcept
    : stream_(stream), shard_(registry.shards_[worker % kShards]) {
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
