#include "support/unread_bytes.hpp"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "coir/base/unique_fd.hpp"

namespace coir::test {

namespace {

struct Question {
    nlmsghdr header;
    inet_diag_req_v2 socket;
};

Question question_about(std::uint16_t port, std::uint16_t peer_port) {
    Question question{};
    question.header.nlmsg_len = sizeof(question);
    question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question.header.nlmsg_flags = NLM_F_REQUEST;
    question.socket.sdiag_family = AF_INET;
    question.socket.sdiag_protocol = IPPROTO_TCP;
    question.socket.idiag_states = ~0U;
    inet_diag_sockid& id = question.socket.id;
    id.idiag_sport = htons(port);
    id.idiag_dport = htons(peer_port);
    id.idiag_src[0] = id.idiag_dst[0] = htonl(INADDR_LOOPBACK);
    id.idiag_cookie[0] = id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    return question;
}

}  // namespace

std::optional<std::size_t> unread_bytes(std::uint16_t port, std::uint16_t peer_port) {
    const UniqueFd kernel(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
    const Question question = question_about(port, peer_port);
    if (!kernel || ::send(kernel.get(), &question, sizeof(question), 0) < 0) {
        return std::nullopt;
    }
    // The header and the answer, then attributes that nobody asked for.
    alignas(nlmsghdr) char answer[4096];
    const ssize_t size = ::recv(kernel.get(), answer, sizeof(answer), 0);
    constexpr std::size_t kNeeded = NLMSG_HDRLEN + sizeof(inet_diag_msg);
    if (size < static_cast<ssize_t>(kNeeded)) {
        return std::nullopt;
    }
    nlmsghdr header;
    std::memcpy(&header, answer, sizeof(header));
    if (header.nlmsg_type != SOCK_DIAG_BY_FAMILY) {
        return std::nullopt;
    }
    inet_diag_msg socket;
    std::memcpy(&socket, answer + NLMSG_HDRLEN, sizeof(socket));
    return socket.idiag_rqueue;
}

}  // namespace coir::test
