// coir-floor: the least CPU that the arena's requests can cost on one epoll thread.
//
// "Fast" needs something to be compared with. This program is that yardstick, not a server: it
// answers exactly the request shapes of the load benchmark and closes the connection on everything
// else. That is why it may cut corners that coir may not: no routes to speak of, one limit, no
// timeouts, no error replies, header fields skipped unread but for two, no trailers, no chunk
// extensions, no HTTP/1.0. It may not cut these, for coir pays for them too: requests are framed
// correctly wherever the bytes are split, bodies are parsed and summed, field names match in any
// case, and a client that does not read is waited for.

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>

#include "epoll_loop.hpp"
#include "floor_http.hpp"

namespace {

using namespace coir::bench;

// The shortest request ("GET /pipeline HTTP/1.1\r\n\r\n", 26 bytes) has the longest reply in
// proportion, 66 bytes. Four times the input holds all replies to it: nothing checks for room.
constexpr std::size_t kOutputBytes = 4 * (kReadBytes + kPartialBytes);

class ByHeart {
public:
    char* room_behind(std::string_view kept) {
        return input_.get() + kept.copy(input_.get(), kPartialBytes);
    }

    Answers answer(std::size_t bytes) {
        const char* at = input_.get();
        const char* const end = at + bytes;
        std::memset(input_.get() + bytes, '\n', kPaddingBytes);
        char* out = output_.get();
        Parsed parsed = Parsed::whole;
        while (at != end) {
            Request request;
            parsed = parse_request(at, end, request);
            if (parsed != Parsed::whole) break;
            out = write_reply(out, request);
        }
        return {{output_.get(), out}, {at, end}, parsed == Parsed::bad};
    }

private:
    std::unique_ptr<char[]> input_ =
        std::make_unique<char[]>(kPartialBytes + kReadBytes + kPaddingBytes);
    std::unique_ptr<char[]> output_ = std::make_unique<char[]>(kOutputBytes);
};

}  // namespace

int main(int argc, char** argv) {
    return serve_by<ByHeart>("coir-floor", argc, argv);
}
