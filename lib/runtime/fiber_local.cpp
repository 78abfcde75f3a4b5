#include "coir/runtime/fiber_local.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "runtime/task.hpp"

namespace coir::detail {
namespace {

struct Local {
    std::uint64_t key;
    void* value;
    void (*destroy)(void*) noexcept;
};

}  // namespace

class LocalValues final {
public:
    std::vector<Local> entries;
};

void* find_local(std::uint64_t key) noexcept {
    const LocalValues* const locals = this_task().locals;
    if (locals != nullptr) {
        for (const Local& local : locals->entries) {
            if (local.key == key) {
                return local.value;
            }
        }
    }
    return nullptr;
}

void add_local(std::uint64_t key, void* value, void (*destroy)(void*) noexcept) {
    Task& task = this_task();
    if (task.locals == nullptr) {
        task.locals = new LocalValues;
    }
    task.locals->entries.push_back({key, value, destroy});
}

void remove_local(std::uint64_t key) noexcept {
    LocalValues* const locals = this_task().locals;
    if (locals == nullptr) {
        return;
    }
    const auto found = std::ranges::find(locals->entries, key, &Local::key);
    if (found != locals->entries.end()) {
        const Local gone = *found;
        locals->entries.erase(found);
        gone.destroy(gone.value);
    }
}

void destroy_locals(Task& task) noexcept {
    // A destructor may make values again, of other variables or of its own. `task` is a fiber's, which
    // nobody else touches, also while a destructor suspends.
    while (task.locals != nullptr) {
        if (task.locals->entries.empty()) {
            delete std::exchange(task.locals, nullptr);
            return;
        }
        const Local last = task.locals->entries.back();
        task.locals->entries.pop_back();
        last.destroy(last.value);
    }
}

}  // namespace coir::detail
