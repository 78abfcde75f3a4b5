#include "support/listening_sockets.hpp"

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <system_error>

namespace coir::test {

namespace {

constexpr const char* kListening = "0A";  // TCP_LISTEN, in the columns of /proc/net/tcp

/// Of all the sockets in the process's network, with those of others: "socket:[inode]".
std::set<std::string> all_listening(const std::string& process) {
    std::set<std::string> names;
    for (const char* table : {"/net/tcp", "/net/tcp6"}) {
        std::ifstream stream(process + table);
        for (std::string line; std::getline(stream, line);) {
            std::istringstream columns(line);
            std::string slot, local, remote, state, queues, timer, retransmits, user, timeout,
                inode;
            columns >> slot >> local >> remote >> state >> queues >> timer >> retransmits >> user >>
                timeout >> inode;
            if (state == kListening) {
                names.insert("socket:[" + inode + ']');
            }
        }
    }
    return names;
}

}  // namespace

std::size_t listening_sockets(pid_t pid) {
    const std::string process = "/proc/" + std::to_string(pid);
    const std::set<std::string> listening = all_listening(process);
    std::error_code gone;  // a process or a descriptor, between two looks
    std::size_t count = 0;
    std::filesystem::directory_iterator entry(process + "/fd", gone);
    for (; !gone && entry != end(entry); entry.increment(gone)) {
        std::error_code closed;
        count += listening.count(std::filesystem::read_symlink(entry->path(), closed).string());
    }
    return count;
}

}  // namespace coir::test
