#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

// What /proc says of this process and its machine.
namespace coir::test {

/// A line of a file such as /proc/self/status: "VmPTE:  120 kB". Bytes; 0 where there is none.
inline std::size_t bytes_of(const char* file, const std::string& key) {
    std::ifstream in(file);
    for (std::string word; in >> word;) {
        if (word == key + ":") {
            std::size_t kilobytes = 0;
            in >> kilobytes;
            return kilobytes * 1024;
        }
        in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    return 0;
}

inline std::size_t resident_bytes() {
    return bytes_of("/proc/self/smaps_rollup", "Rss");  // statm is some pages behind
}
inline std::size_t page_table_bytes() {
    return bytes_of("/proc/self/status", "VmPTE");
}
inline std::size_t available_memory() {
    return bytes_of("/proc/meminfo", "MemAvailable");
}

inline std::size_t mappings() {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);) {
        ++count;
    }
    return count;
}
inline std::size_t most_mappings() {
    std::ifstream limit("/proc/sys/vm/max_map_count");
    std::size_t count = 0;
    limit >> count;
    return count;
}

inline std::ptrdiff_t threads() {
    const std::filesystem::directory_iterator entries("/proc/self/task");
    return std::distance(begin(entries), end(entries));
}

}  // namespace coir::test
