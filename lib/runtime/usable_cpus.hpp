#pragma once

#include <cstddef>
#include <memory>
#include <optional>

namespace coir::detail {

class Affinity;

/// Keeps the calling thread on one of the processors that it may use: on the `index`th, counted around; and gives
/// it back the others at the end. If the kernel refuses, it stays where it may be. Without an index: does nothing.
class PinnedThread final {
public:
    explicit PinnedThread(std::optional<std::size_t> index) noexcept;
    ~PinnedThread();
    PinnedThread(const PinnedThread&) = delete;
    PinnedThread& operator=(const PinnedThread&) = delete;

private:
    std::unique_ptr<Affinity> before_;
};

}  // namespace coir::detail
