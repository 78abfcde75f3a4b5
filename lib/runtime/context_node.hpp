#pragma once

#include <atomic>
#include <cstdint>

#include "coir/runtime/context.hpp"

namespace coir::detail {

inline const ContextNode* share(const ContextNode* node) noexcept {
    if (node != nullptr) {
        node->shares.fetch_add(1, std::memory_order_relaxed);
    }
    return node;
}

void release(const ContextNode* node) noexcept;

}  // namespace coir::detail
