#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace coir::test {

/// One HTTP response, as a client sees it.
struct HttpReply {
    struct Field {
        std::string name;
        std::string value;
    };

    std::string version;
    int status = 0;
    std::string reason;
    std::vector<Field> fields;
    std::string body;
    std::vector<Field> trailers;  // behind a chunked body

    /// The value of the only field of that name, in any case; none if it is not there.
    /// Errors: throws MalformedReply if it is there twice.
    [[nodiscard]] std::optional<std::string> field(std::string_view name) const;
    /// `Connection: close`.
    [[nodiscard]] bool says_close() const;
};

/// The bytes are no response, by a reading stricter than most clients'.
class MalformedReply final : public std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// What the framing of a response depends on beside its bytes.
struct ReplyContext {
    bool to_head = false;  // the request was a HEAD: there is no body, whatever the fields say
    bool at_end = false;   // the server has finished sending: nothing will follow
};

/// Takes the first response from the front of `bytes`; none, and `bytes` is as before, if it has not
/// all arrived. Errors: throws MalformedReply.
[[nodiscard]] std::optional<HttpReply> take_reply(std::string& bytes, ReplyContext context);

}  // namespace coir::test
