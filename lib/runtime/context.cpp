#include "coir/runtime/context.hpp"

#include "runtime/context_node.hpp"
#include "runtime/task.hpp"

namespace coir::detail {

std::uint64_t unique_key() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

void release(const ContextNode* node) noexcept {
    // pairs with itself: who frees it sees what the other owners did
    while (node != nullptr && node->shares.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        const ContextNode* const parent = node->parent;
        delete node;
        node = parent;
    }
}

const ContextNode* find_context(std::uint64_t key) noexcept {
    const ContextNode* node = this_task().context;
    while (node != nullptr && node->key != key) {
        node = node->parent;
    }
    return node;
}

void enter_context(ContextNode* node) noexcept {
    Task& task = this_task();
    node->parent = task.context;  // the task's share goes to the node
    task.context = node;
}

void leave_context() noexcept {
    Task& task = this_task();
    const ContextNode* const left = task.context;
    task.context = share(left->parent);
    release(left);
}

}  // namespace coir::detail
