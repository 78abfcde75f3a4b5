#include "connection_registry.hpp"

#include "coir/net/socket_access.hpp"

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
    for (Shard& shard : shards_) {
        while (auto listener = shard.cut_one()) {
            listener->request_stop();
        }
    }
}

std::optional<std::stop_source> ConnectionRegistry::Shard::cut_one() noexcept {
    const std::lock_guard lock(mutex);
    Entry* const entry = first;
    if (entry == nullptr) {
        return std::nullopt;
    }
    entry->unlink();
    entry->is_cut_ = true;
    entry->link(first_cut);
    return net::detail::SocketAccess::source(entry->stream_).cancel_untold();
}

ConnectionRegistry::Entry::Entry(ConnectionRegistry& registry, net::TcpStream& stream,
                                 std::size_t worker) noexcept
    : stream_(stream), shard_(registry.shards_[worker % kShards]) {
    const std::lock_guard lock(shard_.mutex);
    link(shard_.first);
    if (registry.cut_.load(std::memory_order_relaxed)) [[unlikely]] {
        net::detail::SocketAccess::source(stream).cancel();  // nobody waits for its end yet
    }
}

ConnectionRegistry::Entry::~Entry() {
    const std::lock_guard lock(shard_.mutex);
    unlink();
}

void ConnectionRegistry::Entry::link(Entry*& first) noexcept {
    previous_ = nullptr;
    next_ = first;
    if (next_ != nullptr) {
        next_->previous_ = this;
    }
    first = this;
}

void ConnectionRegistry::Entry::unlink() noexcept {
    Entry*& first = is_cut_ ? shard_.first_cut : shard_.first;
    (previous_ != nullptr ? previous_->next_ : first) = next_;
    if (next_ != nullptr) {
        next_->previous_ = previous_;
    }
}

}  // namespace coir::http
