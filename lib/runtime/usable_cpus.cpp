#include <sched.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include "coir/runtime/runtime.hpp"

namespace coir {
namespace {

std::size_t affinity_cpus() noexcept {
    // Larger than any machine's mask; the kernel says EINVAL to one that is too small.
    constexpr int kMaxCpus = 8192;
    cpu_set_t* const set = CPU_ALLOC(kMaxCpus);
    std::size_t count = 0;
    if (set != nullptr && ::sched_getaffinity(0, CPU_ALLOC_SIZE(kMaxCpus), set) == 0) {
        count = static_cast<std::size_t>(CPU_COUNT_S(CPU_ALLOC_SIZE(kMaxCpus), set));
    }
    CPU_FREE(set);
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
