#pragma once

#include <string>

#include "client.hpp"
#include "stress/seed.hpp"

namespace coir::soak {

using test::SmallRandom;

/// A request, and the only right answer to it.
struct Question {
    std::string bytes;
    std::string path;  // for messages
    int status = 200;
    std::string body;
    std::string sum = {};  // the trailer X-Sum
    bool to_head = false;
    bool closes = false;    // the connection ends with the reply
    bool says_body = true;  // errors have a text of the engine's own
};

/// Any of them; `small` ones fit the sockets' buffers by the dozen, and are soon answered.
[[nodiscard]] Question any_question(SmallRandom& random, bool small);
/// One that ends the connection, by the client's wish or by the fault of a handler.
[[nodiscard]] Question last_question(SmallRandom& random);

[[nodiscard]] std::string get(std::string_view path, std::string_view fields = "");
[[nodiscard]] std::string post(std::string_view path, std::string_view body,
                               std::string_view fields = "");
/// `body` in chunks of any sizes, some with extensions.
[[nodiscard]] std::string post_chunked(SmallRandom& random, std::string_view path,
                                       std::string_view body);

/// Reads the reply and looks at all of it. Throws Wrong.
void expect_answer(Client& client, const Question& question);

}  // namespace coir::soak
