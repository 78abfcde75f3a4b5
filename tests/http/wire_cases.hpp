#pragma once

#include <ostream>
#include <string>
#include <vector>

/// Wire cases: bytes that a client sends and what must come of them, as text files in wire/.
///
///     === what the case shows
///     > GET / HTTP/1.1\r\n
///     > Host: a\r\n\r\n
///     < request GET / 1.1 keep
///
/// The `>` lines are joined to the input. The `<` lines are the events in order. Both know
/// the escapes of C and {80*a}, a repetition.
///
///     request METHOD TARGET VERSION keep|close [path=P] [query=Q] [authority=A] [continue]
///     header NAME: VALUE           every field of the request, only in cases that ask for them
///     body TEXT                    the whole body, if the request has one
///     error ERRC                   the last event: nothing after an error is parsed
///     incomplete                   the last event: the input ends inside a request
namespace coir::http::test {

struct WireCase {
    std::string name;
    std::string input;
    std::vector<std::string> events;
    bool wants_headers = false;

    friend void PrintTo(const WireCase& wire_case, std::ostream* out) { *out << wire_case.name; }
};

/// All cases of wire/*.txt. Ends the program with a message where a file is malformed.
[[nodiscard]] std::vector<WireCase> load_wire_cases();
/// The case's name as GoogleTest wants it: letters and digits.
[[nodiscard]] std::string test_name(const WireCase& wire_case);

}  // namespace coir::http::test
