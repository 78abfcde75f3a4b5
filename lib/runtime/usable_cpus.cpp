#include "runtime/usable_cpus.hpp"

#include <sched.h>

#include <algorithm>
#include <fstream>
#include <new>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include "coir/runtime/runtime.hpp"

namespace coir {
namespace detail {

/// The processors that the calling thread may use.
class Affinity final {
public:
    Affinity() noexcept {
        if (set_ != nullptr && ::sched_getaffinity(0, kBytes, set_) == 0) {
            count_ = static_cast<std::size_t>(CPU_COUNT_S(kBytes, set_));
        }
    }
    ~Affinity() { CPU_FREE(set_); }
    Affinity(const Affinity&) = delete;
    Affinity& operator=(const Affinity&) = delete;

    /// 0 if the kernel does not say.
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    void keep_only(std::size_t nth) noexcept {
        for (int cpu = 0; cpu != kMaxCpus; ++cpu) {
            if (CPU_ISSET_S(static_cast<std::size_t>(cpu), kBytes, set_) && nth-- != 0) {
                CPU_CLR_S(static_cast<std::size_t>(cpu), kBytes, set_);
            }
        }
        apply();
    }
    void apply() const noexcept { (void)::sched_setaffinity(0, kBytes, set_); }

private:
    // Larger than any machine's mask; the kernel says EINVAL to one that is too small.
    static constexpr int kMaxCpus = 8192;
    static constexpr std::size_t kBytes = CPU_ALLOC_SIZE(kMaxCpus);

    cpu_set_t* const set_ = CPU_ALLOC(kMaxCpus);
    std::size_t count_ = 0;
};

PinnedThread::PinnedThread(std::optional<std::size_t> index) noexcept
    : before_(index ? new (std::nothrow) Affinity : nullptr) {
    if (before_ == nullptr) {
        return;
    }
    if (Affinity now; before_->count() != 0 && now.count() != 0) {
        now.keep_only(*index % now.count());
    }
}

PinnedThread::~PinnedThread() {
    if (before_ != nullptr && before_->count() != 0) {
        before_->apply();
    }
}

}  // namespace detail

namespace {

std::size_t affinity_cpus() noexcept {
    const std::size_t count = detail::Affinity().count();
    return count != 0 ? count : std::max(1U, std::thread::hardware_concurrency());
}

/// Processors by quota and period in microseconds, rounded up; nothing if there is no limit.
std::optional<std::size_t> quota_cpus(long long quota, long long period) noexcept {
    if (quota <= 0 || period <= 0) {
        return std::nullopt;
    }
    return static_cast<std::size_t>((quota + period - 1) / period);
}

/// cgroup v2: "max 100000" or "150000 100000".
std::optional<std::size_t> read_cpu_max(const std::string& path) {
    std::ifstream file(path);
    std::string quota;
    long long period = 0;
    if (!(file >> quota >> period) || quota == "max") {
        return std::nullopt;
    }
    std::istringstream digits(quota);
    long long value = 0;
    return digits >> value ? quota_cpus(value, period) : std::nullopt;
}

std::optional<std::size_t> read_cfs(const std::string& directory) {
    std::ifstream quota_file(directory + "/cpu.cfs_quota_us");
    std::ifstream period_file(directory + "/cpu.cfs_period_us");
    long long quota = 0;
    long long period = 0;
    return quota_file >> quota && period_file >> period ? quota_cpus(quota, period) : std::nullopt;
}

/// The tightest limit on the way from this process's cgroup to the root.
std::optional<std::size_t> cgroup_cpus() {
    std::optional<std::size_t> least;
    const auto consider = [&least](std::optional<std::size_t> cpus) {
        if (cpus) {
            least = std::min(least.value_or(*cpus), *cpus);
        }
    };
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        // "hierarchy:controllers:path"
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (second == std::string::npos) {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1);
        std::string path = line.substr(second + 1);
        for (;;) {
            if (controllers.empty()) {
                consider(read_cpu_max("/sys/fs/cgroup" + path + "/cpu.max"));
            } else if ((',' + controllers + ',').find(",cpu,") != std::string::npos) {
                consider(read_cfs("/sys/fs/cgroup/cpu" + path));
            }
            if (path.empty() || path == "/") {
                break;
            }
            path.erase(path.rfind('/'));
        }
    }
    // In a container its own group is mounted as the root.
    consider(read_cpu_max("/sys/fs/cgroup/cpu.max"));
    return least;
}

}  // namespace

std::size_t usable_cpus() noexcept {
    const std::size_t allowed = affinity_cpus();
    try {
        return std::clamp<std::size_t>(cgroup_cpus().value_or(allowed), 1, allowed);
    } catch (...) {
        return allowed;  // a limit that cannot be read is no limit
    }
}

}  // namespace coir
